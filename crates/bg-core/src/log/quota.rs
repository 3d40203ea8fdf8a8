//! What all logs of a root keep together.
//!
//! # Invariants
//!
//! 1. `used` is the sum of what the accounts hold, and an account holds what its log keeps.
//! 2. A grant leaves `used` within the limit or the part that it is for within its floor. So
//!    `used` is never more than the limit and the floors of the logs together.
//!
//! # Lock order
//!
//! No lock: one atomic number, taken from and given back to under the lock of a log.

use crate::sync::{Arc, AtomicU64, Ordering};

/// What a log may keep of its beginning whatever the quota.
pub(super) const HEAD_FLOOR: usize = 4 << 10;

/// What a log may keep of its end whatever the quota.
pub(super) const TAIL_FLOOR: usize = 12 << 10;

/// How many bytes the logs of a root may keep, and how many they do.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    used: AtomicU64,
}

impl Quota {
    pub(crate) fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit: limit.unwrap_or(u64::MAX), used: AtomicU64::new(0) })
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Grants what is left of the limit, and `floor` in any case; never more than is wanted.
    fn take(&self, wanted: u64, floor: u64) -> u64 {
        let mut used = self.used();
        loop {
            let left = self.limit.saturating_sub(used);
            let granted = wanted.min(left.max(floor));
            let (order, next) = (Ordering::Relaxed, used + granted);
            match self.used.compare_exchange_weak(used, next, order, order) {
                Ok(_) => return granted,
                Err(changed) => used = changed,
            }
        }
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one log holds of the quota of its root, if it has one; given back with its memory.
#[derive(Debug)]
pub(super) struct Account {
    quota: Option<Arc<Quota>>,
    held: u64,
}

impl Account {
    pub(super) fn new(quota: Option<Arc<Quota>>) -> Self {
        Self { quota, held: 0 }
    }

    /// Takes what may be kept of so many bytes more, of which a floor may be kept in any case.
    pub(super) fn take(&mut self, wanted: usize, floor: usize) -> usize {
        let Some(quota) = self.quota.as_ref().filter(|_| wanted > 0) else { return wanted };
        let granted = quota.take(wanted as u64, floor as u64);
        self.held += granted;
        super::to_index(granted)
    }

    /// Gives back what is not kept any more.
    pub(super) fn give(&mut self, bytes: usize) {
        let Some(quota) = &self.quota else { return };
        quota.give(bytes as u64);
        self.held -= bytes as u64;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(quota) = &self.quota {
            quota.give(self.held);
        }
    }
}
