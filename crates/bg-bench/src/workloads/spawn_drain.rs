//! `spawn_drain`: start n tasks that complete at once, and take delivery of n outcomes.

use std::hint::black_box;
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;

use crate::bench::{Bench, Cost};
use crate::clock::ns_each;
use crate::line::{Case, Target};
use crate::ours::Host;
use crate::peers;
use crate::sides::Sides;
use crate::words::RESULT;

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

pub(crate) fn run(bench: &Bench) {
    for n in SIZES {
        let passes = passes(n);
        let sides = Sides {
            limit: Box::new(move || [bench.on_worker(limit(n, passes))]),
            ours: Box::new(move || [bench.on_worker(ours(n, passes))]),
            peer: peers::spawn_drain(bench, n),
        };
        let cost = if n > 100_000 { Cost::Dear } else { Cost::Cheap };
        bench.compare(cost, [case(n)], sides);
    }
}

/// How often the n tasks are started and drained in one round.
fn passes(n: usize) -> usize {
    (100_000 / n).max(1)
}

fn case(n: usize) -> Case {
    Case {
        workload: "spawn_drain",
        n,
        unit: "ns",
        limit_is: "tokio::spawn + unbounded mpsc of (id, String)",
        target: Target::Ratio(1.5),
    }
}

async fn ours(n: usize, passes: usize) -> f64 {
    let host = Host::new();
    let start = Instant::now();
    for _ in 0..passes {
        host.spawn(n);
        host.drain(n).await;
    }
    ns_each(start.elapsed(), n * passes)
}

async fn limit(n: usize, passes: usize) -> f64 {
    let (sender, mut receiver) = unbounded_channel();
    let start = Instant::now();
    for _ in 0..passes {
        for id in 0..n {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send((id, RESULT.to_owned())) });
        }
        for _ in 0..n {
            black_box(receiver.recv().await);
        }
    }
    ns_each(start.elapsed(), n * passes)
}
