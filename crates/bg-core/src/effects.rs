//! What a change of the machine leads to, collected under the lock and run after it.
//!
//! Wakers, abort handles and tokens run foreign code (a waker of another executor, the destructor
//! of a future). Each effect runs under its own `catch_unwind`, so that one that panics does not
//! keep the others from running.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::log::OutputLog;
use crate::machine::{Foreign, Key};

#[derive(Default)]
pub(crate) struct Effects {
    /// In the order in which they are run. Most changes lead to few, which need no allocation.
    list: SmallVec<[Effect; 4]>,
    /// Chores for the shell, which has a runtime; few changes make any.
    chores: Option<Box<Chores>>,
}

enum Effect {
    Wake(Waker),
    Cancel(CancellationToken),
    Abort(AbortHandle),
    AbortTask(JoinHandle<()>),
    /// Something whose last handle this may be.
    Drop(#[expect(dead_code, reason = "held to be dropped")] Foreign),
    /// A log that was closed.
    Settle(OutputLog),
    DropWaker(#[expect(dead_code, reason = "held to be dropped")] Waker),
}

/// What a change asks the shell to do beside the effects.
#[derive(Default)]
pub(crate) struct Chores {
    /// Tasks to be forced to an end when their grace is over.
    pub(crate) force_after: Vec<(Key, Duration)>,
    /// Queued tasks that have a slot now.
    pub(crate) start: Vec<(Key, Box<dyn Start>)>,
    /// Scopes wait for the next piece of a sweep.
    pub(crate) sweep: bool,
}

/// Starts the work of a queued task on the runtime that it was spawned on.
pub(crate) trait Start: Send {
    fn start(self: Box<Self>) -> JoinHandle<()>;
}

/// The end of a grace or a deadline, aborted with the last task that it was for.
pub(crate) struct GraceTimer(pub(crate) AbortHandle);

impl Drop for GraceTimer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Effects {
    /// Makes room for so many more, so that it is not made piece by piece.
    pub(crate) fn expect(&mut self, more: usize) {
        self.list.reserve(more);
    }

    pub(crate) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.add(wakers.into_iter().map(Effect::Wake));
    }

    /// Nearly always there is one at most: adding it alone is less than making room for many.
    fn add(&mut self, effects: impl Iterator<Item = Effect>) {
        effects.for_each(|effect| self.list.push(effect));
    }

    pub(crate) fn cancel(&mut self, token: CancellationToken) {
        self.list.push(Effect::Cancel(token));
    }

    pub(crate) fn abort(&mut self, handle: AbortHandle) {
        self.list.push(Effect::Abort(handle));
    }

    pub(crate) fn abort_task(&mut self, handle: JoinHandle<()>) {
        self.list.push(Effect::AbortTask(handle));
    }

    pub(crate) fn drop(&mut self, foreign: Foreign) {
        self.list.push(Effect::Drop(foreign));
    }

    pub(crate) fn drop_all(&mut self, foreign: impl IntoIterator<Item = Foreign>) {
        self.add(foreign.into_iter().map(Effect::Drop));
    }

    pub(crate) fn drop_waker(&mut self, waker: impl IntoIterator<Item = Waker>) {
        self.add(waker.into_iter().map(Effect::DropWaker));
    }

    /// Closes a log: marked at once, and who follows it is woken after the lock.
    pub(crate) fn close(&mut self, log: &OutputLog) {
        log.mark_closed();
        self.list.push(Effect::Settle(log.clone()));
    }

    pub(crate) fn chores(&mut self) -> &mut Chores {
        self.chores.get_or_insert_default()
    }

    pub(crate) fn take_chores(&mut self) -> Option<Box<Chores>> {
        self.chores.take()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.chores.is_none()
    }

    /// Runs everything but the chores.
    pub(crate) fn run(&mut self) {
        for effect in self.list.drain(..) {
            shielded(|| effect.run());
        }
    }
}

impl Effect {
    fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Cancel(token) => token.cancel(),
            Self::Abort(handle) => handle.abort(),
            Self::Settle(log) => log.settle(),
            Self::AbortTask(handle) => handle.abort(),
            Self::Drop(_) | Self::DropWaker(_) => {}
        }
    }
}

/// Runs foreign code and keeps its panic to itself.
pub(crate) fn shielded(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        discard(payload);
        // What listens to it is foreign code as well.
        let told = || tracing::error!("a waker, token or destructor panicked");
        if let Err(payload) = catch_unwind(AssertUnwindSafe(told)) {
            discard(payload);
        }
    }
}

/// Drops the payload of a panic. Its destructor is foreign code too: when that panics in turn, the
/// second payload is forgotten, since there is no end to it otherwise.
pub(crate) fn discard(payload: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
