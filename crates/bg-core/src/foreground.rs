//! Awaiting a foreground task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::claim::Claim;
use crate::error::{ClaimError, TaskError};
use crate::id::TaskId;
use crate::scope::Scope;
use crate::wait::Wait;

/// A foreground task that somebody waits for: a future of the claim to its outcome.
///
/// Dropping it stops the task, and nobody gets the outcome; [`detach`](Self::detach) lets it go on
/// as an ordinary background task. When the claim is dropped without an acknowledgement, the
/// outcome goes to the inbox: whoever waited for it did not get to use it.
///
/// Compared with [`Scope::wait`], which observes, this delivers.
///
/// # Errors
///
/// [`ClaimError`] when somebody else has claimed the outcome by its id, or the registry is gone.
///
/// # Cancel safety
///
/// Dropping it is a stop of the task. To poll it in a `select!` loop, poll `&mut foreground`.
///
/// # Examples
///
/// A tool call that turns into background work when it takes too long:
///
/// ```
/// use std::time::Duration;
/// use bg_core::{Output, Registry, Task};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let id = root.spawn(Task::process("build", "cargo build").foreground(), |_| async {
///     tokio::time::sleep(Duration::from_secs(300)).await;
///     Ok(Output::text("built"))
/// })?;
/// assert!(root.snapshot().is_empty());
/// let build = root.foreground(id)?;
/// assert!(build.within(Duration::from_secs(60)).await?.is_none());
/// // It goes on in the background.
/// let done = root.inbox().next().await.ok_or("closed")?.ack();
/// assert_eq!(done.id, id);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it stops the task"]
pub struct Foreground {
    scope: Scope,
    id: TaskId,
    wait: Wait,
    over: bool,
}

impl Foreground {
    pub(crate) fn new(scope: Scope, id: TaskId) -> Self {
        let wait = scope.wait([id]);
        Self { scope, id, wait, over: false }
    }

    /// Returns the id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Makes an ordinary task of it: it is listed, and its outcome comes through the inbox.
    ///
    /// # Errors
    ///
    /// [`TaskError::Closed`] when the registry is gone.
    pub fn detach(mut self) -> Result<TaskId, TaskError> {
        self.over = true;
        self.scope.detach(self.id)?;
        Ok(self.id)
    }

    /// Waits for so long; returns the claim, or `None` when the task goes on in the background.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] when somebody else has claimed the outcome, or the registry goes away.
    ///
    /// # Panics
    ///
    /// Where the runtime has no timers.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the task.
    pub async fn within(mut self, patience: Duration) -> Result<Option<Claim>, ClaimError> {
        match tokio::time::timeout(patience, &mut self).await {
            Ok(claim) => claim.map(Some),
            Err(_) => Ok(self.detach().map(|_| None)?),
        }
    }
}

impl Future for Foreground {
    type Output = Result<Claim, ClaimError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        std::task::ready!(Pin::new(&mut self.wait).poll(cx))?;
        self.over = true;
        Poll::Ready(self.scope.claim(self.id))
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let cell = self.scope.cell();
        let discarded =
            cell.shared.call_at(|machine, now, fx| machine.discard(cell.key, self.id, now, fx));
        // Somebody else may have detached it: it goes on then.
        if discarded == Some(true) {
            // Nobody is left to tell: a task that has ended needs no stopping.
            let _ = self.scope.cancel(self.id, "the call that waited for it was dropped");
        }
    }
}
