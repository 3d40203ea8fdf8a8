//! The workloads, a file each: what is done, by ours and by the limit.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::Bench;

pub(crate) mod cancel_all;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
pub(crate) mod capture;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod capture_10g;
mod drain_idle;
mod drain_one;
pub(crate) mod list_scope;
pub(crate) mod memory;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
pub(crate) mod proc_exit;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
pub(crate) mod proc_idle;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
pub(crate) mod proc_spawn;
pub(crate) mod retain;
mod spawn_drain;
pub(crate) mod truncate;
pub(crate) mod wait_wake;

/// A workload: prints its lines.
type Run = fn(&Bench);

/// Every workload by its name, in the order in which they run.
pub(crate) const ALL: &[(&str, Run)] = &[
    ("spawn_drain", spawn_drain::run),
    ("drain_one", drain_one::run),
    ("drain_idle", drain_idle::run),
    ("list_scope", list_scope::run),
    ("wait_wake", wait_wake::run),
    ("cancel_all", cancel_all::run),
    ("memory", memory::run),
    ("retain", retain::run),
    ("proc_spawn", proc_spawn::bare),
    ("proc_spawn_guard", proc_spawn::guard),
    ("proc_spawn_subreaper", proc_spawn::subreaper),
    ("proc_idle", proc_idle::run),
    ("proc_exit", proc_exit::run),
    ("capture", capture::run),
    ("capture_10g", capture_10g::run),
    ("truncate", truncate::run),
];

/// Lets other tasks run until so many have counted themselves.
pub(crate) async fn reached(counter: &AtomicUsize, count: usize) {
    while counter.load(Ordering::Acquire) < count {
        tokio::task::yield_now().await;
    }
}

/// Visits the indices below `n` in steps that no prefetcher foresees, each once in `n` steps, and
/// then again.
pub(crate) fn scattered(n: usize) -> impl Iterator<Item = usize> {
    // About the golden section of n, which spreads any run of steps evenly.
    let near = n * 618 / 1000;
    let step = (near..near + n).find(|step| coprime(*step, n)).unwrap_or(1);
    std::iter::successors(Some(0), move |index| Some((index + step) % n))
}

fn coprime(a: usize, b: usize) -> bool {
    if b == 0 { a == 1 } else { coprime(b, a % b) }
}
