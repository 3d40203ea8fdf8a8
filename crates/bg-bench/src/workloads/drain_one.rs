//! `drain_one`: one of n pending tasks ends, and its outcome is delivered.
//!
//! The end is part of the measured time on every side: some do their work there. Tasks end in an
//! order that is scattered over the table, so all sides meet the caches as a host would.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Cost};
use crate::clock::ns_each;
use crate::line::{Case, Target};
use crate::ours::{Host, Live, Turn};
use crate::peers;
use crate::sides::Sides;
use crate::words::{LABEL, PROMPT, RESULT};
use crate::workloads::scattered;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How many tasks end in one round.
const ENDS: usize = 10_000;

pub(crate) fn run(bench: &Bench) {
    for n in SIZES {
        let (mut limit, mut ours) = (Limit::new(n), Ours::new(n));
        let (mut at_limit, mut at_ours) = (scattered(n), scattered(n));
        let sides = Sides {
            limit: Box::new(move || [round(n, &mut at_limit, &mut limit)]),
            ours: Box::new(move || [round(n, &mut at_ours, &mut ours)]),
            peer: peers::drain_one(bench, n),
        };
        bench.compare(Cost::Cheap, [case(n)], sides);
    }
}

fn case(n: usize) -> Case {
    Case {
        workload: "drain_one",
        n,
        unit: "ns",
        limit_is: "mutex + VecDeque pop",
        target: Target::Ratio(4.0),
    }
}

/// A table of pending tasks that are ended by their index.
trait Table {
    /// Ends one and takes delivery of it.
    fn end_and_drain(&mut self, index: usize);
    /// Puts a new pending task in the place of an ended one.
    fn refill(&mut self, index: usize);
}

/// Ends a tenth of the tasks at a time, so that about n are pending all the while, and starts
/// others in their places off the clock.
fn round(n: usize, order: &mut impl Iterator<Item = usize>, table: &mut impl Table) -> f64 {
    let piece = (n / 10).min(ENDS);
    let mut time = Duration::ZERO;
    for _ in 0..ENDS / piece {
        let indices: Vec<usize> = order.take(piece).collect();
        let start = Instant::now();
        for index in &indices {
            table.end_and_drain(*index);
        }
        time += start.elapsed();
        for index in indices {
            table.refill(index);
        }
    }
    ns_each(time, ENDS)
}

struct Ours {
    host: Host,
    inbox: Turn,
    live: Vec<Option<Live>>,
}

impl Ours {
    fn new(n: usize) -> Self {
        let host = Host::new();
        let live = (0..n).map(|_| Some(host.register())).collect();
        Self { inbox: host.inbox(), host, live }
    }
}

impl Table for Ours {
    fn end_and_drain(&mut self, index: usize) {
        self.live[index].take().expect("it is pending").end();
        assert!(self.inbox.drain_one());
    }

    fn refill(&mut self, index: usize) {
        self.live[index] = Some(self.host.register());
    }
}

struct Entry {
    _label: String,
    _prompt: String,
}

#[derive(Default)]
struct Entries {
    pending: Vec<Option<Entry>>,
    ended: VecDeque<(usize, Entry, String)>,
}

struct Limit(Mutex<Entries>);

impl Limit {
    fn new(n: usize) -> Self {
        let pending = (0..n).map(|_| Some(entry())).collect();
        Self(Mutex::new(Entries { pending, ended: VecDeque::new() }))
    }

    fn end(&self, index: usize) {
        let mut entries = self.0.lock().expect("no side panics");
        let entry = entries.pending[index].take().expect("it is pending");
        entries.ended.push_back((index, entry, RESULT.to_owned()));
    }

    fn pop(&self) -> Option<(usize, Entry, String)> {
        self.0.lock().expect("no side panics").ended.pop_front()
    }
}

impl Table for Limit {
    fn end_and_drain(&mut self, index: usize) {
        self.end(index);
        assert!(black_box(self.pop()).is_some());
    }

    fn refill(&mut self, index: usize) {
        self.0.lock().expect("no side panics").pending[index] = Some(entry());
    }
}

fn entry() -> Entry {
    Entry { _label: LABEL.to_owned(), _prompt: PROMPT.to_owned() }
}
