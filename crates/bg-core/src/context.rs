//! What a task can do with itself.

use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::id::TaskId;
use crate::log::{LogCaps, OutputLog};
use crate::machine::{Key, RootId, ScopeKey};
use crate::mailbox::{Mailbox, MailboxCaps};
use crate::outcome::{Finished, Outcome};
use crate::scope::Scope;
use crate::shared::Shared;
use crate::status::{Phase, Status};
use crate::sync::Arc;
use crate::view::View;
use crate::wait::Wait;

/// A task's handle to itself: it reports, asks whether to stop, writes output, reads its mail and
/// spawns children.
///
/// Clones are handles of the same task. What is reported after the task has ended is ignored.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Phase, Registry, Stream, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let id = root.spawn(Task::agent("explore", "find all tests"), |cx| async move {
///     cx.step(1);
///     cx.phase(Phase::WaitingForTool);
///     cx.trace("Read src/lib.rs");
///     cx.log().write(Stream::Stdout, b"3 files\n");
///     Ok(Output::text("found 42 tests"))
/// })?;
/// let ended = root.wait([id]).await?.ended;
/// assert_eq!((ended[0].steps(), ended[0].trace().len()), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TaskContext {
    shared: Arc<Shared>,
    root: RootId,
    id: TaskId,
}

impl TaskContext {
    pub(crate) fn new(shared: Arc<Shared>, root: RootId, id: TaskId) -> Self {
        Self { shared, root, id }
    }

    fn key(&self) -> Key {
        Key { root: self.root, number: self.id.number() }
    }

    /// Returns the id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the status as everybody sees it; `None` once the task is not kept any more.
    pub fn status(&self) -> Option<Status> {
        self.shared.call(|machine, _| machine.status_of(self.key())).flatten()
    }

    /// Reports the step: the status becomes `Running { step }`.
    pub fn step(&self, step: u32) {
        self.shared.call(|machine, fx| machine.step(self.key(), step, fx));
    }

    /// Reports what the task is doing now.
    pub fn phase(&self, phase: Phase) {
        self.shared.call(|machine, fx| machine.phase(self.key(), phase, fx));
    }

    /// Traces a line, to be delivered with the outcome. At most
    /// [`MAX_TRACE_LINES`](crate::Finished::MAX_TRACE_LINES) lines of at most 2,000 bytes are kept.
    pub fn trace(&self, line: impl Into<String>) {
        let line = line.into();
        self.shared.call(|machine, fx| machine.trace(self.key(), line, fx));
    }

    /// Returns the token that fires when the task is stopped.
    ///
    /// Asking for it is a promise to listen: from then on a stop gives the task its grace before
    /// it is aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bg_core::{Failure, Outcome, Output, Registry, Task};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let registry = Registry::new();
    /// # let root = registry.root_scope();
    /// let id = root.spawn(Task::new("serve", ""), |cx| async move {
    ///     cx.token().cancelled().await;
    ///     Ok(Output::text("closed in order"))
    /// })?;
    /// tokio::task::yield_now().await;
    /// root.cancel(id, "that is all")?;
    /// assert!(root.wait([id]).await?.ended[0].outcome.is_success());
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(&self) -> CancellationToken {
        let token = self.shared.call(|machine, _| machine.token(self.key())).flatten();
        token.unwrap_or_else(fired)
    }

    /// Returns the output log, made on first use with the default caps.
    pub fn log(&self) -> OutputLog {
        self.log_with(LogCaps::default())
    }

    /// Returns the output log; `caps` hold if this is its first use.
    pub fn log_with(&self, caps: LogCaps) -> OutputLog {
        let log = self.shared.call(|machine, _| {
            let listener = (Arc::downgrade(&self.shared), self.key());
            machine.log(self.key(), |quota| OutputLog::told(caps, listener, quota))
        });
        // After the end: a log that nobody reads.
        log.flatten().unwrap_or_else(|| OutputLog::new(LogCaps { head: 0, tail: 0 }))
    }

    /// Returns the mailbox, made on first use with the default caps; see
    /// [`Scope::send`](crate::Scope::send). Clones share it: each message is received once.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox_with(MailboxCaps::default())
    }

    /// Returns the mailbox; `caps` hold if this is its first use, and it was not
    /// [given](crate::Task::mailbox) before.
    pub fn mailbox_with(&self, caps: MailboxCaps) -> Mailbox {
        let mailbox =
            self.shared.call(|machine, _| machine.mailbox(self.key(), || Mailbox::new(caps)));
        mailbox.flatten().unwrap_or_else(Mailbox::closed)
    }

    /// Attaches a view of the task's recent messages, for [`Scope::peek`](crate::Scope::peek).
    pub fn attach_view(&self, view: Arc<dyn View>) {
        self.shared.call(|machine, fx| machine.attach_view(self.key(), view, fx));
    }

    /// Returns the scope for children. They are stopped when this task ends.
    pub fn scope(&self) -> Scope {
        let key = ScopeKey { root: self.root, owner: self.id.number() };
        Scope::new(self.shared.clone(), key)
    }

    /// Waits for children of this task, which lends its slot to others meanwhile; see
    /// [`Scope::wait`](crate::Scope::wait). A wait for the task itself or for one above it is
    /// refused with [`TaskError::WaitsForItself`](crate::TaskError::WaitsForItself).
    pub fn wait(&self, ids: impl IntoIterator<Item = TaskId>) -> Wait {
        self.scope().wait(ids)
    }

    /// Ends the task. Whoever looks sees it; who was waiting is woken soon.
    pub(crate) fn post_end(&self, outcome: Outcome) {
        let finished = Arc::new(Finished::new(self.id, outcome));
        self.shared.post_end(self.key(), finished, self.shared.now());
    }

    /// Ends the task before this returns.
    pub(crate) fn finish(&self, finished: Arc<Finished>) {
        self.shared.call_at(|machine, now, fx| {
            machine.finish(self.key(), finished, now, fx);
        });
    }

    pub(crate) fn bind(&self, handle: tokio::task::AbortHandle) {
        let spare = handle.clone();
        if self.shared.call(|machine, fx| machine.bind(self.key(), handle, fx)).is_none() {
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
