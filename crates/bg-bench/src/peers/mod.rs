//! The published peers, a function a workload. Each does what its own hosts do, and no more: where
//! a peer leaves a choice, the cheaper one is taken.

#![allow(clippy::unnecessary_wraps, reason = "a build without peers has none to return")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::bench::Bench;
use crate::clock::ns_per_call;
use crate::sides::{Peer, Which};
use crate::workloads::list_scope::OWN;
use crate::workloads::memory::in_children;
use crate::workloads::retain::Load;
use crate::workloads::wait_wake::{SAMPLES, WAITERS, drive};

mod defect;
mod koda;
#[cfg(target_os = "linux")]
mod koda_process;
mod koda_wait;
#[cfg(target_os = "linux")]
mod processes;

pub(crate) use koda::pending;
#[cfg(target_os = "linux")]
pub(crate) use koda_process::capture as captured;
#[cfg(target_os = "linux")]
pub(crate) use processes::{capture, proc_exit, proc_idle, proc_spawn};

const KODA: &str = "koda-core 0.5.1";
const KODA_WAIT: &str = "koda-core 0.3.2";
const DEFECT: &str = "defect-agent 0.1.0-alpha.6";

/// How many rounds are worth it when the cost of one grows with n.
fn rounds(n: usize) -> usize {
    match n {
        ..=10_000 => 5,
        10_001..=100_000 => 3,
        _ => 1,
    }
}

pub(crate) fn spawn_drain(bench: &Bench, n: usize) -> Option<Peer<'_, 1>> {
    let side = move || [bench.on_worker(koda::spawn_drain(n))];
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(side) })
}

pub(crate) fn drain_one(bench: &Bench, n: usize) -> Option<Peer<'_, 1>> {
    let mut table = koda::Table::new(bench, n);
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(move || [table.end_and_drain_some()]) })
}

pub(crate) fn drain_idle(bench: &Bench, n: usize) -> Option<Peer<'_, 1>> {
    let table = koda::Table::new(bench, n);
    let calls = calls(n);
    let side = move || [ns_per_call(calls, || table.drain())];
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(side) })
}

pub(crate) fn list_scope(bench: &Bench, n: usize) -> Option<Peer<'_, 1>> {
    let table = koda::Table::with_own(bench, n, OWN);
    assert_eq!(table.list().len(), OWN);
    let calls = calls(n);
    let side = move || [ns_per_call(calls, || table.list())];
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(side) })
}

/// So many calls, each of which visits n entries, take a fraction of a second.
fn calls(n: usize) -> usize {
    (1_000_000 / n).max(2)
}

pub(crate) fn wait_one_by_one(bench: &Bench) -> Option<Peer<'_, 2>> {
    let side = || bench.beside_workers(drive::one_by_one(koda_wait::Waits::new(), SAMPLES));
    Some(Peer { is: KODA_WAIT, rounds: 5, side: Box::new(side) })
}

pub(crate) fn wait_singly(bench: &Bench) -> Option<Peer<'_, 1>> {
    let side = || bench.beside_workers(drive::singly(koda_wait::Waits::new(), WAITERS));
    Some(Peer { is: KODA_WAIT, rounds: 5, side: Box::new(side) })
}

pub(crate) fn wait_burst(bench: &Bench) -> Option<Peer<'_, 1>> {
    let side = || bench.on_worker(drive::burst(koda_wait::Waits::new(), WAITERS));
    Some(Peer { is: KODA_WAIT, rounds: 5, side: Box::new(side) })
}

pub(crate) fn cancel_all(bench: &Bench, n: usize) -> Option<Peer<'_, 2>> {
    let side = move || bench.on_worker(koda::cancel_all(n));
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(side) })
}

pub(crate) fn memory() -> Option<Peer<'static, 1>> {
    Some(Peer { is: KODA, rounds: 5, side: in_children(Which::Peer) })
}

pub(crate) fn retain(bench: &Bench, load: Load) -> Option<Peer<'_, 1>> {
    let table = Arc::new(bench.on_worker(defect::under(load)));
    // Every end visits all that is kept or runs.
    let batch = 1_000_000 / (load.kept + load.running);
    let batch = batch.clamp(20, 1_000);
    let side = move || [bench.on_worker(defect::round(table.clone(), batch))];
    Some(Peer { is: DEFECT, rounds: rounds(load.kept + load.running), side: Box::new(side) })
}

pub(crate) fn truncate<'a>(bench: &'a Bench, text: &str) -> Option<Peer<'a, 1>> {
    let table = bench.on_worker(defect::with_text(text.to_owned()));
    let side = move || [ns_per_call(5, || defect::truncated(&table))];
    Some(Peer { is: DEFECT, rounds: 5, side: Box::new(side) })
}

/// Tells the driver when the last of many tasks has done its part, where a peer has no way of its
/// own to wait for all.
struct Countdown {
    left: AtomicUsize,
    done: mpsc::UnboundedSender<()>,
}

impl Countdown {
    fn from(count: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<()>) {
        let (done, over) = mpsc::unbounded_channel();
        (Arc::new(Self { left: AtomicUsize::new(count), done }), over)
    }

    fn one_done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Nobody listens when the driver has given up.
            let _ = self.done.send(());
        }
    }
}
