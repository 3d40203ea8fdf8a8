//! Inboxes and claims: how an outcome reaches the one who asked for it, once.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::machine::{Key, Next as Found};
use crate::outcome::Finished;
use crate::scope::Scope;
use crate::shared::with_weak;
use crate::sync::Arc;

/// A scope's queue of outcomes that nobody has claimed yet, in order of completion.
///
/// # Examples
///
/// The in-memory host drains, the careful host claims and acknowledges when it is safe:
///
/// ```
/// use bg_core::{Output, Registry, Task};
///
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (_, completer) = root.register(Task::agent("remote", "build"))?;
/// completer.complete(Ok(Output::text("built")));
///
/// let claim = root.inbox().try_next().expect("one outcome is there");
/// drop(claim); // the turn failed: it goes back
/// assert_eq!(root.inbox().drain().count(), 1);
/// assert_eq!(root.inbox().drain().count(), 0);
/// # Ok::<(), bg_core::SpawnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inbox(Scope);

impl Inbox {
    pub(crate) fn new(scope: Scope) -> Self {
        Self(scope)
    }

    /// Claims the oldest outcome, if there is one now.
    pub fn try_next(&self) -> Option<Claim> {
        let cell = self.0.cell();
        let held =
            with_weak(&cell.shared, |machine, fx, _| machine.take(cell.key, fx)).flatten()?;
        Some(Claim::new(self.0.clone(), held))
    }

    /// Waits for an outcome and claims it; `None` once nothing will come any more: the scope has
    /// ended, the registry is gone, or the scope was closed and everything in it is delivered.
    pub fn next(&self) -> Next {
        Next { scope: self.0.clone(), listener: None }
    }

    /// Claims and acknowledges, one outcome a step of the iterator. What the iterator has not
    /// yielded was not touched.
    pub fn drain(&self) -> Drain {
        Drain(self.clone())
    }
}

/// Waits for an outcome; see [`Inbox::next`].
///
/// # Cancel safety
///
/// Safe: an outcome is claimed only in the poll that returns it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Next {
    scope: Scope,
    listener: Option<u64>,
}

impl Future for Next {
    type Output = Option<Claim>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Claim>> {
        let waker = cx.waker().clone();
        let cell = self.scope.cell();
        let found = with_weak(&cell.shared, |machine, fx, _| {
            machine.listen(cell.key, self.listener, waker, fx)
        });
        match found {
            Some(Found::Claimed(held)) => {
                self.listener = None;
                Poll::Ready(Some(Claim::new(self.scope.clone(), held)))
            }
            Some(Found::Waiting(key)) => {
                self.listener = Some(key);
                Poll::Pending
            }
            Some(Found::Over) | None => Poll::Ready(None),
        }
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let cell = self.scope.cell();
        with_weak(&cell.shared, |machine, fx, _| machine.unlisten(cell.key, self.listener, fx));
    }
}

/// Claims and acknowledges outcomes; see [`Inbox::drain`].
#[derive(Debug)]
#[must_use = "a drain takes nothing until it is iterated"]
pub struct Drain(Inbox);

impl Iterator for Drain {
    type Item = Arc<Finished>;

    fn next(&mut self) -> Option<Arc<Finished>> {
        self.0.try_next().map(Claim::ack)
    }
}

/// An outcome that was taken out of the machine, and where it belongs.
pub(crate) struct Held {
    pub(crate) key: Key,
    pub(crate) finished: Arc<Finished>,
}

/// An outcome taken for delivery and not yet acknowledged.
///
/// One claim at most exists for an outcome. [`ack`](Self::ack) ends it; dropping it gives the
/// outcome back to its place in the inbox.
///
/// A claim may outlive its scope and can still be acknowledged then.
#[must_use = "dropping a claim gives the outcome back; call `ack` once it is delivered"]
pub struct Claim {
    scope: Scope,
    held: Held,
    acked: bool,
}

impl Claim {
    pub(crate) fn new(scope: Scope, held: Held) -> Self {
        Self { scope, held, acked: false }
    }

    /// Says that the outcome was delivered: no inbox shows it again. It stays readable by id as
    /// long as it is kept.
    pub fn ack(mut self) -> Arc<Finished> {
        self.acked = true;
        let key = self.held.key;
        with_weak(&self.scope.cell().shared, |machine, fx, _| machine.ack(key, fx));
        self.held.finished.clone()
    }

    /// Returns the outcome, to be kept beyond the claim.
    pub fn finished(&self) -> &Arc<Finished> {
        &self.held.finished
    }
}

impl Deref for Claim {
    type Target = Finished;

    fn deref(&self) -> &Finished {
        &self.held.finished
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("finished", &self.held.finished).finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.acked {
            let key = self.held.key;
            with_weak(&self.scope.cell().shared, |machine, fx, _| machine.give_back(key, fx));
        }
    }
}

/// An outcome that another holder has or had; it can be read, not claimed.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub(crate) finished: Arc<Finished>,
}

impl Delivered {
    /// Returns the outcome for reading.
    pub fn finished(&self) -> &Arc<Finished> {
        &self.finished
    }
}
