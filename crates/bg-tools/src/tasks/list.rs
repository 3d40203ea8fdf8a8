//! `ListBackgroundTasks`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::args::parse_args;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::toolbox::Toolbox;
use crate::view::Entry;

const NAME: &str = "ListBackgroundTasks";

/// Most bytes of entries: with them the answer is passed on whole, so it stays JSON.
const MAX_BYTES: usize = Toolbox::MAX_ANSWER_BYTES - 100;

/// Lists the caller's live and undelivered tasks: a JSON array, ascending by number. When there are
/// more than fit, the last element is `{"omitted_tasks": N}`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListBackgroundTasks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {}

#[async_trait]
impl Tool for ListBackgroundTasks {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Lists your background tasks: running ones, and ended ones whose result you have not \
             had. Results arrive by themselves; do not poll.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let Args {} = parse_args(NAME, args)?;
        let tasks = cx.board().list().await;
        let mut rows = Vec::new();
        let mut room = MAX_BYTES;
        for task in &tasks {
            let row = ToolOutput::json(&Entry::of(task))?.text;
            let Some(left) = room.checked_sub(row.len() + 1) else { break };
            room = left;
            rows.push(row);
        }
        let omitted = tasks.len() - rows.len();
        if omitted > 0 {
            rows.push(format!("{{\"omitted_tasks\":{omitted}}}"));
        }
        Ok(ToolOutput::text(format!("[{}]", rows.join(","))))
    }
}
