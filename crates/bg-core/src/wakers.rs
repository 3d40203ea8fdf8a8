//! Those who wait for something, each under a key of its own, so that one that goes away leaves
//! nothing behind.

use std::collections::BTreeMap;
use std::task::Waker;

#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

impl Wakers {
    /// Keeps a waker under the caller's key, made on first use; returns the one that was there, to
    /// be dropped outside the lock.
    pub(crate) fn keep(&mut self, key: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.waiting.insert(key, waker)
    }

    #[must_use = "a waker is dropped outside the lock"]
    pub(crate) fn remove(&mut self, key: Option<u64>) -> Option<Waker> {
        self.waiting.remove(&key?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all, to be woken outside the lock.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }
}
