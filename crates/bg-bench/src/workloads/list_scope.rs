//! `list_scope`: a caller that owns 10 of n tasks lists its own.

use crate::bench::{Bench, Cost};
use crate::clock::ns_per_call;
use crate::line::{Case, Target};
use crate::ours::Caller;
use crate::peers;
use crate::sides::Sides;
use crate::words::{LABEL, PROMPT};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

const CALLS: usize = 20_000;

/// How many of the tasks are the caller's.
pub(crate) const OWN: usize = 10;

pub(crate) fn run(bench: &Bench) {
    for n in SIZES {
        let (caller, limit) = (Caller::among(n, OWN), Limit::among(n));
        assert_eq!((caller.list(), limit.list().len()), (OWN, OWN));
        let sides = Sides {
            limit: Box::new(|| [ns_per_call(CALLS, || limit.list())]),
            ours: Box::new(|| [ns_per_call(CALLS, || caller.list())]),
            peer: peers::list_scope(bench, n),
        };
        bench.compare(Cost::Cheap, [case(n)], sides);
    }
}

fn case(n: usize) -> Case {
    Case {
        workload: "list_scope",
        n,
        unit: "ns",
        limit_is: "clone of 10 entries of two strings",
        target: Target::Ratio(2.0),
    }
}

type Entry = (String, String);

/// The entries of all callers, and where those of one are.
struct Limit {
    entries: Vec<Entry>,
    own: Vec<usize>,
}

impl Limit {
    fn among(n: usize) -> Self {
        let entries = (0..n).map(|_| (LABEL.to_owned(), PROMPT.to_owned())).collect();
        Self { entries, own: (0..n).step_by(n / OWN).collect() }
    }

    fn list(&self) -> Vec<Entry> {
        self.own.iter().map(|index| self.entries[*index].clone()).collect()
    }
}
