//! Where records live: pages of 32, found by the upper bits of their number.
//!
//! Numbers grow and are not reused, so the records of one time lie together. A page is made with
//! its first record and freed with its last one, and nothing is moved when the table grows: no
//! spawn pays for the others.

use std::collections::BTreeMap;

use super::Record;

const PAGE_BITS: u32 = 5;
const PAGE_LEN: usize = 1 << PAGE_BITS;

#[derive(Default)]
pub(super) struct Pages {
    pages: BTreeMap<u64, Box<Page>>,
}

struct Page {
    used: usize,
    records: [Option<Record>; PAGE_LEN],
}

fn place(number: u64) -> (u64, usize) {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than a page")]
    let slot = (number % PAGE_LEN as u64) as usize;
    (number >> PAGE_BITS, slot)
}

impl Pages {
    pub(super) fn get(&self, number: u64) -> Option<&Record> {
        let (page, slot) = place(number);
        self.pages.get(&page)?.records[slot].as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Record> {
        let (page, slot) = place(number);
        self.pages.get_mut(&page)?.records[slot].as_mut()
    }

    /// Adds a record under a number that was not used before.
    pub(super) fn insert(&mut self, number: u64, record: Record) {
        let (page, slot) = place(number);
        let page = self.pages.entry(page).or_insert_with(Page::new);
        page.used += 1;
        page.records[slot] = Some(record);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Record> {
        let (at, slot) = place(number);
        let page = self.pages.get_mut(&at)?;
        let record = page.records[slot].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&at);
        }
        Some(record)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.pages.values().flat_map(|page| page.records.iter().flatten())
    }

    /// The records with at least this number.
    pub(super) fn iter_from(&self, number: u64) -> impl Iterator<Item = &Record> {
        let pages = self.pages.range(place(number).0..).map(|(_, page)| page);
        let records = pages.flat_map(|page| page.records.iter().flatten());
        records.filter(move |record| record.id.number() >= number)
    }

    pub(super) fn into_records(self) -> impl Iterator<Item = Record> {
        self.pages.into_values().flat_map(|page| page.records.into_iter().flatten())
    }
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self { used: 0, records: [const { None }; PAGE_LEN] })
    }
}
