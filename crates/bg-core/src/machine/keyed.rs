//! A map whose lowest key is asked for nearly always: the first root of a registry, the root's own
//! scope. That entry lies beside the tree and costs no search.

use std::collections::BTreeMap;

/// Maps numbers from `FIRST` on.
pub(super) struct Keyed<V, const FIRST: u64> {
    first: Option<V>,
    /// Those with higher numbers.
    rest: BTreeMap<u64, V>,
}

impl<V, const FIRST: u64> Default for Keyed<V, FIRST> {
    fn default() -> Self {
        Self { first: None, rest: BTreeMap::new() }
    }
}

impl<V, const FIRST: u64> Keyed<V, FIRST> {
    #[inline]
    pub(super) fn get(&self, key: u64) -> Option<&V> {
        if key == FIRST { self.first.as_ref() } else { self.rest.get(&key) }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        if key == FIRST { self.first.as_mut() } else { self.rest.get_mut(&key) }
    }

    #[inline]
    pub(super) fn contains(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn insert(&mut self, key: u64, value: V) {
        if key == FIRST {
            self.first = Some(value);
        } else {
            self.rest.insert(key, value);
        }
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<V> {
        if key == FIRST { self.first.take() } else { self.rest.remove(&key) }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// The entries by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let rest = self.rest.iter().map(|(&key, value)| (key, value));
        self.first.iter().map(|value| (FIRST, value)).chain(rest)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.first.iter().chain(self.rest.values())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.first.iter_mut().chain(self.rest.values_mut())
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.first.into_iter().chain(self.rest.into_values())
    }
}
