//! What a task can do with itself.

use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::id::TaskId;
use crate::log::{LogCaps, OutputLog};
use crate::machine::{Ending, Key, ScopeKey};
use crate::scope::Scope;
use crate::shared::{Shared, with_weak};
use crate::sync::Weak;

/// A task's handle to itself: it reports, asks whether to stop, writes output and spawns children.
///
/// Clones are handles of the same task. What is reported after the task has ended is ignored.
#[derive(Clone)]
pub struct TaskContext {
    shared: Weak<Shared>,
    key: Key,
    id: TaskId,
}

impl TaskContext {
    pub(crate) fn new(shared: Weak<Shared>, key: Key, id: TaskId) -> Self {
        Self { shared, key, id }
    }

    /// Returns the id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Reports the step: the status becomes `Running { step }`.
    pub fn step(&self, step: u32) {
        with_weak(&self.shared, |machine, fx, _| machine.step(self.key, step, fx));
    }

    /// Traces a line, to be delivered with the outcome. At most
    /// [`MAX_TRACE_LINES`](crate::Finished::MAX_TRACE_LINES) lines of at most 2,000 bytes are kept.
    pub fn trace(&self, line: impl Into<String>) {
        let line = line.into();
        with_weak(&self.shared, |machine, fx, _| machine.trace(self.key, line, fx));
    }

    /// Returns the token that fires when the task is stopped.
    ///
    /// Asking for it is a promise to listen: from then on a stop gives the task its grace before
    /// it is aborted.
    pub fn token(&self) -> CancellationToken {
        let token = with_weak(&self.shared, |machine, _, _| machine.token(self.key)).flatten();
        token.unwrap_or_else(fired)
    }

    /// Returns the output log, made on first use with the default caps.
    pub fn log(&self) -> OutputLog {
        self.log_with(LogCaps::default())
    }

    /// Returns the output log; `caps` hold if this is its first use.
    pub fn log_with(&self, caps: LogCaps) -> OutputLog {
        let log = with_weak(&self.shared, |machine, _, _| machine.log(self.key, caps)).flatten();
        // After the end: a log that nobody reads.
        log.unwrap_or_else(|| OutputLog::new(LogCaps { head: 0, tail: 0 }))
    }

    /// Returns the scope for children. They are stopped when this task ends.
    pub fn scope(&self) -> Scope {
        let key = ScopeKey { root: self.key.root, owner: self.key.number };
        Scope::new(self.shared.clone(), key)
    }

    pub(crate) fn start(&self) {
        with_weak(&self.shared, |machine, fx, _| machine.start(self.key, fx));
    }

    pub(crate) fn finish(&self, ending: Ending) {
        with_weak(&self.shared, |machine, fx, now| machine.finish(self.key, ending, now, fx));
    }

    pub(crate) fn attach(&self, handle: tokio::task::AbortHandle) {
        let spare = handle.clone();
        if with_weak(&self.shared, |machine, fx, _| machine.attach(self.key, handle, fx)).is_none()
        {
            spare.abort();
        }
    }
}

fn fired() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext").field("id", &self.id).finish_non_exhaustive()
    }
}
