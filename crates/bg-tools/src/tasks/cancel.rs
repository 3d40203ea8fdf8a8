//! `CancelTask`.

use std::time::Duration;

use async_trait::async_trait;
use bg_core::{CancelOutcome, Status, TaskId, WaitFor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{TaskIdArg, parse_args};
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::{bytes, receipt, status_word, within};

const NAME: &str = "CancelTask";

/// How long the answer waits for the task's end, so that it can tell of it.
const SETTLE: Duration = Duration::from_secs(1);

/// Stops one of the caller's tasks and everything below it. Idempotent.
#[derive(Clone, Copy, Debug, Default)]
pub struct CancelTask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "agent:7".
    task_id: TaskIdArg,
}

#[derive(Serialize)]
struct Answer {
    task_id: TaskId,
    cancelled: bool,
    status: &'static str,
    /// What the stop of a process did, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
}

#[async_trait]
impl Tool for CancelTask {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Stops a background task and all that it started. Use it instead of kill.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let board = cx.board();
        let task_id = board.resolve(&args.task_id.0).await?;
        let outcome = board.cancel(task_id, "stopped by CancelTask").await?;
        let seen = board.wait(&[task_id], WaitFor::All, cx.patience(SETTLE)).await?;
        let (status, receipt) = match seen.ended.first() {
            Some(finished) => (finished.status(), receipt(finished)),
            None => (board.inspect(task_id).await?.status, None),
        };
        let by_itself = matches!(outcome, CancelOutcome::AlreadyEnded(s) if s != Status::Cancelled);
        let status = status_word(task_id.kind(), status);
        let (text, ()) = cx.budget().fit(receipt.map_or(0, bytes), |room| {
            let receipt = receipt.map(|receipt| within(receipt, room));
            Ok((to_json(&Answer { task_id, cancelled: !by_itself, status, receipt })?, ()))
        })?;
        Ok(ToolOutput::text(text))
    }
}
