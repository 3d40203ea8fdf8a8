//! The unscoped view, for humans at a terminal.

use crate::id::TaskId;
use crate::machine::{CancelOutcome, RootId};
use crate::outcome::Reason;
use crate::shared::Shared;
use crate::sync::Arc;
use crate::task::Snapshot;

/// The registry's unscoped view: it sees every root and stops anything. For the human who runs the
/// host; not to be given to a model.
///
/// # Examples
///
/// ```
/// use bg_core::{Registry, Task};
///
/// let registry = Registry::new();
/// let (first, second) = (registry.root_scope(), registry.root_scope());
/// let (_, _building) = first.register(Task::agent("remote", "build"))?;
/// let (id, _testing) = second.register(Task::agent("remote", "test"))?;
/// let admin = registry.admin();
/// let all = admin.snapshot();
/// assert_eq!((all[1].root, all[1].task.id), (2, id));
/// admin.cancel(2, id, "not now");
/// assert_eq!(admin.stats().live, 1);
/// # Ok::<(), bg_core::SpawnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admin(pub(crate) Arc<Shared>);

/// A task as an [`Admin`] sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdminTask {
    /// The number of its root, from 1.
    pub root: u64,
    /// The task that owns it; `None` for one of the root's own.
    pub owner: Option<TaskId>,
    /// Whether somebody waits for it: no scope lists it then.
    pub foreground: bool,
    /// What a list shows of it.
    pub task: Snapshot,
}

/// How much there is in a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Roots with a handle or with something that runs.
    pub roots: usize,
    /// Tasks that have not ended.
    pub live: usize,
    /// Of these, those that wait for a slot.
    pub queued: usize,
    /// Outcomes that were not acknowledged.
    pub undelivered: usize,
    /// Bytes of these.
    pub undelivered_bytes: u64,
    /// Bytes that output logs keep; see [`Limits::output_bytes`](crate::Limits::output_bytes).
    pub output_bytes: u64,
    /// Acknowledged outcomes that can still be read.
    pub kept: usize,
    /// Ends that were reported for tasks which had ended before, and changed nothing.
    pub superseded: u64,
}

impl Admin {
    /// Lists the live and undelivered tasks of all roots, by root and number.
    pub fn snapshot(&self) -> Vec<AdminTask> {
        self.0.call_at(|machine, now, _| machine.list_all(now)).unwrap_or_default()
    }

    /// Requests a stop of a task whoever owns it; `None` if there is none.
    pub fn cancel(
        &self,
        root: u64,
        task: TaskId,
        reason: impl Into<Arc<str>>,
    ) -> Option<CancelOutcome> {
        let reason = Reason::Requested(reason.into());
        let root = RootId(root);
        self.0.call_at(|machine, now, fx| machine.cancel_any(root, task, reason, now, fx)).flatten()
    }

    /// Requests a stop of everything in all roots; returns how many of the roots' own tasks were
    /// not being stopped already.
    pub fn cancel_all(&self, reason: impl Into<Arc<str>>) -> usize {
        let reason = Reason::Requested(reason.into());
        self.0.call(|machine, fx| machine.cancel_everything(&reason, fx)).unwrap_or(0)
    }

    /// Counts what there is.
    pub fn stats(&self) -> Stats {
        self.0.call(|machine, _| machine.stats()).unwrap_or_default()
    }
}
