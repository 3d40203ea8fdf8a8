//! `retain`: start, end and deliver tasks while a number of delivered outcomes stays readable;
//! and the same with many tasks running beside them.

use std::collections::VecDeque;
use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::bench::{Bench, Cost};
use crate::clock::ns_each;
use crate::line::{Case, Target};
use crate::ours::Host;
use crate::peers;
use crate::sides::Sides;
use crate::words::{PROMPT, RESULT};
use crate::workloads::reached;

/// How many delivered outcomes are kept.
const KEPT: [usize; 3] = [64, 1_000, 10_000];

/// How many tasks run in the last case.
const RUNNING: usize = 100_000;

/// How many tasks are started before they are delivered.
const BATCH: usize = 1_000;

/// Batches in one round.
const BATCHES: usize = 50;

/// What is in memory while a side is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) kept: usize,
    pub(crate) running: usize,
}

pub(crate) fn run(bench: &Bench) {
    for kept in KEPT {
        compare(bench, "retain", kept, Load { kept, running: 0 });
    }
    compare(bench, "retain_running", RUNNING, Load { kept: KEPT[0], running: RUNNING });
}

fn compare(bench: &Bench, workload: &'static str, n: usize, load: Load) {
    let limit = Arc::new(tokio::sync::Mutex::new(bench.on_worker(Limit::new(load))));
    let ours = Arc::new(bench.on_worker(ours_under(load)));
    let sides = Sides {
        limit: Box::new(|| {
            let limit = limit.clone();
            [bench.on_worker(async move { limit.lock().await.round().await })]
        }),
        ours: Box::new(|| [bench.on_worker(ours_round(ours.clone()))]),
        peer: peers::retain(bench, load),
    };
    bench.compare(Cost::Cheap, [case(workload, n)], sides);
    bench.on_worker(async move { limit.lock().await.stop() });
}

fn case(workload: &'static str, n: usize) -> Case {
    Case { workload, n, unit: "ns", limit_is: "ring push/pop", target: Target::Ratio(1.3) }
}

async fn ours_under(load: Load) -> Host {
    static POLLED: AtomicUsize = AtomicUsize::new(0);
    POLLED.store(0, Ordering::Release);
    let host = Host::keeping(load.kept);
    host.spawn_pending(load.running, &POLLED);
    reached(&POLLED, load.running).await;
    host.spawn(load.kept);
    host.drain(load.kept).await;
    host
}

async fn ours_round(host: Arc<Host>) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCHES {
        host.spawn(BATCH);
        host.drain(BATCH).await;
    }
    ns_each(start.elapsed(), BATCH * BATCHES)
}

type Ended = (usize, String);

/// A channel of ends and a ring of those that were delivered.
struct Limit {
    sender: UnboundedSender<Ended>,
    receiver: UnboundedReceiver<Ended>,
    ring: VecDeque<Ended>,
    running: Vec<tokio::task::AbortHandle>,
}

impl Limit {
    async fn new(load: Load) -> Self {
        let (sender, receiver) = unbounded_channel();
        let ring = (0..load.kept).map(|id| (id, RESULT.to_owned())).collect();
        Self { sender, receiver, ring, running: run_bare(load.running).await }
    }

    async fn round(&mut self) -> f64 {
        let start = Instant::now();
        for _ in 0..BATCHES {
            self.spawn();
            self.deliver().await;
        }
        ns_each(start.elapsed(), BATCH * BATCHES)
    }

    fn spawn(&self) {
        for id in 0..BATCH {
            let sender = self.sender.clone();
            tokio::spawn(async move { sender.send((id, RESULT.to_owned())) });
        }
    }

    async fn deliver(&mut self) {
        for _ in 0..BATCH {
            let ended = self.receiver.recv().await.expect("a sender is held");
            self.ring.push_back(ended);
            black_box(self.ring.pop_front());
        }
    }

    /// Ends what runs; nobody else would.
    fn stop(&self) {
        self.running.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

async fn run_bare(count: usize) -> Vec<tokio::task::AbortHandle> {
    let polled = Arc::new(AtomicUsize::new(0));
    let start = || {
        let (polled, prompt) = (polled.clone(), PROMPT.to_owned());
        let task = tokio::spawn(async move {
            polled.fetch_add(1, Ordering::Release);
            pending::<()>().await;
            drop(prompt);
        });
        task.abort_handle()
    };
    let running = (0..count).map(|_| start()).collect();
    reached(&polled, count).await;
    running
}
