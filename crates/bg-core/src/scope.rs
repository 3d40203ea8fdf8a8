//! Scopes: the handles through which callers touch tasks.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::cell::{ScopeCell, WeakScope};
use crate::claim::{Claim, Inbox};
use crate::close::CloseReport;
use crate::completer::Completer;
use crate::context::TaskContext;
use crate::error::{ClaimError, ResolveError, SendError, SpawnError, TaskError};
use crate::foreground::Foreground;
use crate::future::{TaskFuture, Waiting};
use crate::id::{TaskId, TaskRef};
use crate::log::OutputLog;
use crate::machine::{CancelOutcome, Key, ScopeKey, Spawned};
use crate::mailbox::Message;
use crate::outcome::{Finished, Reason, TaskResult};
use crate::shared::Shared;
use crate::sync::Arc;
use crate::task::{Snapshot, Task};
use crate::view::{Peek, Peeked};
use crate::wait::Wait;
use crate::watch::StatusWatch;

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

impl Scope {
    pub(crate) fn new(shared: Arc<Shared>, key: ScopeKey) -> Self {
        Self(Arc::new(ScopeCell::new(shared, key)))
    }

    pub(crate) fn of(cell: Arc<ScopeCell>) -> Self {
        Self(cell)
    }

    /// Returns a handle that does not keep the root open: for what is kept by, or beside, a task of
    /// the same root.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Registry;
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let weak = root.downgrade();
    /// assert!(weak.upgrade().is_some_and(|scope| scope.downgrade() == weak));
    /// drop(root);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakScope {
        WeakScope::new(&self.0)
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
        if !self.0.enter_runtime() {
            let open = self.0.shared.call(|_, _| ()).is_some();
            return Err(if open { SpawnError::NoRuntime } else { SpawnError::Closed });
        }
        let spawned = self.add(task, false)?;
        let key = self.0.key.task(spawned.id.number());
        let context = TaskContext::new(self.0.shared.clone(), key.root, spawned.id);
        let future = TaskFuture::new(context, body);
        if spawned.queued {
            self.enqueue(key, future);
        } else {
            // After the unlock: spawning may wake threads, run hooks, or drop the future at once.
            let handle = tokio::spawn(future);
            self.0.shared.attach(key, handle);
        }
        Ok(spawned.id)
    }

    fn enqueue<F, Fut>(&self, key: Key, future: TaskFuture<F, Fut>)
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let start = Box::new(Waiting { runtime: Handle::current(), future });
        self.0.shared.with(|machine, fx| machine.enqueue(key, start, fx));
    }

    /// What `spawn` gives to the runtime, for models, which have none.
    #[cfg(any(bg_loom, bg_shuttle))]
    #[doc(hidden)]
    pub fn future_of<F, Fut>(
        &self,
        task: Task,
        body: F,
    ) -> Result<(TaskId, impl Future<Output = ()> + Send + use<F, Fut>), SpawnError>
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        let id = self.add(task, false)?.id;
        let context = TaskContext::new(self.0.shared.clone(), self.0.key.root, id);
        Ok((id, TaskFuture::new(context, body)))
    }

    fn add(&self, task: Task, external: bool) -> Result<Spawned, SpawnError> {
        let (scope, deadline) = (self.0.key, task.deadline);
        let shared = &self.0.shared;
        let spawned =
            shared.call_at(|machine, now, fx| machine.spawn(scope, task, external, now, fx));
        let spawned = spawned.ok_or(SpawnError::Closed)??;
        if let Some(deadline) = deadline {
            shared.stop_after(scope.task(spawned.id.number()), deadline);
        }
        Ok(spawned)
    }

    /// Registers work that is done elsewhere: the id first, the outcome later through the
    /// completer. Dropping the completer is an outcome too.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; [`NoRuntime`](SpawnError::NoRuntime) only for a task with a deadline, which
    /// needs a runtime to watch it.
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
        let in_runtime = self.0.enter_runtime();
        if task.deadline.is_some() && !in_runtime {
            return Err(SpawnError::NoRuntime);
        }
        let id = self.add(task, true)?.id;
        let context = TaskContext::new(self.0.shared.clone(), self.0.key.root, id);
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
        let held = self
            .0
            .shared
            .call_at(|machine, now, fx| {
                machine.expire(self.0.key.root, now, fx);
                machine.claim(self.0.key, task, fx)
            })
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
        self.0
            .shared
            .call_at(|machine, now, fx| machine.read(self.0.key, task, now, fx))
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
        reason: impl Into<Arc<str>>,
    ) -> Result<CancelOutcome, TaskError> {
        let (task, reason) = (task.into(), Reason::Requested(reason.into()));
        self.0
            .shared
            .call_at(|machine, now, fx| machine.cancel(self.0.key, task, reason, now, fx))
            .ok_or(TaskError::Closed)?
    }

    /// Requests a stop of everything that runs in this scope; returns how many tasks of the scope
    /// were not being stopped already.
    pub fn cancel_all(&self, reason: impl Into<Arc<str>>) -> usize {
        let reason = Reason::Requested(reason.into());
        self.0.shared.call(|machine, fx| machine.cancel_all(self.0.key, reason, fx)).unwrap_or(0)
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
        crate::close::close(self, grace).await
    }

    /// Lists the live and undelivered tasks of this scope, by number. Foreground tasks are not
    /// listed.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        self.0.shared.call_at(|machine, now, _| machine.list(self.0.key, now)).unwrap_or_default()
    }

    /// Counts the tasks of this scope that have not ended, foreground tasks among them.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Output, Registry, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (_, completer) = root.register(Task::agent("remote", "build"))?;
    /// assert_eq!(root.live(), 1);
    /// completer.complete(Ok(Output::default()));
    /// assert_eq!(root.live(), 0);
    /// # Ok::<(), bg_core::SpawnError>(())
    /// ```
    pub fn live(&self) -> usize {
        self.0.shared.call(|machine, _| machine.live(self.0.key)).unwrap_or(0)
    }

    /// Lists a page of them: at most `max` with a number above `after`, which is 0 for the first
    /// page and the number of the last task of a page for the next one.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Registry, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (_, _first) = root.register(Task::new("first", ""))?;
    /// let (_, _second) = root.register(Task::new("second", ""))?;
    /// let page = root.page(0, 1);
    /// assert_eq!(page[0].label(), "first");
    /// assert_eq!(root.page(page[0].id.number(), 1)[0].label(), "second");
    /// # Ok::<(), bg_core::SpawnError>(())
    /// ```
    pub fn page(&self, after: u64, max: usize) -> Vec<Snapshot> {
        self.0
            .shared
            .call_at(|machine, now, _| machine.page(self.0.key, after, max, now))
            .unwrap_or_default()
    }

    /// Shows one task of this scope, as long as it is kept.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn inspect(&self, task: impl Into<TaskRef>) -> Result<Snapshot, TaskError> {
        let task = task.into();
        self.0
            .shared
            .call_at(|machine, now, fx| machine.inspect(self.0.key, task, now, fx))
            .ok_or(TaskError::Closed)?
    }

    /// Watches the status of one task.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn watch(&self, task: impl Into<TaskRef>) -> Result<StatusWatch, TaskError> {
        let task = task.into();
        self.0
            .shared
            .call(|machine, _| machine.watch(self.0.key, task))
            .ok_or(TaskError::Closed)?
            .map(StatusWatch::new)
    }

    /// Looks at the recent messages of a task that has attached a view of them; a task without one
    /// shows none. See [`View`](crate::View).
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn peek(&self, task: impl Into<TaskRef>, peek: Peek) -> Result<Peeked, TaskError> {
        let task = task.into();
        let view = self
            .0
            .shared
            .call_at(|machine, now, fx| {
                machine.expire(self.0.key.root, now, fx);
                machine.task_view(self.0.key, task)
            })
            .ok_or(TaskError::Closed)??;
        Ok(view.map_or_else(Peeked::default, |view| peek.at(&*view)))
    }

    /// Sends a message to a task that has asked for its [`Mailbox`](crate::Mailbox), or that was
    /// [given one](Task::mailbox).
    ///
    /// # Errors
    ///
    /// [`SendError`]; the message was not kept.
    pub fn send(
        &self,
        task: impl Into<TaskRef>,
        message: impl Into<Message>,
    ) -> Result<(), SendError> {
        let (task, message) = (task.into(), message.into());
        let found = self.0.shared.call(|machine, _| {
            let id = machine.resolve(self.0.key, task)?;
            machine.mailbox_of(self.0.key, task).map(|mailbox| (id, mailbox))
        });
        let (id, mailbox) = found.ok_or(TaskError::Closed)??;
        match mailbox.send(id, message) {
            // The mailbox does not know whether that is because the task has ended.
            Err(SendError::Closed(id)) => Err(self.why_unsent(id)),
            sent => sent,
        }
    }

    fn why_unsent(&self, id: TaskId) -> SendError {
        let found =
            self.0.shared.call(|machine, _| machine.mailbox_of(self.0.key, id.into()).map(|_| ()));
        match found {
            Some(Ok(())) => SendError::Closed(id),
            Some(Err(error)) => error,
            None => TaskError::Closed.into(),
        }
    }

    /// Takes charge of a foreground task: a future of its outcome, which stops it when it is
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn foreground(&self, task: impl Into<TaskRef>) -> Result<Foreground, TaskError> {
        let task = task.into();
        let id = self
            .0
            .shared
            .call(|machine, _| machine.resolve(self.0.key, task))
            .ok_or(TaskError::Closed)??;
        Ok(Foreground::new(self.clone(), id))
    }

    /// Makes an ordinary task of a foreground task: it is listed, and its outcome comes through the
    /// inbox. Returns whether it was one. It takes no slot: it runs already.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn detach(&self, task: impl Into<TaskRef>) -> Result<bool, TaskError> {
        let task = task.into();
        self.0
            .shared
            .call_at(|machine, now, fx| machine.detach(self.0.key, task, now, fx))
            .ok_or(TaskError::Closed)?
    }

    /// Returns the delivered outcomes that are still kept, the oldest first.
    pub fn history(&self) -> Vec<Arc<Finished>> {
        self.0
            .shared
            .call_at(|machine, now, fx| machine.history(self.0.key, now, fx))
            .unwrap_or_default()
    }

    /// Returns the output log of a task; `None` if it has not written anything.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn log(&self, task: impl Into<TaskRef>) -> Result<Option<OutputLog>, TaskError> {
        let task = task.into();
        self.0
            .shared
            .call_at(|machine, now, fx| {
                machine.expire(self.0.key.root, now, fx);
                machine.task_log(self.0.key, task)
            })
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
        self.0
            .shared
            .call(|machine, _| {
                if task.kind().is_some_and(|kind| !machine.knows(kind)) {
                    return Err(crate::id::ParseIdError::new(text).into());
                }
                Ok(machine.resolve(self.0.key, task)?)
            })
            .ok_or(TaskError::Closed)?
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.0.key).finish()
    }
}
