//! Scopes: the handles through which callers touch tasks.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::claim::{Claim, Inbox};
use crate::close::CloseReport;
use crate::completer::Completer;
use crate::context::TaskContext;
use crate::error::{ClaimError, ResolveError, SpawnError, TaskError};
use crate::future::TaskFuture;
use crate::id::{TaskId, TaskRef};
use crate::log::OutputLog;
use crate::machine::{CancelOutcome, ScopeKey};
use crate::outcome::{Finished, Reason, TaskResult};
use crate::shared::{Shared, with_weak};
use crate::sync::{Arc, Weak};
use crate::task::{Snapshot, Task};
use crate::wait::Wait;

/// A capability: one caller's view of the registry.
///
/// A scope spawns, lists, waits for, claims and stops what it spawned itself. A task of another
/// scope of the same root is [`Forbidden`](TaskError::Forbidden); one of another root is
/// [`NotFound`](TaskError::NotFound), like a task that never existed.
///
/// Clones are the same scope. Handles hold the registry weakly: once it is gone, every call answers
/// `Closed`.
#[derive(Clone)]
pub struct Scope(Arc<ScopeCell>);

pub(crate) struct ScopeCell {
    pub(crate) shared: Weak<Shared>,
    pub(crate) key: ScopeKey,
}

impl Scope {
    pub(crate) fn new(shared: Weak<Shared>, key: ScopeKey) -> Self {
        Self(Arc::new(ScopeCell { shared, key }))
    }

    pub(crate) fn cell(&self) -> &Arc<ScopeCell> {
        &self.0
    }

