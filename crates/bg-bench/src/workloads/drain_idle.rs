//! `drain_idle`: a host asks for outcomes while n tasks are pending and none has ended.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::{Bench, Cost};
use crate::clock::ns_per_call;
use crate::line::{Case, Target};
use crate::ours::{Host, Live};
use crate::peers;
use crate::sides::Sides;

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

const CALLS: usize = 1_000_000;

pub(crate) fn run(bench: &Bench) {
    for n in SIZES {
        let host = Host::new();
        let live: Vec<Live> = (0..n).map(|_| host.register()).collect();
        let inbox = host.inbox();
        let ended = AtomicUsize::new(0);
        let sides = Sides {
            limit: Box::new(|| [ns_per_call(CALLS, || ended.load(Ordering::Acquire))]),
            ours: Box::new(|| [ns_per_call(CALLS, || inbox.drain_one())]),
            peer: peers::drain_idle(bench, n),
        };
        bench.compare(Cost::Cheap, [case(n)], sides);
        drop(live);
    }
}

fn case(n: usize) -> Case {
    Case {
        workload: "drain_idle",
        n,
        unit: "ns",
        limit_is: "one atomic load",
        target: Target::Ours(30.0),
    }
}
