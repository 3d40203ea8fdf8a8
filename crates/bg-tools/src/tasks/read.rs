//! `ReadTaskOutput`.

use async_trait::async_trait;
use bg_core::{Stream, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{CountArg, TaskIdArg, parse_args};
use crate::board::Piece;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::piece::Reading;
use crate::told::Mark;
use crate::tool::{Tool, ToolContext, ToolOutput};

const NAME: &str = "ReadTaskOutput";

/// Bytes of the longest letter: with less, a cursor could get stuck in front of it.
const LETTER: usize = 4;

/// Reads what a task wrote, from a cursor on, and behind it the text of its outcome.
///
/// Without a cursor it goes on where the caller's earlier answers have stopped showing the output,
/// so asking again repeats nothing. Reading changes nothing for others: each caller has a place of
/// its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadTaskOutput;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "process:3".
    task_id: TaskIdArg,
    /// Where to begin, 0 for all of it; default: where you stopped.
    #[serde(default)]
    cursor: Option<CountArg<0, { u64::MAX }>>,
    #[serde(default)]
    max_bytes: Option<CountArg<{ LETTER as u64 }, { u64::MAX }>>,
    /// Default both.
    #[serde(default)]
    stream: Option<StreamArg>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StreamArg {
    Stdout,
    Stderr,
}

impl From<StreamArg> for Stream {
    fn from(arg: StreamArg) -> Self {
        match arg {
            StreamArg::Stdout => Self::Stdout,
            StreamArg::Stderr => Self::Stderr,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    task_id: TaskId,
    /// Where `text` begins, if the call did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<u64>,
    text: String,
    next_cursor: u64,
    omitted_bytes: u64,
    /// The task has ended and there is no more.
    eof: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_utf8_bytes: Option<u64>,
}

#[async_trait]
impl Tool for ReadTaskOutput {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Reads what a background task has written so far and, once it has ended, its result. \
             For output that was cut and for a look at a running task; not to find out whether it \
             has ended: results arrive by themselves.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task_id = cx.board().resolve(&args.task_id.0).await?;
        let stream = args.stream.map(Stream::from);
        let asked = args.cursor.map(CountArg::get);
        // What was shown was shown of all streams.
        let implied = asked.is_none().then(|| cx.told().of(task_id).read);
        let implied = implied.filter(|_| stream.is_none());
        let from = asked.or(implied).unwrap_or(0);
        let most = args.max_bytes.and_then(|max| usize::try_from(max.get()).ok());
        let mut room =
            most.map_or(cx.budget().most_bytes(), |most| most.min(cx.budget().most_bytes()));
        loop {
            let reading =
                Reading::of(cx.board(), task_id, Piece { from, max: room, stream }).await?;
            let mark = Mark::Shown(from, reading.next);
            let answer = Answer::new(task_id, implied.filter(|&from| from > 0), reading);
            let text = to_json(&answer)?;
            match cx.budget().smaller(room, &text) {
                Some(less) if room > LETTER => room = less.max(LETTER),
                _ if stream.is_some() => return Ok(ToolOutput::text(text)),
                _ => return Ok(ToolOutput::text(text).marked(task_id, mark)),
            }
        }
    }
}

impl Answer {
    fn new(task_id: TaskId, cursor: Option<u64>, reading: Reading) -> Self {
        let Reading { text, next, omitted, eof, invalid } = reading;
        let invalid_utf8_bytes = (invalid > 0).then_some(invalid);
        Self {
            task_id,
            cursor,
            text,
            next_cursor: next,
            omitted_bytes: omitted,
            eof,
            invalid_utf8_bytes,
        }
    }
}
