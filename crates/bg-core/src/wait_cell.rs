//! What a wait and the registry share: the registry says that the wait is over, and who waits looks
//! without the registry's lock.
//!
//! # Invariants
//!
//! 1. It is told under the registry's lock, and never taken back. What is left in it then is all
//!    that the wait will see: the registry knows nothing of that wait any more.
//! 2. A look finds that it was told, or leaves its waker before it is told: both hold the lock.
//!
//! # Lock order
//!
//! `state` is a leaf. Wakers are cloned, woken and dropped outside it.

use std::task::Waker;

use crate::outcome::Finished;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

pub(crate) struct WaitCell {
    told: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    left: Option<Vec<Arc<Finished>>>,
}

impl WaitCell {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { told: AtomicBool::new(false), state: Mutex::new(State::default()) })
    }

    /// Says that the wait is over, and leaves everything that it will see; with `None` that has to
    /// be asked for. Returns who is to be woken.
    pub(crate) fn tell(&self, left: Option<Vec<Arc<Finished>>>) -> Option<Waker> {
        let mut state = self.state.lock();
        state.left = left;
        self.told.store(true, Ordering::Release);
        state.waker.take()
    }

    /// Returns whether it is over; if not, the waker is kept.
    pub(crate) fn look(&self, waker: &Waker) -> bool {
        if self.told.load(Ordering::Acquire) {
            return true;
        }
        let waker = waker.clone();
        let mut state = self.state.lock();
        let told = self.told.load(Ordering::Acquire);
        let spare = if told { Some(waker) } else { state.waker.replace(waker) };
        drop(state);
        drop(spare);
        told
    }

    /// Takes what was left.
    pub(crate) fn take(&self) -> Option<Vec<Arc<Finished>>> {
        if !self.told.load(Ordering::Acquire) {
            return None;
        }
        self.state.lock().left.take()
    }
}

impl std::fmt::Debug for WaitCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitCell").finish_non_exhaustive()
    }
}
