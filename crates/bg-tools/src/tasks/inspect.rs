//! `InspectTask`.

use async_trait::async_trait;
use bg_core::{Block, BlockKind, Peek, Peeked, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{CountArg, TaskIdArg, parse_args};
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::Entry;

const NAME: &str = "InspectTask";

/// Most blocks of a conversation that an answer shows.
const MAX_BLOCKS: u64 = 50;

/// Shows what one of the caller's tasks was asked and what it is doing, and of an agent the last
/// blocks of its conversation. Changes nothing, and marks nothing as read.
#[derive(Clone, Copy, Debug, Default)]
pub struct InspectTask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "agent:7".
    task_id: TaskIdArg,
    /// How many of the last messages of an agent's conversation to show; default 0.
    #[serde(default)]
    recent_blocks: Option<CountArg<0, MAX_BLOCKS>>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    entry: Entry,
    output_bytes: u64,
    /// Blocks of the conversation in all.
    total_blocks: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    kind: BlockKind,
    text: String,
}

#[async_trait]
impl Tool for InspectTask {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Shows in full what a background task was asked, and what it is doing. For its output \
             call ReadTaskOutput.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task = cx.board().resolve(&args.task_id.0).await?;
        let snapshot = cx.board().inspect(task).await?;
        let wanted = args.recent_blocks.map_or(0, CountArg::get);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        // More characters than bytes fit can not be shown.
        let peek = Peek::default().blocks(wanted).chars(cx.budget().most_bytes());
        let peeked = cx.board().peek(task, peek).await?;
        let (text, ()) = cx.budget().fit(usize::MAX, |room| {
            Ok((to_json(&Answer::of(&snapshot, &peeked, wanted, room))?, ()))
        })?;
        Ok(ToolOutput::text(text))
    }
}

impl Answer {
    /// Shows a task with so many bytes of free text: half of them what it was asked.
    fn of(snapshot: &Snapshot, peeked: &Peeked, wanted: usize, room: usize) -> Self {
        // A peek shows one block at least.
        let blocks = &peeked.blocks[peeked.blocks.len().saturating_sub(wanted)..];
        let each = room / 2 / blocks.len().max(1);
        // At the end nothing but their number is left.
        let shown = if room == 0 { &[] } else { blocks };
        Self {
            entry: Entry::described(snapshot, room / 2).with_news(snapshot, room / 4),
            output_bytes: snapshot.output_bytes,
            total_blocks: peeked.total,
            blocks: shown.iter().map(|block| Shown::of(block, each)).collect(),
        }
    }
}

impl Shown {
    fn of(block: &Block, bytes: usize) -> Self {
        Self { kind: block.kind, text: bg_core::text::excerpt(&block.text, bytes) }
    }
}
