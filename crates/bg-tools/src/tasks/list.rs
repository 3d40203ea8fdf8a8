//! `ListBackgroundTasks`.

use async_trait::async_trait;
use bg_core::{Snapshot, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{CountArg, parse_args};
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::told::Mark;
use crate::tool::{Tool, ToolContext, ToolOutput};
use crate::view::{Entry, listed};

const NAME: &str = "ListBackgroundTasks";

/// Most tasks that a call looks at. Behind them it says only that there are more.
const MAX_TASKS: usize = 1000;

/// Lists the caller's live and undelivered tasks: a JSON array, ascending by number.
///
/// What a list of this caller's has shown and what has not changed since is counted, not repeated: the
/// last element is then `{"unchanged_tasks": N}`. When there are more than fit, it has
/// `omitted_tasks` and the number `after` which a next call lists them. A call with `after`, which is
/// 0 for the beginning, lists everything from there on, changed or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListBackgroundTasks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// List all tasks with a higher number, unchanged ones too.
    #[serde(default)]
    after: Option<CountArg<0, { u64::MAX }>>,
}

/// What a list does not show.
#[derive(Serialize)]
struct Rest {
    #[serde(skip_serializing_if = "is_zero")]
    unchanged_tasks: usize,
    #[serde(skip_serializing_if = "is_zero")]
    omitted_tasks: usize,
    /// There are more than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    and_more: bool,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[async_trait]
impl Tool for ListBackgroundTasks {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>(
            NAME,
            "Lists your background tasks: running ones, and ended ones whose result you have not \
             had. Not for waiting: results arrive by themselves, do not poll. What has not changed \
             since your last list is only counted.",
        )
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(NAME, args)?;
        let after = args.after.map(CountArg::get);
        let mut tasks = cx.board().list(after.unwrap_or(0), MAX_TASKS + 1).await?;
        let and_more = tasks.len() > MAX_TASKS;
        tasks.truncate(MAX_TASKS);
        let (total, looked_to) = (tasks.len(), tasks.last().map(|task| task.id.number()));
        if after.is_none() {
            tasks.retain(|task| cx.told().of(task.id).listed != Some(listed(task)));
        }
        let unchanged = total - tasks.len();
        let more_behind = looked_to.filter(|_| and_more);
        let mut list = List { unchanged, more_behind, ..List::of(cx, &tasks)? };
        while !cx.budget().fits(&list.text()?) && list.rows.pop().is_some() {}
        let output = ToolOutput::text(list.text()?);
        let shown = &tasks[..list.rows.len()];
        Ok(shown
            .iter()
            .fold(output, |output, task| output.marked(task.id, Mark::Listed(listed(task)))))
    }
}

/// The rows that fit, and what is to be said of the others.
#[derive(Default)]
struct List {
    rows: Vec<(TaskId, String)>,
    tasks: usize,
    unchanged: usize,
    /// The last task that was looked at, if there are others behind it.
    more_behind: Option<u64>,
}

impl List {
    fn of(cx: &ToolContext, tasks: &[Snapshot]) -> Result<Self, ToolError> {
        let mut left = cx.budget().tokens();
        let mut rows = Vec::new();
        for task in tasks {
            let is_known = cx.told().of(task.id).listed.is_some();
            let row = to_json(&Entry::of(task, is_known, usize::MAX))?;
            // The end of one and the begin of the next may be one token or two.
            let Some(less) = left.checked_sub(cx.budget().count(&row) + 1) else { break };
            left = less;
            rows.push((task.id, row));
        }
        Ok(Self { rows, tasks: tasks.len(), ..Self::default() })
    }

    fn text(&self) -> Result<String, ToolError> {
        let omitted_tasks = self.tasks - self.rows.len();
        let last_shown = self.rows.last().map(|(id, _)| id.number());
        let rest = Rest {
            unchanged_tasks: self.unchanged,
            omitted_tasks,
            and_more: self.more_behind.is_some(),
            after: if omitted_tasks > 0 { last_shown } else { self.more_behind },
        };
        let has_rest = self.unchanged + omitted_tasks > 0 || rest.and_more;
        let rest = has_rest.then(|| to_json(&rest)).transpose()?;
        let rows = self.rows.iter().map(|(_, row)| row.as_str());
        let rows: Vec<&str> = rows.chain(rest.as_deref()).collect();
        Ok(format!("[{}]", rows.join(",")))
    }
}
