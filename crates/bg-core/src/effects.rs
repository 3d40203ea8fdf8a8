//! What a change of the machine leads to, collected under the lock and run after it.
//!
//! Wakers, abort handles and tokens run foreign code (a waker of another executor, the destructor
//! of a future). Each effect runs under its own `catch_unwind`, so that one that panics does not
//! keep the others from running.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::machine::{Foreign, Key};

/// Most changes lead to one thing of a sort, which then needs no allocation.
type Few<T> = SmallVec<[T; 1]>;

#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) wake: Few<Waker>,
    pub(crate) cancel: Vec<CancellationToken>,
    pub(crate) abort: Few<AbortHandle>,
    /// Things whose last handle may be this one.
    pub(crate) drop: Few<Foreign>,
    pub(crate) drop_wakers: Few<Waker>,
    /// Chores for the shell, which has a runtime.
    pub(crate) chores: Chores,
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
    fn start(self: Box<Self>) -> AbortHandle;
}

/// The end of a grace, aborted with the last task that it was for.
pub(crate) struct GraceTimer(pub(crate) AbortHandle);

impl Drop for GraceTimer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Effects {
    /// Runs everything but the chores.
    pub(crate) fn run(&mut self) {
        self.cancel.drain(..).for_each(|token| shielded(|| token.cancel()));
        self.abort.drain(..).for_each(|handle| shielded(|| handle.abort()));
        self.wake.drain(..).for_each(|waker| shielded(|| waker.wake()));
        self.drop_wakers.drain(..).for_each(|waker| shielded(|| drop(waker)));
        self.drop.drain(..).for_each(|foreign| shielded(|| drop(foreign)));
    }
}

impl Chores {
    pub(crate) fn is_empty(&self) -> bool {
        self.force_after.is_empty() && self.start.is_empty() && !self.sweep
    }
}

/// Runs foreign code and keeps its panic to itself.
pub(crate) fn shielded(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        tracing::error!("a waker, token or destructor panicked");
        discard(payload);
    }
}

/// Drops the payload of a panic. Its destructor is foreign code too: when that panics in turn, the
/// second payload is forgotten, since there is no end to it otherwise.
pub(crate) fn discard(payload: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
