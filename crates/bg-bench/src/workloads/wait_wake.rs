//! `wait_wake`: a task ends, and the wait for it returns.
//!
//! Three cases: one waiter at a time (median and 99th percentile), one of a thousand waiters, and
//! a thousand waiters whose tasks end in a burst (time per waiter until all have returned).
//!
//! Where one ends at a time, the end comes from a thread beside the workers, on which the waiter is
//! parked: a task ends where its work is done, and that is seldom where somebody waits for it. In a
//! burst all are tasks of the runtime, and those who are woken run on its workers as they come.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::bench::{Bench, Cost};
use crate::line::{Case, Target};
use crate::ours::{Host, Live};
use crate::peers;
use crate::sides::Sides;
use crate::words::RESULT;

pub(crate) mod drive;

use drive::Pairs;

/// How many waits one round of the first case times.
pub(crate) const SAMPLES: usize = 3_000;

/// How many waiters there are in the other cases.
pub(crate) const WAITERS: usize = 1_000;

pub(crate) fn run(bench: &Bench) {
    let ours = || Ours(Arc::new(Host::new()));
    let sides = Sides {
        limit: Box::new(|| bench.beside_workers(drive::one_by_one(Oneshots, SAMPLES))),
        ours: Box::new(|| bench.beside_workers(drive::one_by_one(ours(), SAMPLES))),
        peer: peers::wait_one_by_one(bench),
    };
    bench.compare(Cost::Cheap, [case("wait_wake_p50", 1), case("wait_wake_p99", 1)], sides);
    let sides = Sides {
        limit: Box::new(|| bench.beside_workers(drive::singly(Oneshots, WAITERS))),
        ours: Box::new(|| bench.beside_workers(drive::singly(ours(), WAITERS))),
        peer: peers::wait_singly(bench),
    };
    bench.compare(Cost::Cheap, [case("wait_wake_singly", WAITERS)], sides);
    let sides = Sides {
        limit: Box::new(|| bench.on_worker(drive::burst(Oneshots, WAITERS))),
        ours: Box::new(|| bench.on_worker(drive::burst(ours(), WAITERS))),
        peer: peers::wait_burst(bench),
    };
    bench.compare(Cost::Cheap, [case("wait_wake_burst", WAITERS)], sides);
}

fn case(workload: &'static str, n: usize) -> Case {
    Case { workload, n, unit: "ns", limit_is: "tokio oneshot", target: Target::Ratio(1.5) }
}

struct Oneshots;

impl Pairs for Oneshots {
    type End = oneshot::Sender<String>;

    fn pair(&self) -> (impl Future<Output = ()> + Send + 'static, Self::End) {
        let (sender, receiver) = oneshot::channel();
        let wait = async move {
            let result: String = receiver.await.expect("it is sent");
            std::hint::black_box(result);
        };
        (wait, sender)
    }

    fn end(sender: oneshot::Sender<String>) {
        sender.send(RESULT.to_owned()).expect("it is awaited");
    }

    fn clear(&self) {}
}

struct Ours(Arc<Host>);

impl Pairs for Ours {
    type End = Live;

    fn pair(&self) -> (impl Future<Output = ()> + Send + 'static, Self::End) {
        self.0.waited()
    }

    fn end(live: Live) {
        live.end();
    }

    fn clear(&self) {
        self.0.inbox().drain_all();
    }
}
