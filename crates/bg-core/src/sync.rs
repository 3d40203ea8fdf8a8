//! The one place that names a synchronisation primitive.
//!
//! Everything else imports from here, so that a model checker can be put in its place:
//!
//! - `--cfg bg_loom`: locks and atomics are loom's, which tries every order of them.
//! - `--cfg bg_shuttle`: they are shuttle's, which tries random orders of larger mixes.
//! - else those of `parking_lot` and std.
//!
//! The cfgs have names of their own because `--cfg loom` would also rewire tokio, which is not what
//! is modelled. `Arc` and `Weak` are std's everywhere: loom's `Arc` has no `Weak`, so what loom
//! does not see is a race for the last handle; shuttle and plain threads look at that.

#[cfg(not(any(bg_loom, bg_shuttle)))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(any(bg_loom, bg_shuttle)))]
#[allow(unused_imports, reason = "one list for the product and the models")]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Arc, Weak};

/// How often a thread looks at a lock before it sleeps. A model tries every order anyhow.
pub(crate) const SPINS: u32 = if cfg!(any(bg_loom, bg_shuttle)) { 0 } else { 100 };

#[cfg(any(bg_loom, bg_shuttle))]
#[allow(unused_imports, reason = "one list for the product and the models")]
pub(crate) use modelled::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, fence};

/// The primitives of a model checker with the signatures of parking_lot.
#[cfg(any(bg_loom, bg_shuttle))]
mod modelled {
    use std::fmt;
    use std::sync::{PoisonError, TryLockError};

    #[cfg(bg_loom)]
    pub(crate) use loom::sync::{
        MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    };
    #[cfg(not(bg_loom))]
    pub(crate) use shuttle::sync::{
        MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
    };

    #[cfg(bg_loom)]
    use loom::sync as inner;
    #[cfg(not(bg_loom))]
    use shuttle::sync as inner;

    /// A mutex that knows no poison, like parking_lot's.
    pub(crate) struct Mutex<T>(inner::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(inner::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        #[allow(dead_code, reason = "what the product uses of parking_lot changes")]
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Mutex").finish_non_exhaustive()
        }
    }
}
