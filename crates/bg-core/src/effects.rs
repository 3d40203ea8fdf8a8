//! What a change of the machine leads to, collected under the lock and run after it.
//!
//! Wakers, abort handles and tokens run foreign code (a waker of another executor, the destructor
//! of a future). Each effect runs under its own `catch_unwind`, so that one that panics does not
//! keep the others from running.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::machine::{Foreign, Key};

#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) wake: Vec<Waker>,
    pub(crate) cancel: Vec<CancellationToken>,
    pub(crate) abort: Vec<AbortHandle>,
    /// Tasks to be forced to an end when their grace is over.
    pub(crate) force_after: Vec<(Key, Duration)>,
    /// Things whose last handle may be this one: they are dropped after the lock.
    pub(crate) drop: Dropped,
}

#[derive(Default)]
pub(crate) struct Dropped {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) records: Vec<Foreign>,
}

impl Effects {
    /// Runs everything but the timers, which need a runtime and stay with the shell.
    pub(crate) fn run(self) {
        for token in self.cancel {
            shielded(|| token.cancel());
        }
        for handle in self.abort {
            shielded(|| handle.abort());
        }
        for waker in self.wake {
            shielded(|| waker.wake());
        }
        for waker in self.drop.wakers {
            shielded(|| drop(waker));
        }
        for record in self.drop.records {
            shielded(|| drop(record));
        }
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
