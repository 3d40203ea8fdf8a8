//! What a caller has been told, so that no answer tells it again.
//!
//! An answer is made from what the caller knows and carries marks of what it adds. The marks count
//! from the moment when the answer is acknowledged, together with the outcomes that it delivers: if
//! the host's turn fails, the model has seen nothing of it, and the next answer tells it all.
//!
//! # Invariants
//!
//! - T1: what was shown stays shown; marks of concurrent calls may be kept in any order.
//! - T2: at most [`MAX_TASKS`] tasks are remembered. A task that is forgotten is told in full again.
//! - T3: nothing of a user's runs under the lock. It is the only lock of this crate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bg_core::{Claim, TaskId};
use parking_lot::Mutex;

use crate::tool::ToolOutput;

/// Most tasks of which is remembered what the caller knows.
const MAX_TASKS: usize = 1024;

/// What a caller knows of its tasks. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<TaskId, Note>>>);

/// What a caller knows of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// What a list showed of it last.
    pub(crate) listed: Option<u64>,
    /// What a wait that timed out saw of it last.
    pub(crate) seen: Option<u64>,
    /// Everything before this offset of its output was shown.
    pub(crate) read: u64,
    /// The end of what was shown of it.
    pub(crate) shown: u64,
    /// Its outcome was shown.
    pub(crate) ended: bool,
}

/// What an answer adds to that. Looks at a task are kept as hashes: all that is asked of them is
/// whether the next one is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Listed(u64),
    Seen(u64),
    /// A piece of the output, from one offset to another.
    Shown(u64, u64),
    Ended,
}

impl Note {
    /// Returns whether the caller was told what the task is.
    pub(crate) fn is_known(&self) -> bool {
        self.listed.is_some() || self.seen.is_some()
    }

    fn add(&mut self, mark: Mark) {
        match mark {
            Mark::Listed(look) => self.listed = Some(look),
            Mark::Seen(look) => self.seen = Some(look),
            Mark::Shown(from, to) => {
                if from <= self.read {
                    self.read = self.read.max(to);
                }
                self.shown = self.shown.max(to);
            }
            Mark::Ended => self.ended = true,
        }
    }
}

impl Told {
    pub(crate) fn of(&self, task: TaskId) -> Note {
        self.0.lock().get(&task).copied().unwrap_or_default()
    }

    fn keep(&self, marks: Vec<(TaskId, Mark)>) {
        let mut tasks = self.0.lock();
        for (task, mark) in marks {
            tasks.entry(task).or_default().add(mark);
        }
        while tasks.len() > MAX_TASKS {
            // The oldest: ids count up.
            tasks.pop_first();
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("tasks", &self.0.lock().len()).finish()
    }
}

/// What an answer delivers: outcomes, and the knowledge of what it showed.
///
/// Dropping it takes both back: the outcomes go to the inbox again, and a later answer shows again
/// what this one did. A careful host keeps it until its turn is committed.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Registry, Task};
/// use bg_tools::{ToolContext, Toolbox, task_tools};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (_, completer) = root.register(Task::agent("explore", "map repo"))?;
/// completer.complete(Ok(Output::text("3 crates")));
///
/// let toolbox = Toolbox::new().with_all(task_tools())?;
/// let cx = ToolContext::new(root.clone());
/// let called = toolbox.call(&cx, "WaitTask", r#"{"task_id": 1}"#).await;
/// drop(called.claims); // the turn has failed
/// assert_eq!(root.inbox().drain().count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "dropping it gives back what the answer delivers"]
pub struct Claims {
    outcomes: Vec<Claim>,
    marks: Vec<(TaskId, Mark)>,
    told: Option<Told>,
}

impl Claims {
    pub(crate) fn new(told: &Told) -> Self {
        Self { told: Some(told.clone()), ..Self::default() }
    }

    /// Takes what an answer delivers.
    pub(crate) fn take(&mut self, output: &mut ToolOutput) {
        self.outcomes.append(&mut output.claims);
        self.marks.append(&mut output.marks);
    }

    /// Acknowledges everything, and returns the outcomes that were delivered.
    pub fn ack(self) -> Vec<Arc<bg_core::Finished>> {
        if let Some(told) = self.told {
            told.keep(self.marks);
        }
        self.outcomes.into_iter().map(Claim::ack).collect()
    }

    /// Returns the claims of the outcomes.
    pub fn outcomes(&self) -> &[Claim] {
        &self.outcomes
    }

    /// Returns whether no outcome is delivered.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }
}
