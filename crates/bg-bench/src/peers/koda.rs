//! koda-core's registry of child agents, driven as its own dispatch drives it.

use std::future::pending as forever;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use koda_core_05::child_agent::{AgentStatus, BgPayload, ChildAgentRegistry, ChildTaskSnapshot};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Countdown;
use crate::bench::Bench;
use crate::clock::ns_each;
use crate::words::{ERRAND, LABEL, PROMPT, RESULT};
use crate::workloads::cancel_all::figures;
use crate::workloads::{reached, scattered};

/// The one that spawns what is asked about, and the one that spawns the rest.
const CALLER: Option<u32> = Some(1);
const ANOTHER: Option<u32> = Some(2);

/// What a task of koda's ends itself with.
struct End {
    status: watch::Sender<AgentStatus>,
    result: oneshot::Sender<Result<BgPayload, BgPayload>>,
}

impl End {
    fn completed(self) {
        // Fails when the entry is gone, which nobody minds.
        let _ = self.status.send(AgentStatus::Completed { summary: RESULT.to_owned() });
        let _ = self.result.send(Ok((RESULT.to_owned(), Vec::new())));
    }

    fn cancelled(self) {
        let _ = self.status.send(AgentStatus::Cancelled);
        let _ = self.result.send(Err((RESULT.to_owned(), Vec::new())));
    }
}

/// Reserves a slot, starts what `start` makes of it, and attaches that to the slot.
fn launch(
    registry: &ChildAgentRegistry,
    parent: &CancellationToken,
    spawner: Option<u32>,
    prompt: &str,
    start: impl FnOnce(End, CancellationToken) -> JoinHandle<()>,
) {
    let slot = registry.reserve(parent, spawner, true);
    let end = End { status: slot.status_tx, result: slot.tx };
    let task = start(end, slot.cancel.clone());
    let (id, rx, status) = (slot.task_id, slot.rx, slot.status_rx);
    registry.attach(id, LABEL, prompt, rx, slot.cancel, status, spawner, true, None, task);
}

pub(super) async fn spawn_drain(n: usize) -> f64 {
    let (registry, parent) = (ChildAgentRegistry::new(), CancellationToken::new());
    let start = Instant::now();
    let (countdown, mut over) = Countdown::from(n);
    for _ in 0..n {
        let countdown = countdown.clone();
        launch(&registry, &parent, CALLER, ERRAND, |end, _| {
            tokio::spawn(async move {
                end.completed();
                countdown.one_done();
            })
        });
    }
    over.recv().await;
    assert_eq!(drain(&registry), n);
    ns_each(start.elapsed(), n)
}

pub(super) async fn cancel_all(n: usize) -> [f64; 2] {
    let (registry, parent) = (ChildAgentRegistry::new(), CancellationToken::new());
    let polled = Arc::new(AtomicUsize::new(0));
    let (countdown, mut over) = Countdown::from(n);
    for _ in 0..n {
        let (polled, countdown) = (polled.clone(), countdown.clone());
        launch(&registry, &parent, CALLER, PROMPT, |end, token| {
            tokio::spawn(async move {
                polled.fetch_add(1, Ordering::Release);
                token.cancelled().await;
                end.cancelled();
                countdown.one_done();
            })
        });
    }
    reached(&polled, n).await;
    let start = Instant::now();
    registry.cancel_for_spawner(1);
    let called = Instant::now();
    over.recv().await;
    assert_eq!(drain(&registry), n);
    figures(n, start, called)
}

/// Starts tasks that stay pending, with what a task of koda's holds.
pub(crate) fn pending(
    count: usize,
    polled: &'static AtomicUsize,
) -> (ChildAgentRegistry, CancellationToken) {
    let (registry, parent) = (ChildAgentRegistry::new(), CancellationToken::new());
    for _ in 0..count {
        launch(&registry, &parent, CALLER, PROMPT, |end, token| {
            tokio::spawn(async move {
                polled.fetch_add(1, Ordering::Release);
                forever::<()>().await;
                drop((end, token));
            })
        });
    }
    (registry, parent)
}

fn drain(registry: &ChildAgentRegistry) -> usize {
    black_box(registry.drain_completed()).len()
}

/// A registry of tasks that stay pending until they are ended from here.
pub(super) struct Table<'a> {
    bench: &'a Bench,
    registry: ChildAgentRegistry,
    parent: CancellationToken,
    live: Vec<Option<End>>,
    order: Box<dyn Iterator<Item = usize>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(bench: &'a Bench, n: usize) -> Self {
        Self::with_own(bench, n, 0)
    }

    /// Of n tasks so many, evenly spread, are the caller's.
    pub(super) fn with_own(bench: &'a Bench, n: usize, own: usize) -> Self {
        let (registry, parent) = (ChildAgentRegistry::new(), CancellationToken::new());
        let order = Box::new(scattered(n));
        let mut table = Self { bench, registry, parent, live: Vec::new(), order };
        for index in 0..n {
            let is_own = own > 0 && index % (n / own) == 0;
            let end = table.launch(if is_own { CALLER } else { ANOTHER });
            table.live.push(Some(end));
        }
        table
    }

    /// Starts a task whose end is kept here; the future has nothing left to do.
    fn launch(&self, spawner: Option<u32>) -> End {
        let _runtime = self.bench.runtime.enter();
        let mut kept = None;
        launch(&self.registry, &self.parent, spawner, PROMPT, |end, _| {
            kept = Some(end);
            tokio::spawn(async {})
        });
        kept.expect("the slot was given out")
    }

    /// Ends and delivers a few tasks, one at a time; returns the time of one in nanoseconds.
    pub(super) fn end_and_drain_some(&mut self) -> f64 {
        let ends = super::calls(self.live.len());
        let mut time = Duration::ZERO;
        for _ in 0..ends {
            let index = self.order.next().expect("the order does not end");
            let end = self.live[index].take().expect("it is pending");
            let start = Instant::now();
            end.completed();
            assert_eq!(self.drain(), 1);
            time += start.elapsed();
            self.live[index] = Some(self.launch(ANOTHER));
        }
        ns_each(time, ends)
    }

    pub(super) fn drain(&self) -> usize {
        drain(&self.registry)
    }

    pub(super) fn list(&self) -> Vec<ChildTaskSnapshot> {
        self.registry.snapshot_for_caller(CALLER)
    }
}
