//! Where records and waits live: pages of eight, found by the upper bits of their number.
//!
//! Numbers grow and are not reused, so the entries of one time lie together. A page is made with
//! its first entry and freed with its last one, and no entry is moved when the table grows.
//!
//! # Invariants
//!
//! 1. `recent[i]` is page number `first + i`; pages with a smaller number are in `old`.
//! 2. `recent` is at most four times as long as it has pages, and [`SLACK`] more: one task that
//!    outlives millions of others does not make the table long.

use std::collections::{BTreeMap, VecDeque};

use super::Record;

/// As many as fit in a kibibyte: up to that, the allocator of glibc keeps freed pages at hand.
const PAGE_LEN: usize = 8;
const _: () =
    assert!(size_of::<Page<Record>>() <= 1032, "a page has outgrown what glibc keeps at hand");

/// tokio aligns its tasks to 128 bytes. With a page of 984 bytes between them, and so of 992 with
/// the header of glibc, prompts go on filling the gaps that this leaves: 40 bytes less a task than
/// without, measured by the benchmark `memory`.
const PAD: usize = 2;

const SLACK: usize = 64;

pub(super) struct Pages<T> {
    recent: VecDeque<Option<Box<Page<T>>>>,
    first: u64,
    /// Pages in `recent`.
    used: usize,
    old: BTreeMap<u64, Box<Page<T>>>,
}

struct Page<T> {
    used: usize,
    entries: [Option<T>; PAGE_LEN],
    _pad: [u64; PAD],
}

fn place(number: u64) -> (u64, usize) {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than a page")]
    let slot = (number % PAGE_LEN as u64) as usize;
    (number / PAGE_LEN as u64, slot)
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { recent: VecDeque::new(), first: 0, used: 0, old: BTreeMap::new() }
    }
}

impl<T> Pages<T> {
    fn index(&self, page: u64) -> Option<usize> {
        usize::try_from(page.checked_sub(self.first)?).ok()
    }

    fn page(&self, page: u64) -> Option<&Page<T>> {
        match self.index(page) {
            Some(index) => self.recent.get(index)?.as_deref(),
            None => self.old.get(&page).map(|page| &**page),
        }
    }

    fn page_mut(&mut self, page: u64) -> Option<&mut Page<T>> {
        match self.index(page) {
            Some(index) => self.recent.get_mut(index)?.as_deref_mut(),
            None => self.old.get_mut(&page).map(|page| &mut **page),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0 && self.old.is_empty()
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        let (page, slot) = place(number);
        self.page(page)?.entries[slot].as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (page, slot) = place(number);
        self.page_mut(page)?.entries[slot].as_mut()
    }

    /// Adds an entry, whose number is higher than that of every other one.
    pub(super) fn insert(&mut self, number: u64, entry: T) {
        let (at, slot) = place(number);
        if slot == 0 || self.page(at).is_none() {
            self.add_page(at);
        }
        if let Some(page) = self.page_mut(at) {
            page.used += 1;
            page.entries[slot] = Some(entry);
        }
    }

    fn add_page(&mut self, at: u64) {
        if self.used == 0 {
            self.recent.clear();
            self.first = at;
        }
        while self.index(at).is_some_and(|index| index >= self.recent.len()) {
            self.recent.push_back(None);
        }
        if let Some(page) = self.recent.back_mut() {
            *page = Some(Page::new());
            self.used += 1;
        }
        while self.recent.len() > 4 * self.used + SLACK {
            self.retire_first();
        }
    }

    /// Moves the oldest page out of the way of those that come (I2).
    fn retire_first(&mut self) {
        if let Some(page) = self.recent.pop_front().flatten() {
            self.old.insert(self.first, page);
            self.used -= 1;
        }
        self.first += 1;
    }

    /// Inlined, and the entry is moved last, so that of it only what is used is moved.
    #[inline]
    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let (at, slot) = place(number);
        let page = self.page_mut(at)?;
        page.entries[slot].as_ref()?;
        page.used -= 1;
        if page.used == 0 { self.remove_last(at, slot) } else { page.entries[slot].take() }
    }

    #[inline(never)]
    fn remove_last(&mut self, at: u64, slot: usize) -> Option<T> {
        let entry = self.page_mut(at)?.entries[slot].take();
        self.remove_page(at);
        entry
    }

    fn remove_page(&mut self, at: u64) {
        match self.index(at) {
            Some(index) => {
                self.recent[index] = None;
                self.used -= 1;
            }
            None => drop(self.old.remove(&at)),
        }
        while self.recent.front().is_some_and(Option::is_none) {
            self.recent.pop_front();
            self.first += 1;
        }
    }

    /// The entries by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from_page(0)
    }

    fn iter_from_page(&self, at: u64) -> impl Iterator<Item = &T> {
        let old = self.old.range(at..).map(|(_, page)| page);
        let skipped = self.index(at).unwrap_or(0).min(self.recent.len());
        let pages = old.chain(self.recent.range(skipped..).flatten());
        pages.flat_map(|page| page.entries.iter().flatten())
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        let pages = self.old.into_values().chain(self.recent.into_iter().flatten());
        pages.flat_map(|page| page.entries.into_iter().flatten())
    }
}

impl Pages<Record> {
    /// The records with at least this number, by number.
    pub(super) fn iter_from(&self, number: u64) -> impl Iterator<Item = &Record> {
        let (at, _) = place(number);
        self.iter_from_page(at).filter(move |record| record.number() >= number)
    }
}

impl<T> Page<T> {
    #[expect(clippy::unnecessary_box_returns, reason = "it is made where it stays")]
    fn new() -> Box<Self> {
        Box::new(Self { used: 0, entries: [const { None }; PAGE_LEN], _pad: [0; PAD] })
    }
}
