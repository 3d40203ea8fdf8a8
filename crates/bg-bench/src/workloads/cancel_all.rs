//! `cancel_all`: stop n tasks of one scope, until all have ended and are delivered; and how long
//! the call itself takes, which is all that its caller waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, Cost};
use crate::clock::ns_each;
use crate::line::{Case, Target};
use crate::ours::Host;
use crate::peers;
use crate::sides::Sides;
use crate::words::RESULT;
use crate::workloads::reached;

const SIZES: [usize; 2] = [10_000, 100_000];

pub(crate) fn run(bench: &Bench) {
    for n in SIZES {
        let sides = Sides {
            limit: Box::new(move || bench.on_worker(limit(n))),
            ours: Box::new(move || bench.on_worker(ours(n))),
            peer: peers::cancel_all(bench, n),
        };
        bench.compare(Cost::Cheap, cases(n), sides);
    }
}

fn cases(n: usize) -> [Case; 2] {
    let limit_is = "CancellationToken child tree";
    let target = Target::Ratio(2.0);
    let all = Case { workload: "cancel_all", n, unit: "ns", limit_is, target };
    let target = Target::Ours(10.0);
    [all, Case { workload: "cancel_all_call", unit: "ms", target, ..all }]
}

/// The time per task until all are delivered in nanoseconds, and that of the call in milliseconds.
pub(crate) fn figures(n: usize, start: Instant, called: Instant) -> [f64; 2] {
    [ns_each(start.elapsed(), n), (called - start).as_secs_f64() * 1e3]
}

async fn ours(n: usize) -> [f64; 2] {
    static POLLED: AtomicUsize = AtomicUsize::new(0);
    POLLED.store(0, Ordering::Release);
    let host = Host::new();
    host.spawn_pending(n, &POLLED);
    reached(&POLLED, n).await;
    let start = Instant::now();
    host.cancel_all();
    let called = Instant::now();
    host.drain(n).await;
    figures(n, start, called)
}

async fn limit(n: usize) -> [f64; 2] {
    let (root, polled) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (sender, mut receiver) = unbounded_channel();
    for id in 0..n {
        let (token, polled, sender) = (root.child_token(), polled.clone(), sender.clone());
        tokio::spawn(async move {
            polled.fetch_add(1, Ordering::Release);
            token.cancelled().await;
            sender.send((id, RESULT.to_owned()))
        });
    }
    reached(&polled, n).await;
    let start = Instant::now();
    root.cancel();
    let called = Instant::now();
    for _ in 0..n {
        std::hint::black_box(receiver.recv().await);
    }
    figures(n, start, called)
}
