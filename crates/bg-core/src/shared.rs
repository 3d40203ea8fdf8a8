//! The thin locked shell around the machine.
//!
//! # Invariants
//!
//! 1. [`Shared::with`] is the only way to the machine. Effects run after the lock is released, so
//!    nothing of a user's (closure, waker, destructor) runs under it (R4).
//! 2. The registry holds the only lasting strong reference. Everything else holds a [`Weak`] and
//!    upgrades it for the length of one call, so no cycle keeps a registry alive.
//!
//! # Lock order
//!
//! `machine`, then nothing. `runtime` is a leaf of its own, never held together with it.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::effects::Effects;
use crate::machine::{Key, Machine};
use crate::sync::{Arc, Mutex, Weak};

pub(crate) struct Shared {
    machine: Mutex<Machine>,
    /// Where timers run when a call comes from outside a runtime: the runtime seen last.
    runtime: Mutex<Option<Handle>>,
}

impl Shared {
    pub(crate) fn new(machine: Machine) -> Arc<Self> {
        Arc::new(Self { machine: Mutex::new(machine), runtime: Mutex::new(None) })
    }

    /// Changes the machine under the lock, then runs what the change leads to.
    pub(crate) fn with<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Machine, &mut Effects, Instant) -> R,
    ) -> R {
        let now = Instant::now();
        let mut fx = Effects::default();
        let result = change(&mut self.machine.lock(), &mut fx, now);
        let timers = std::mem::take(&mut fx.force_after);
        fx.run();
        for (key, grace) in timers {
            self.force_after(key, grace);
        }
        result
    }

    /// Returns the runtime of the caller and remembers it for timers.
    pub(crate) fn enter_runtime(&self) -> Option<Handle> {
        let handle = Handle::try_current().ok()?;
        let last = self.runtime.lock().replace(handle.clone());
        // Outside the lock: it may be all that is left of a runtime with hooks of the host's.
        drop(last);
        Some(handle)
    }

    /// Ends a task by force when its grace is over; at once where no timer can run.
    fn force_after(self: &Arc<Self>, key: Key, grace: Duration) {
        let force = ForceOnDrop { shared: Arc::downgrade(self), key };
        let runtime = Handle::try_current().ok().or_else(|| self.runtime.lock().clone());
        let Some(runtime) = runtime.filter(|_| !grace.is_zero()) else { return };
        // Grace counts from here, not from when the runtime gets to it.
        let deadline = Instant::now().checked_add(grace);
        let timer = runtime.spawn(async move {
            let _force = force;
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        });
        self.with(|machine, fx, _| machine.attach_timer(key, timer.abort_handle(), fx));
    }

    pub(crate) fn force(self: &Arc<Self>, key: Key) {
        self.with(|machine, fx, now| machine.force(key, now, fx));
    }
}

/// Held for the length of a grace. It is dropped at its end, and earlier where no timer can run:
/// without a runtime, in one that has no timers, and at the end of one.
struct ForceOnDrop {
    shared: Weak<Shared>,
    key: Key,
}

impl Drop for ForceOnDrop {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.force(self.key);
        }
    }
}

/// Changes the machine if the registry is still there. It is not once it was dropped, also when
/// somebody else is in the middle of a call.
pub(crate) fn with_weak<R>(
    shared: &Weak<Shared>,
    change: impl FnOnce(&mut Machine, &mut Effects, Instant) -> R,
) -> Option<R> {
    let shared = shared.upgrade()?;
    // Taken only when it is called: what it holds may not be dropped under the lock.
    let mut change = Some(change);
    shared.with(|machine, fx, now| {
        let change = if machine.is_closed() { None } else { change.take() };
        change.map(|change| change(machine, fx, now))
    })
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
