//! The state of a scope: its members in order, its inbox, who listens, what is being stopped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use super::interest::Interest;
use super::pages::Pages;
use super::record::Record;
use crate::effects::Effects;
use crate::outcome::Reason;
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::wakers::Wakers;

#[derive(Default)]
pub(super) struct ScopeState {
    /// The first and the last member; 0 for none. Members are linked by number.
    pub(super) head: u64,
    tail: u64,
    /// Members that have not ended.
    pub(super) live: usize,
    /// Of these, those of which no stop was requested yet.
    pub(super) unstopped: usize,
    /// How deep its members are below the root: 1 for the root's own.
    pub(super) depth: u32,
    /// What is claimable: completion number and task, by the former. Nearly everything is added
    /// at the end and taken from the front.
    pub(super) ready: VecDeque<(u64, u64)>,
    /// The same for foreground tasks, whose outcomes are claimed by id only.
    aside: BTreeMap<u64, u64>,
    gauge: Option<Gauge>,
    listeners: Wakers,
    /// While there are listeners.
    listened: Option<Interest>,
    #[expect(dead_code, reason = "held: the end of its owner ends it")]
    owned: Option<Interest>,
    pub(super) closed: bool,
    /// The owner has ended: nothing is delivered here any more, and it lasts until its last live
    /// member has ended (I7).
    pub(super) ended: bool,
    /// The nearest living owner above, once this one has ended.
    pub(super) keeper: u64,
    /// Ended owners below whose scopes still have live members (I9).
    pub(super) orphans: BTreeSet<u64>,
    pub(super) sweep: Option<Sweep>,
}

/// A stop of all members up to a number, under way in pieces.
pub(super) struct Sweep {
    pub(super) reason: Arc<Reason>,
    /// In place of each task's own.
    pub(super) grace: Option<Duration>,
    /// The next member to stop; 0 when none is left.
    pub(super) cursor: u64,
    /// The last number that it reaches.
    pub(super) last: u64,
}

/// How many outcomes an inbox holds, readable without the lock. It is only written under it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl ScopeState {
    pub(super) fn new(depth: u32, owned: Option<Interest>) -> Self {
        Self { depth, owned, ..Self::default() }
    }

    /// Links a new live member, which has the highest number of all; returns the one before it.
    pub(super) fn append(&mut self, number: u64, records: &mut Pages<Record>) -> u64 {
        let prev = std::mem::replace(&mut self.tail, number);
        match records.get_mut(prev) {
            Some(last) => last.next = number,
            None => self.head = number,
        }
        self.live += 1;
        self.unstopped += 1;
        prev
    }

    /// Takes a member out of the list, and a sweep that was about to stop it past it.
    pub(super) fn unlink(
        &mut self,
        number: u64,
        (prev, next): (u64, u64),
        records: &mut Pages<Record>,
    ) {
        match records.get_mut(prev) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match records.get_mut(next) {
            Some(after) => after.prev = prev,
            None => self.tail = prev,
        }
        if let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.cursor == number) {
            sweep.cursor = next;
        }
    }

    pub(super) fn members<'a>(
        &self,
        records: &'a Pages<Record>,
    ) -> impl Iterator<Item = u64> + use<'a> {
        let head = Some(self.head).filter(|&head| head != 0);
        std::iter::successors(head, |&number| {
            records.get(number).map(|record| record.next).filter(|&next| next != 0)
        })
    }

    /// Returns whether a sweep will stop this member, but has not yet.
    pub(super) fn covers(&self, number: u64) -> Option<&Sweep> {
        self.sweep.as_ref().filter(|s| s.cursor != 0 && (s.cursor..=s.last).contains(&number))
    }

    /// Returns whether nothing will come any more: it takes no task and has none left.
    pub(super) fn is_over(&self) -> bool {
        self.ended || (self.closed && self.head == 0)
    }

    pub(super) fn wake_if_over(&mut self, fx: &mut Effects) {
        if self.is_over() {
            self.wake_listeners(fx);
        }
    }

    pub(super) fn wake_listeners(&mut self, fx: &mut Effects) {
        if !self.listeners.is_empty() {
            fx.wake(self.listeners.take());
            self.listened = None;
        }
    }

    /// Keeps a listener in its place, made on first use.
    pub(super) fn listen(
        &mut self,
        place: &mut Option<u64>,
        waker: Waker,
        interest: Interest,
        fx: &mut Effects,
    ) {
        fx.drop_waker(self.listeners.keep(place, waker));
        self.listened.get_or_insert(interest);
    }

    pub(super) fn unlisten(&mut self, place: Option<u64>, fx: &mut Effects) {
        fx.drop_waker(self.listeners.remove(place));
        if self.listeners.is_empty() {
            self.listened = None;
        }
    }

    /// Makes an outcome claimable: from the inbox, or by its id alone.
    pub(super) fn put(&mut self, seq: u64, number: u64, foreground: bool, fx: &mut Effects) {
        if foreground {
            self.aside.insert(seq, number);
        } else {
            self.put_ready(seq, number, fx);
        }
    }

    fn put_ready(&mut self, seq: u64, number: u64, fx: &mut Effects) {
        if self.ready.back().is_none_or(|&(last, _)| last < seq) {
            self.ready.push_back((seq, number));
        } else {
            let at = self.ready.partition_point(|&(other, _)| other < seq);
            self.ready.insert(at, (seq, number));
        }
        self.measure();
        self.wake_listeners(fx);
    }

    pub(super) fn take_ready(&mut self) -> Option<u64> {
        let (_, number) = self.ready.pop_front()?;
        self.measure();
        Some(number)
    }

    /// Takes out what was claimed by its id.
    pub(super) fn remove_ready(&mut self, seq: u64) {
        match self.ready.binary_search_by_key(&seq, |&(seq, _)| seq) {
            Ok(at) => {
                self.ready.remove(at);
                self.measure();
            }
            Err(_) => {
                self.aside.remove(&seq);
            }
        }
    }

    /// Takes everything that nobody has claimed, in order of completion.
    pub(super) fn clear_ready(&mut self) -> Vec<u64> {
        let mut ready: Vec<_> = std::mem::take(&mut self.ready).into();
        if !self.aside.is_empty() {
            ready.extend(std::mem::take(&mut self.aside));
            ready.sort_unstable();
        }
        self.measure();
        ready.into_iter().map(|(_, number)| number).collect()
    }

    pub(super) fn gauge(&mut self) -> Gauge {
        let gauge = self.gauge.get_or_insert_default().clone();
        self.measure();
        gauge
    }

    fn measure(&self) {
        if let Some(gauge) = &self.gauge {
            gauge.0.store(self.ready.len(), Ordering::Release);
        }
    }
}
