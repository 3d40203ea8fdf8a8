//! `WaitTasks`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{
    Claim, ClaimError, Finished, ResolveError, Snapshot, TaskError, TaskId, WaitFor, text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wait::{DEADLINE, DEFAULT_TIMEOUT, MAX_TIMEOUT_SECS, wait};
use crate::answers::{known, note_of};
use crate::args::{SecsArg, TaskIdArg, parse_args};
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::told::Mark;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::{Ended, Ending, Entry, seen};

const NAME: &str = "WaitTasks";

/// Tokens that each task may need whatever is left out: a call takes as many ids as fit.
const TOKENS_PER_TASK: usize = 100;

/// Longest id that is repeated when it is none, and longest text of a task that goes on, in bytes.
const MAX_ID_BYTES: usize = 64;
const MAX_PENDING_BYTES: usize = 200;

/// Waits for several of the caller's tasks, of whatever kinds, and delivers the outcomes of all that
/// have ended by then.
///
/// An id that is given twice counts once. What is not the id of one of the caller's tasks is told in
/// its place, and the others are waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitTasks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Each such as "agent:7".
    #[schemars(length(min = 1))]
    task_ids: Vec<TaskIdArg>,
    /// Who has to end; default all.
    #[serde(default)]
    until: Option<UntilArg>,
    /// Default 30; then the tasks go on.
    #[serde(default)]
    timeout_secs: Option<SecsArg<MAX_TIMEOUT_SECS>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum UntilArg {
    Any,
    All,
    FirstSuccess,
}

impl From<UntilArg> for WaitFor {
    fn from(arg: UntilArg) -> Self {
        match arg {
            UntilArg::Any => Self::Any,
            UntilArg::All => Self::All,
            UntilArg::FirstSuccess => Self::FirstSuccess,
        }
    }
}

#[async_trait]
impl Tool for WaitTasks {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Waits for several background tasks at once and returns the results of those that have \
             ended. Call it only when you cannot go on without them: results arrive by themselves.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        check_count(cx, args.task_ids.len())?;
        let until = args.until.map_or(WaitFor::All, WaitFor::from);
        let timeout = args.timeout_secs.map_or(DEFAULT_TIMEOUT, SecsArg::duration);
        let asked = resolve(cx, args.task_ids).await?;
        let tasks: Vec<TaskId> =
            asked.iter().filter_map(|asked| asked.as_ref().ok().copied()).collect();
        let (seen, not_ended) = wait(cx, &tasks, until, timeout).await?;
        answer(cx, asked, seen.pending, not_ended).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(DEADLINE)
    }
}

fn check_count(cx: &ToolContext, count: usize) -> Result<(), ToolError> {
    let most = cx.budget().tokens() / TOKENS_PER_TASK;
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(ToolError::argument(NAME, format!("`task_ids`: expected 1 to {most} ids, not {count}")))
}

/// An id that is none of the caller's tasks.
#[derive(Serialize)]
struct Refused {
    task_id: String,
    status: &'static str,
}

/// Reads the ids, each once, in their order.
async fn resolve(
    cx: &ToolContext,
    written: Vec<TaskIdArg>,
) -> Result<Vec<Result<TaskId, Refused>>, ToolError> {
    let mut asked: Vec<Result<TaskId, Refused>> = Vec::new();
    for TaskIdArg(written) in written {
        let status = match cx.board().resolve(&written).await {
            Ok(task) if asked.iter().any(|asked| asked.as_ref().is_ok_and(|id| *id == task)) => {
                continue;
            }
            Ok(task) => {
                asked.push(Ok(task));
                continue;
            }
            Err(ResolveError::Task(TaskError::NotFound(_))) => "not_found",
            Err(ResolveError::Task(TaskError::Forbidden(_))) => "forbidden",
            Err(ResolveError::Task(error)) => return Err(error.into()),
            Err(_) => "parse_error",
        };
        asked.push(Err(Refused { task_id: written, status }));
    }
    Ok(asked)
}

/// One of the tasks that were asked for.
enum Found {
    Ended { finished: Arc<Finished>, claim: Option<Claim> },
    Pending(Snapshot),
    Refused(Refused),
}

/// The same as it is shown.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Ended(Ended),
    Pending { task_id: TaskId, status: &'static str, current: Entry },
    Refused(Refused),
}

