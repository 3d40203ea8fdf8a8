//! The peers of the workloads with processes.

use super::{KODA, calls, koda_process, rounds};
use crate::bench::Bench;
use crate::clock::ns_per_call;
use crate::sides::{Peer, Which};
use crate::workloads::capture::{Shape, in_children};
use crate::workloads::proc_spawn::{IN_FLIGHT, PROCESSES};

/// It copies the page tables of the host for each process, so in a large host few have to do.
pub(crate) fn proc_spawn(bench: &Bench, ballast: usize) -> Option<Peer<'_, 1>> {
    let (count, rounds) = if ballast == 0 { (PROCESSES, 5) } else { (IN_FLIGHT, 1) };
    let side = move || [bench.on_watching_worker(koda_process::proc_spawn(count))];
    Some(Peer { is: KODA, rounds, side: Box::new(side) })
}

pub(crate) fn proc_idle(bench: &Bench, n: usize) -> Option<Peer<'_, 1>> {
    let registry = bench.on_watching_worker(async move { koda_process::sleepers(n) });
    let side = move || [ns_per_call(calls(n).min(10_000), || registry.reap())];
    Some(Peer { is: KODA, rounds: rounds(n), side: Box::new(side) })
}

pub(crate) fn proc_exit(bench: &Bench) -> Option<Peer<'_, 1>> {
    let side = || [bench.on_watching_worker(koda_process::exits())];
    Some(Peer { is: KODA, rounds: 3, side: Box::new(side) })
}

pub(crate) fn capture(shape: Shape, bytes: usize) -> Option<Peer<'static, 2>> {
    Some(Peer { is: KODA, rounds: 3, side: in_children(Which::Peer, shape, bytes) })
}
