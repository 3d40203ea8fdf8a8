//! The acknowledged outcomes of a root, the oldest first, and since when each of them is that.
//!
//! # Invariants
//!
//! 1. The last `undated` were acknowledged by a change that did not look at the clock. The next
//!    one that did dates them before it looks at any age. So nothing counts as older than it is,
//!    and each is dated once.

use std::collections::VecDeque;

use super::Stamp;

#[derive(Default)]
pub(super) struct Retained {
    list: VecDeque<(u64, Stamp)>,
    undated: usize,
}

impl Retained {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn has_undated(&self) -> bool {
        self.undated > 0
    }

    /// Adds one that was acknowledged now.
    pub(super) fn push(&mut self, number: u64, now: Stamp) {
        self.date(now);
        self.list.push_back((number, now));
    }

    /// Adds one by a change that does not know the time.
    pub(super) fn push_undated(&mut self, number: u64) {
        self.list.push_back((number, Stamp::default()));
        self.undated += 1;
    }

    /// Has the age of those begin that were added without a time (I1).
    pub(super) fn date(&mut self, now: Stamp) {
        let dated = self.list.len() - std::mem::take(&mut self.undated);
        // By index: mostly it is the last one alone, and there is no range to be made for it.
        for at in dated..self.list.len() {
            self.list[at].1 = now;
        }
    }

    /// When the oldest was acknowledged; everything has a date.
    pub(super) fn oldest(&self) -> Option<Stamp> {
        self.list.front().map(|&(_, acked)| acked)
    }

    pub(super) fn pop(&mut self) -> Option<u64> {
        let (number, _) = self.list.pop_front()?;
        self.undated = self.undated.min(self.list.len());
        Some(number)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.list.iter().map(|&(number, _)| number)
    }
}