#[derive(Serialize)]
struct Answer {
    tasks: Vec<Shown>,
    summary: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

async fn answer(
    cx: &ToolContext,
    asked: Vec<Result<TaskId, Refused>>,
    pending: Vec<Snapshot>,
    not_ended: Option<&'static str>,
) -> Result<ToolOutput, ToolError> {
    let found = find(cx, asked, pending).await?;
    let most = found.iter().map(Found::most_bytes).max().unwrap_or(0);
    let (text, marks) = cx.budget().fit(most, |room| {
        let (tasks, marks): (Vec<_>, Vec<_>) =
            found.iter().map(|found| found.at(cx, room, not_ended)).unzip();
        let mut summary = BTreeMap::from([("total", tasks.len())]);
        for task in &tasks {
            *summary.entry(task.status()).or_default() += 1;
        }
        let note = not_ended.and_then(note_of);
        let text = to_json(&Answer { tasks, summary, note })?;
        Ok((text, marks.into_iter().flatten().collect::<Vec<_>>()))
    })?;
    let mut output = ToolOutput::text(text);
    output.marks = marks;
    let claims = found.into_iter().filter_map(|found| match found {
        Found::Ended { claim, .. } => claim,
        _ => None,
    });
    output.claims = claims.collect();
    Ok(output)
}

/// Claims what has ended.
async fn find(
    cx: &ToolContext,
    asked: Vec<Result<TaskId, Refused>>,
    pending: Vec<Snapshot>,
) -> Result<Vec<Found>, ToolError> {
    let mut pending: BTreeMap<TaskId, Snapshot> =
        pending.into_iter().map(|snapshot| (snapshot.id, snapshot)).collect();
    let mut found = Vec::new();
    for asked in asked {
        found.push(match asked {
            Err(refused) => Found::Refused(refused),
            Ok(task) => match pending.remove(&task) {
                Some(snapshot) => Found::Pending(snapshot),
                None => Found::claimed(cx.board().claim(task).await)?,
            },
        });
    }
    Ok(found)
}

impl Found {
    fn claimed(claimed: Result<Claim, ClaimError>) -> Result<Self, ToolError> {
        match claimed {
            Ok(claim) => Ok(Self::Ended { finished: claim.finished().clone(), claim: Some(claim) }),
            Err(ClaimError::Delivered(other)) => {
                Ok(Self::Ended { finished: other.finished().clone(), claim: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn most_bytes(&self) -> usize {
        match self {
            Self::Ended { finished, claim } => Ending::of(finished, claim.is_some()).most_bytes(),
            Self::Pending(_) => MAX_PENDING_BYTES,
            Self::Refused(_) => MAX_ID_BYTES,
        }
    }

    /// Shows it with so many bytes of free text.
    fn at(
        &self,
        cx: &ToolContext,
        room: usize,
        not_ended: Option<&'static str>,
    ) -> (Shown, Vec<(TaskId, Mark)>) {
        match self {
            Self::Ended { finished, claim } => {
                let note = known(cx, finished.id, claim.is_some());
                let (ended, mark) =
                    Ending { note, ..Ending::of(finished, claim.is_some()) }.at(room);
                let marks = mark.into_iter().chain([Mark::Ended]).map(|mark| (finished.id, mark));
                (Shown::Ended(ended), marks.collect())
            }
            Self::Pending(snapshot) => {
                let known = cx.told().of(snapshot.id);
                let current = Entry::of(snapshot, known.is_known(), room);
                let current = current.with_news(snapshot, room);
                let (task_id, status) =
                    (snapshot.id, not_ended.unwrap_or(snapshot.status.as_str()));
                let marks = vec![(task_id, Mark::Seen(seen(snapshot)))];
                (Shown::Pending { task_id, status, current }, marks)
            }
            Self::Refused(Refused { task_id, status }) => {
                let task_id = text::excerpt(task_id, MAX_ID_BYTES.min(room));
                (Shown::Refused(Refused { task_id, status }), Vec::new())
            }
        }
    }
}

impl Shown {
    fn status(&self) -> &'static str {
        match self {
            Self::Ended(ended) => ended.status(),
            Self::Pending { status, .. } => status,
            Self::Refused(refused) => refused.status,
        }
    }
}
