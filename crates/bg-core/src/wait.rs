//! Waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::error::TaskError;
use crate::id::TaskId;
use crate::machine::{Begun, Seen, WaitFor};
use crate::outcome::Finished;
use crate::scope::Scope;
use crate::shared::Shared;
use crate::sync::Arc;
use crate::task::Snapshot;

/// Waits for tasks; made by [`Scope::wait`](crate::Scope::wait).
///
/// # Errors
///
/// [`TaskError`] if one of the tasks is not this caller's, or when the registry goes away.
///
/// # Cancel safety
///
/// Safe: a wait changes nothing that it observes, so dropping it at any poll loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    ids: Vec<TaskId>,
    mode: WaitFor,
    timeout: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
    watch: Watch,
}

/// What a wait saw.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waited {
    /// Those that have ended, in order of their ending.
    pub ended: Vec<Arc<Finished>>,
    /// Those that have not, by number.
    pub pending: Vec<Snapshot>,
    /// Whether the time was over before what was waited for had happened.
    pub timed_out: bool,
}

impl Wait {
    pub(crate) fn new(scope: Scope, ids: Vec<TaskId>) -> Self {
        let watch = Watch::new(scope, None);
        Self { ids, mode: WaitFor::All, timeout: None, sleep: None, watch }
    }

    /// Sets when the wait is over; all of them by default.
    pub fn until(mut self, mode: WaitFor) -> Self {
        self.mode = mode;
        self
    }

    /// Bounds the wait. Time counts from the first poll.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn begin(&mut self) -> Result<(), TaskError> {
        let scope = self.watch.scope.cell();
        let begun = scope.shared.call_at(|machine, now, fx| {
            machine.expire(scope.key.root, now, fx);
            machine.begin_wait(scope.key, &self.ids, self.mode, fx)
        });
        self.watch.begun = Some(begun.ok_or(TaskError::Closed)??);
        // The registry has them now; who is woken has less to free.
        self.ids = Vec::new();
        self.sleep = self.timeout.map(|timeout| Box::pin(sleep(timeout)));
        Ok(())
    }
}

impl Waited {
    fn new(seen: Seen) -> Self {
        Self { ended: seen.ended, pending: seen.pending, timed_out: !seen.over }
    }
}

impl Future for Wait {
    type Output = Result<Waited, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.watch.begun.is_none() {
            self.begin()?;
        }
        // What has ended counts even if the time is over as well.
        match self.watch.poll(cx.waker()) {
            Poll::Ready(seen) => {
                return Poll::Ready(seen.map(Waited::new).ok_or(TaskError::Closed));
            }
            Poll::Pending => {}
        }
        let Some(sleep) = self.sleep.as_mut() else { return Poll::Pending };
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let seen = self.watch.end();
        Poll::Ready(seen.map(Waited::new).ok_or(TaskError::Closed))
    }
}

/// A wait of the machine's, ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    scope: Scope,
    begun: Option<Begun>,
    /// The machine knows nothing of it any more.
    ended: bool,
}

impl Watch {
    pub(crate) fn new(scope: Scope, begun: Option<Begun>) -> Self {
        Self { scope, begun, ended: false }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.scope.cell().shared
    }

    /// Returns whether it has begun and is over; if not, the waker is kept.
    fn look(&self, waker: &Waker) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.cell.look(waker))
    }

    /// Returns what was seen once the wait is over; `None` when the registry is gone.
    fn poll(&mut self, waker: &Waker) -> Poll<Option<Seen>> {
        if self.look(waker) { Poll::Ready(self.end()) } else { Poll::Pending }
    }

    /// Ends the wait, over or not; `None` when the registry is gone.
    pub(crate) fn end(&mut self) -> Option<Seen> {
        let ended = std::mem::replace(&mut self.ended, true);
        if ended || self.shared().is_closed() {
            return None;
        }
        let begun = self.begun.as_ref()?;
        if let Some(left) = begun.cell.take() {
            return Some(Seen::all(left));
        }
        let seen = self.shared().call_at(|machine, now, _| machine.end_wait(begun.wait, now));
        // It may have been left in the cell since.
        seen.flatten().or_else(|| begun.cell.take().map(Seen::all))
    }

    /// Waits until it is over, the time is, or the registry is gone; returns whether it is over.
    pub(crate) async fn settle(&mut self, timeout: Duration) -> bool {
        let over = std::future::poll_fn(|cx| {
            if self.look(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(timeout, over).await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(begun) = self.begun.as_ref().filter(|_| !self.ended) else { return };
        if begun.cell.take().is_none() {
            self.shared().call(|machine, fx| machine.forget_wait(begun.wait, fx));
        }
    }
}
