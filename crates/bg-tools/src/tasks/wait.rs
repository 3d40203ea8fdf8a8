//! `WaitTask`.

use std::time::Duration;

use async_trait::async_trait;
use bg_core::{ClaimError, Snapshot, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{SecsArg, TaskIdArg, parse_args};
use crate::board::Seen;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::{Ended, Entry};

const NAME: &str = "WaitTask";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT_SECS: u64 = 300;

/// Waits for one of the caller's tasks and delivers its outcome.
///
/// A wait that times out, fails or is dropped has delivered nothing and leaves the task alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitTask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "agent:7".
    task_id: TaskIdArg,
    /// Default 30.
    #[serde(default)]
    timeout_secs: Option<SecsArg<MAX_TIMEOUT_SECS>>,
}

#[derive(Serialize)]
struct TimedOut {
    task_id: TaskId,
    status: &'static str,
    current: Entry,
}

#[async_trait]
impl Tool for WaitTask {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Waits for a background task and returns its result. Use it only when you cannot go \
             on without the result: results arrive by themselves.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task_id = cx.board().resolve(&args.task_id.0).await?;
        let timeout = args.timeout_secs.map_or(DEFAULT_TIMEOUT, SecsArg::duration);
        match cx.board().wait(task_id, timeout).await? {
            Seen::Ended(_) => delivered(cx, task_id).await,
            Seen::TimedOut(snapshot) => timed_out(&snapshot),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_secs(MAX_TIMEOUT_SECS + 30))
    }
}

async fn delivered(cx: &ToolContext, task_id: TaskId) -> Result<ToolOutput, ToolError> {
    match cx.board().claim(task_id).await {
        Ok(claim) => Ok(ToolOutput::json(&Ended::of(&claim, false))?.with_claim(claim)),
        Err(ClaimError::Delivered(other)) => ToolOutput::json(&Ended::of(other.finished(), true)),
        Err(error) => Err(error.into()),
    }
}

fn timed_out(snapshot: &Snapshot) -> Result<ToolOutput, ToolError> {
    let current = Entry::with_news(snapshot);
    ToolOutput::json(&TimedOut { task_id: snapshot.id, status: "timed_out", current })
}
