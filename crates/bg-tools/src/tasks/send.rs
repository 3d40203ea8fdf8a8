//! `SendToTask`.

use async_trait::async_trait;
use bg_core::TaskId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{TaskIdArg, parse_args};
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext, ToolOutput};

const NAME: &str = "SendToTask";

/// Sends a message to one of the caller's running tasks: guidance to an agent, a line to the standard
/// input of a process.
///
/// The task has to take messages, and reads them when it gets to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendToTask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "agent:7".
    task_id: TaskIdArg,
    message: String,
}

#[derive(Serialize)]
struct Answer {
    task_id: TaskId,
    sent: bool,
}

#[async_trait]
impl Tool for SendToTask {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Sends a message to a running agent, or a line of input to an interactive process. Does \
             not wait for a reply.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task_id = cx.board().resolve(&args.task_id.0).await?;
        cx.board().send(task_id, args.message.into()).await?;
        ToolOutput::json(&Answer { task_id, sent: true })
    }
}
