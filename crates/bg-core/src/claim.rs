//! Inboxes and claims: how an outcome reaches the one who asked for it, once.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::machine::{Key, Next as Found, ScopeKey, Seek};
use crate::outcome::Finished;
use crate::scope::Scope;
use crate::shared::Shared;
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

    /// Returns whether there is nothing to claim now. It reads one number, and takes a lock only when
    /// something has ended since anybody looked, so a host may ask before each turn, however much is
    /// running.
    pub fn is_empty(&self) -> bool {
        self.0.cell().is_empty()
    }

    /// Claims the oldest outcome, if there is one now.
    pub fn try_next(&self) -> Option<Claim> {
        let cell = self.0.cell();
        if !cell.may_have() {
            return None;
        }
        let held = cell.shared.call(|machine, fx| machine.take(cell.key, fx)).flatten()?;
        Some(Claim::new(self.0.clone(), held))
    }

    /// Claims the oldest outcomes, at most `max`, in order of completion.
    pub fn take(&self, max: usize) -> Vec<Claim> {
        std::iter::from_fn(|| self.try_next()).take(max).collect()
    }

    /// Waits for an outcome and claims it; `None` once nothing will come any more: the scope has
    /// ended, the registry is gone, or the scope was closed and everything in it is delivered.
    pub fn next(&self) -> Next {
        Next(Listener::new(&self.0, Seek::Claim), self.0.clone())
    }

    /// Waits until something is claimable, whenever it came, and claims nothing: any number of
    /// listeners see it. Whoever comes second may find the inbox empty again.
    ///
    /// Returns `false` once nothing will come any more; see [`next`](Self::next).
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Output, Registry, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// root.spawn(Task::new("index", ""), |_| async { Ok(Output::text("done")) })?;
    /// assert!(root.inbox().ready().await);
    /// assert_eq!(root.inbox().drain().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ready(&self) -> Ready {
        Ready(Listener::new(&self.0, Seek::Look), Some(self.0.clone()))
    }

    /// Claims and acknowledges, one outcome a step of the iterator; see [`Drain`].
    pub fn drain(&self) -> Drain<'_> {
        Drain::new(self)
    }
}

/// Waits for an outcome; see [`Inbox::next`].
///
/// # Cancel safety
///
/// Safe: an outcome is claimed only in the poll that returns it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Next(Listener, Scope);

impl Future for Next {
    type Output = Option<Claim>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Claim>> {
        self.0.poll(cx).map(|found| match found {
            Found::Claimed(held) => Some(Claim::new(self.1.clone(), held)),
            _ => None,
        })
    }
}

/// Waits until something is claimable; see [`Inbox::ready`].
///
/// # Cancel safety
///
/// Safe: it claims nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Ready(
    Listener,
    #[expect(dead_code, reason = "keeps the root open while somebody listens")] Option<Scope>,
);

impl Ready {
    /// Listens without keeping the root open.
    pub(crate) fn weak(shared: &Arc<Shared>, key: ScopeKey) -> Self {
        let (shared, seek, place) = (shared.clone(), Seek::Watch, None);
        Self(Listener { shared, key, seek, place }, None)
    }
}

impl Future for Ready {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        self.0.poll(cx).map(|found| matches!(found, Found::Ready))
    }
}

/// A listener on an inbox, taken off when it is dropped.
#[derive(Debug)]
struct Listener {
    shared: Arc<Shared>,
    key: ScopeKey,
    seek: Seek,
    /// Its place among the listeners.
    place: Option<u64>,
}

impl Listener {
    fn new(scope: &Scope, seek: Seek) -> Self {
        let cell = scope.cell();
        Self { shared: cell.shared.clone(), key: cell.key, seek, place: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Found> {
        let waker = cx.waker().clone();
        let found = self
            .shared
            .call(|machine, fx| machine.listen(self.key, self.seek, self.place, waker, fx));
        self.place = match found {
            Some(Found::Waiting(place)) => place,
            _ => None,
        };
        match found {
            Some(Found::Waiting(_)) => Poll::Pending,
            Some(found) => Poll::Ready(found),
            None => Poll::Ready(Found::Over),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.shared.call(|machine, fx| {
                machine.unlisten(self.key, self.seek, self.place, fx);
            });
        }
    }
}

/// Claims and acknowledges outcomes; see [`Inbox::drain`].
///
/// The first outcome is acknowledged when it is yielded, and its time of
/// [retention](crate::Retention::age) begins a little later. After that it takes outcomes in batches
/// and acknowledges those it has yielded when it goes on to the next batch or is dropped. What it
/// has not yielded by then goes back to its place.
#[derive(Debug)]
#[must_use = "a drain takes nothing until it is iterated"]
pub struct Drain<'a> {
    inbox: &'a Inbox,
    /// How many outcomes it takes next.
    batch: usize,
    taken: VecDeque<Held>,
    yielded: Vec<Key>,
}

impl<'a> Drain<'a> {
    /// Most outcomes that are taken at once.
    const MAX_BATCH: usize = 32;

    fn new(inbox: &'a Inbox) -> Self {
        Self { inbox, batch: 1, taken: VecDeque::new(), yielded: Vec::new() }
    }

    fn first(&mut self) -> Option<Arc<Finished>> {
        let cell = self.inbox.0.cell();
        self.batch = 2;
        let first = cell.shared.call(|machine, fx| machine.take_acked(cell.key, fx));
        first.flatten()
    }

    /// Acknowledges what was yielded, and takes the next batch.
    fn refill(&mut self) {
        let cell = self.inbox.0.cell();
        let (yielded, taken) = (&mut self.yielded, &mut self.taken);
        cell.shared.call_at(|machine, now, fx| {
            machine.ack_all(cell.key, yielded.drain(..), now, fx);
            machine.take_some(cell.key, self.batch, taken, fx);
        });
        self.batch = Self::MAX_BATCH.min(2 * self.batch);
    }
}

impl Iterator for Drain<'_> {
    type Item = Arc<Finished>;

    fn next(&mut self) -> Option<Arc<Finished>> {
        let goes_on = !(self.taken.is_empty() && self.yielded.is_empty());
        if !goes_on && !self.inbox.0.cell().may_have() {
            return None;
        }
        if self.batch == 1 {
            return self.first();
        }
        if self.taken.is_empty() {
            self.refill();
        }
        let held = self.taken.pop_front()?;
        self.yielded.push(held.key);
        Some(held.finished)
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        if self.yielded.is_empty() && self.taken.is_empty() {
            return;
        }
        let (yielded, taken) = (&self.yielded, &self.taken);
        self.inbox.0.cell().shared.call_at(|machine, now, fx| {
            for &key in yielded {
                machine.ack(key, now, fx);
            }
            for held in taken {
                machine.give_back(held.key, now, fx);
            }
        });
    }
}

/// An outcome that was taken out of the machine, and where it belongs.
#[derive(Debug)]
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
        self.scope.cell().shared.call_at(|machine, now, fx| {
            machine.ack(key, now, fx);
        });
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
            self.scope.cell().shared.call_at(|machine, now, fx| {
                machine.give_back(key, now, fx);
            });
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