    /// Starts a task. The closure runs inside the task's first poll, on the runtime of the caller.
    ///
    /// The task reaches one outcome whatever it does: return, error, panic, or an end of
    /// its future by somebody else.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; the closure is then dropped without being called.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bg_core::{Output, Registry, Task};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let registry = Registry::new();
    /// # let root = registry.root_scope();
    /// let id = root.spawn(Task::new("index", "warm the cache"), |cx| async move {
    ///     cx.trace("Read src/lib.rs");
    ///     let size: usize = "12".parse()?;
    ///     Ok(Output::text(format!("{size} entries")))
    /// })?;
    /// assert_eq!(id.to_string(), "task:1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<F, Fut>(&self, task: Task, body: F) -> Result<TaskId, SpawnError>
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let shared = self.0.shared.upgrade().ok_or(SpawnError::Closed)?;
        let Some(runtime) = shared.enter_runtime() else {
            let closed = shared.with(|machine, _, _| machine.is_closed());
            return Err(if closed { SpawnError::Closed } else { SpawnError::NoRuntime });
        };
        let key = self.0.key;
        let id = shared.with(|machine, fx, now| machine.spawn(key, task, false, now, fx))?;
        let context = TaskContext::new(self.0.shared.clone(), key.task(id.number()), id);
        // After the unlock: spawning may wake threads, run hooks, or drop the future at once.
        let handle = runtime.spawn(TaskFuture::new(context, body)).abort_handle();
        shared.with(|machine, fx, _| machine.attach(key.task(id.number()), handle, fx));
        Ok(id)
    }

    /// Registers work that is done elsewhere: the id first, the outcome later through the
    /// completer. Dropping the completer is an outcome too.
    ///
    /// # Errors
    ///
    /// [`SpawnError`], but not [`NoRuntime`](SpawnError::NoRuntime).
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Output, Registry, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, completer) = root.register(Task::agent("remote", "build"))?;
    /// completer.complete(Ok(Output::text("built")));
    /// assert_eq!(root.inbox().drain().next().map(|done| done.id), Some(id));
    /// # Ok::<(), bg_core::SpawnError>(())
    /// ```
    pub fn register(&self, task: Task) -> Result<(TaskId, Completer), SpawnError> {
        let shared = self.0.shared.upgrade().ok_or(SpawnError::Closed)?;
        shared.enter_runtime();
        let key = self.0.key;
        let id = shared.with(|machine, fx, now| machine.spawn(key, task, true, now, fx))?;
        let context = TaskContext::new(self.0.shared.clone(), key.task(id.number()), id);
        Ok((id, Completer::new(context)))
    }

    /// Returns the queue of outcomes that nobody has claimed yet.
    pub fn inbox(&self) -> Inbox {
        Inbox::new(self.clone())
    }

    /// Waits for tasks. Waiting observes: it claims nothing and changes nothing, so any number of
    /// waiters may wait for the same task, and be dropped at any time.
    ///
    /// See [`Wait`] for what it can be given and for its cancel safety.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bg_core::{Output, Registry, Task};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let registry = Registry::new();
    /// # let root = registry.root_scope();
    /// let id = root.spawn(Task::new("index", ""), |_| async { Ok(Output::text("done")) })?;
    /// let waited = root.wait([id]).timeout(Duration::from_secs(30)).await?;
    /// assert_eq!(waited.ended[0].id, id);
    /// // It is still in the inbox.
    /// assert_eq!(root.inbox().drain().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, ids: impl IntoIterator<Item = TaskId>) -> Wait {
        Wait::new(self.clone(), ids.into_iter().collect())
    }

    /// Claims the outcome of one task, for delivery to the caller.
    ///
    /// # Errors
    ///
    /// [`ClaimError`]: not this caller's, not ended, or delivered to somebody else; in the last
    /// case the error carries the outcome for reading.
    pub fn claim(&self, task: impl Into<TaskRef>) -> Result<Claim, ClaimError> {
        let task = task.into();
        let held = with_weak(&self.0.shared, |machine, fx, _| machine.claim(self.0.key, task, fx))
            .ok_or(TaskError::Closed)??;
        Ok(Claim::new(self.clone(), held))
    }

    /// Reads the outcome of a task, delivered or not, as long as it is kept.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NotEnded`] or [`ClaimError::Task`].
    pub fn outcome(&self, task: impl Into<TaskRef>) -> Result<Arc<Finished>, ClaimError> {
        let task = task.into();
        with_weak(&self.0.shared, |machine, _, _| machine.read(self.0.key, task))
            .ok_or(TaskError::Closed)?
    }

    /// Requests a stop of a task and of everything below it. Idempotent.
    ///
    /// A task that never asked for its token is aborted at once. One that did is told through it
    /// and aborted when its grace is over. The outcome tells how it went; this call does not wait.
    ///
    /// # Errors
    ///
    /// [`TaskError`]; nothing was stopped.
    pub fn cancel(
        &self,
        task: impl Into<TaskRef>,
        reason: impl Into<String>,
    ) -> Result<CancelOutcome, TaskError> {
        let (task, reason) = (task.into(), Reason::Requested(reason.into()));
        with_weak(&self.0.shared, |machine, fx, now| {
            machine.cancel(self.0.key, task, &reason, now, fx)
        })
        .ok_or(TaskError::Closed)?
    }

    /// Requests a stop of everything that runs in this scope; returns how many tasks of the scope
    /// were not being stopped already.
    pub fn cancel_all(&self, reason: impl Into<String>) -> usize {
        let reason = Reason::Requested(reason.into());
        with_weak(&self.0.shared, |machine, fx, now| {
            machine.cancel_all(self.0.key, &reason, now, fx)
        })
        .unwrap_or(0)
    }

    /// Closes the scope: refuses new tasks, stops everything below it with one deadline for the
    /// whole subtree, and says what became of it. Returns by `grace` and one second more.
    ///
    /// Outcomes stay in the inbox.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop: the stop goes on, only the report is lost.
    pub async fn close(&self, grace: Duration) -> CloseReport {
        crate::close::close(&self.0, grace).await
    }

    /// Lists the live and undelivered tasks of this scope, by number.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        with_weak(&self.0.shared, |machine, _, now| machine.list(self.0.key, now))
            .unwrap_or_default()
            .into_iter()
            .map(measure)
            .collect()
    }

    /// Shows one task of this scope, as long as it is kept.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn inspect(&self, task: impl Into<TaskRef>) -> Result<Snapshot, TaskError> {
        let task = task.into();
        with_weak(&self.0.shared, |machine, _, now| machine.inspect(self.0.key, task, now))
            .ok_or(TaskError::Closed)?
            .map(measure)
    }

    /// Returns the delivered outcomes that are still kept, the oldest first.
    pub fn history(&self) -> Vec<Arc<Finished>> {
        with_weak(&self.0.shared, |machine, _, _| machine.history(self.0.key)).unwrap_or_default()
    }

    /// Returns the output log of a task; `None` if it has not written anything.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn log(&self, task: impl Into<TaskRef>) -> Result<Option<OutputLog>, TaskError> {
        let task = task.into();
        with_weak(&self.0.shared, |machine, _, _| machine.task_log(self.0.key, task))
            .ok_or(TaskError::Closed)?
    }

    /// Reads a text as the id of one of this caller's tasks; see [`TaskRef`] for what it may be.
    ///
    /// # Errors
    ///
    /// [`ResolveError`]. A word that is not a registered kind is malformed; a right number under
    /// a wrong kind is not found.
    pub fn resolve(&self, text: &str) -> Result<TaskId, ResolveError> {
        let task: TaskRef = text.parse()?;
        with_weak(&self.0.shared, |machine, _, _| {
            if task.kind().is_some_and(|kind| !machine.knows(kind)) {
                return Err(crate::id::ParseIdError::new(text).into());
            }
            Ok(machine.resolve(self.0.key, task)?)
        })
        .ok_or(TaskError::Closed)?
    }
}

pub(crate) fn measure((mut snapshot, log): (Snapshot, Option<OutputLog>)) -> Snapshot {
    snapshot.output_bytes = log.map_or(0, |log| log.total());
    snapshot
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.0.key).finish()
    }
}

impl Drop for ScopeCell {
    fn drop(&mut self) {
        if self.key.owner == ScopeKey::ROOT_OWNER {
            let root = self.key.root;
            let released = with_weak(&self.shared, |machine, fx, _| machine.abandon(root, fx));
            if let Some(outcomes @ 1..) = released {
                tracing::debug!(root = root.0, outcomes, "released with the last handle of a root");
            }
        }
    }
}
