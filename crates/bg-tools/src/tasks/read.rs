//! `ReadTaskOutput`.

use async_trait::async_trait;
use bg_core::{Stream, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{TaskIdArg, parse_args};
use crate::board::Piece;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::piece::Reading;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::ANSWER_BYTES;

const NAME: &str = "ReadTaskOutput";

/// Reads what a task wrote, from a cursor on. Reading changes nothing: any number of readers have
/// cursors of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadTaskOutput;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "process:3".
    task_id: TaskIdArg,
    /// `next_cursor` of an earlier answer; 0 is the beginning.
    #[serde(default)]
    cursor: Option<u64>,
    #[serde(default)]
    max_bytes: Option<u64>,
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
        ToolDefinition::of::<Args>(NAME, "Reads the output of a background task from a cursor on.")
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task_id = cx.board().resolve(&args.task_id.0).await?;
        let max =
            args.max_bytes.map_or(ANSWER_BYTES, |max| usize::try_from(max).unwrap_or(usize::MAX));
        // At least one whole letter, or a cursor could get stuck in front of it.
        let max = max.clamp(4, ANSWER_BYTES);
        let piece =
            Piece { from: args.cursor.unwrap_or(0), max, stream: args.stream.map(Into::into) };
        let Reading { text, next, omitted, eof, invalid } =
            Reading::of(cx.board(), task_id, piece).await?;
        ToolOutput::json(&Answer {
            task_id,
            text,
            next_cursor: next,
            omitted_bytes: omitted,
            eof,
            invalid_utf8_bytes: (invalid > 0).then_some(invalid),
        })
    }
}
