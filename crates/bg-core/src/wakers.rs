//! Those who wait for something, each under a key of its own, so that one that goes away leaves
//! nothing behind.
//!
//! # Invariants
//!
//! 1. New keys are higher than those before, and the one in `first` is lower than those in `rest`.

use std::collections::BTreeMap;
use std::task::Waker;

#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Mostly there is one, and it needs no tree.
    first: Option<(u64, Waker)>,
    rest: BTreeMap<u64, Waker>,
    last: u64,
}

impl Wakers {
    /// Keeps a waker under the caller's key, made on first use; returns the one that was there, to
    /// be dropped outside the lock.
    pub(crate) fn keep(&mut self, key: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        match &mut self.first {
            Some((first, place)) if *first == key => return Some(std::mem::replace(place, waker)),
            // Whoever was woken and comes back has the key of before.
            Some((first, _)) if *first < key => return self.rest.insert(key, waker),
            None if !self.rest.is_empty() => return self.rest.insert(key, waker),
            _ => self.rest.extend(self.first.replace((key, waker))),
        }
        None
    }

    #[must_use = "a waker is dropped outside the lock"]
    pub(crate) fn remove(&mut self, key: Option<u64>) -> Option<Waker> {
        let key = key?;
        let first = self.first.take_if(|(first, _)| *first == key);
        first.map(|(_, waker)| waker).or_else(|| self.rest.remove(&key))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    /// Takes all, to be woken outside the lock.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let first = self.first.take().map(|(_, waker)| waker);
        first.into_iter().chain(std::mem::take(&mut self.rest).into_values())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn they_are_taken_in_the_order_of_their_keys_whoever_leaves_and_comes_back() {
        let counts: Vec<Arc<Count>> = (0..4).map(|_| Arc::default()).collect();
        let waker = |at: usize| Waker::from(counts[at].clone());
        let mut wakers = Wakers::default();
        let mut keys = [None; 4];
        for (at, key) in keys.iter_mut().enumerate() {
            assert!(wakers.keep(key, waker(at)).is_none());
        }
        // The first one leaves and comes back, behind one that has it replaced.
        assert!(wakers.remove(keys[0]).is_some_and(|gone| gone.will_wake(&waker(0))));
        assert!(wakers.remove(keys[0]).is_none());
        assert!(wakers.keep(&mut keys[2], waker(2)).is_some());
        assert!(wakers.keep(&mut keys[0], waker(0)).is_none());
        assert!(wakers.remove(keys[3]).is_some());
        let taken: Vec<Waker> = wakers.take().collect();
        assert_eq!(taken.len(), 3);
        assert!(taken.iter().zip(0..).all(|(taken, at)| taken.will_wake(&waker(at))));
        assert!(wakers.is_empty());
        // Who was woken comes back when somebody new is there.
        let mut new = None;
        assert!(wakers.keep(&mut new, waker(3)).is_none());
        assert!(wakers.keep(&mut keys[1], waker(1)).is_none());
        let taken: Vec<Waker> = wakers.take().collect();
        assert!(taken[0].will_wake(&waker(1)) && taken[1].will_wake(&waker(3)));
        assert!(wakers.remove(new).is_none());
    }
}
