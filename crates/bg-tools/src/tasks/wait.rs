//! `WaitTask`.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{TaskId, WaitFor};
use futures_util::future::{Either, select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::answers::{INTERRUPTED, StillRunning, deliver};
use crate::args::{SecsArg, TaskIdArg, parse_args};
use crate::board::Seen;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::tool::{Tool, ToolContext, ToolOutput};

const NAME: &str = "WaitTask";
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const MAX_TIMEOUT_SECS: u64 = 300;

/// How long a wait may take: the longest time-out, and the answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(MAX_TIMEOUT_SECS + 30);

/// Waits for one of the caller's tasks and delivers its outcome.
///
/// A wait that times out, fails, is interrupted or is dropped has delivered nothing and leaves the
/// task alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitTask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Such as "agent:7".
    task_id: TaskIdArg,
    /// Default 30; then the task goes on.
    #[serde(default)]
    timeout_secs: Option<SecsArg<MAX_TIMEOUT_SECS>>,
}

#[async_trait]
impl Tool for WaitTask {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Waits for a background task and returns its result. Call it only when you cannot go \
             on without the result, not right after starting the task and not in a loop: results \
             arrive by themselves.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let task = cx.board().resolve(&args.task_id.0).await?;
        let timeout = args.timeout_secs.map_or(DEFAULT_TIMEOUT, SecsArg::duration);
        let (_, not_ended) = wait(cx, &[task], WaitFor::All, timeout).await?;
        let Some(status) = not_ended else {
            return deliver(cx, cx.board().claim(task).await, false);
        };
        let clamped = args.timeout_secs.filter(|timeout| timeout.was_clamped());
        still_running(cx, task, status, clamped.map(|_| timeout.as_secs())).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(DEADLINE)
    }
}

/// Waits no longer than the call may take, and says in a word what has come before the end: the end
/// of that time, or the caller's token. Nothing is waited for in vain: without tasks it is over at
/// once.
pub(super) async fn wait(
    cx: &ToolContext,
    tasks: &[TaskId],
    until: WaitFor,
    timeout: Duration,
) -> Result<(Seen, Option<&'static str>), ToolError> {
    if tasks.is_empty() {
        return Ok((Seen::default(), None));
    }
    let seen = pin!(cx.board().wait(tasks, until, cx.patience(timeout)));
    let (seen, word) = match select(seen, pin!(cx.token().cancelled())).await {
        Either::Left((seen, _)) => (seen?, "timed_out"),
        // What has ended by now is told, even to a caller that is being stopped.
        Either::Right(((), _)) => {
            (cx.board().wait(tasks, until, Duration::ZERO).await?, INTERRUPTED)
        }
    };
    let not_ended = seen.timed_out.then_some(word);
    Ok((seen, not_ended))
}

async fn still_running(
    cx: &ToolContext,
    task: TaskId,
    status: &'static str,
    clamped_secs: Option<u64>,
) -> Result<ToolOutput, ToolError> {
    let snapshot = cx.board().inspect(task).await?;
    let mut room = cx.budget().most_bytes();
    loop {
        let (answer, marks) = StillRunning::of(cx, status, &snapshot, room).await?;
        let text = to_json(&answer.after(clamped_secs))?;
        let Some(less) = cx.budget().smaller(room, &text) else {
            let output = ToolOutput::text(text);
            return Ok(marks.into_iter().fold(output, |output, mark| output.marked(task, mark)));
        };
        room = less;
    }
}
