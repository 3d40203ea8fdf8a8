//! What every workload is run with.

use std::cell::{Cell, OnceCell};
use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::line::{Case, Line};
use crate::sides::{Peer, Sides};

/// How long one round of a workload takes, and so how many rounds are worth it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cost {
    /// Well under a second.
    Cheap,
    /// Seconds.
    Dear,
    /// So long that one round has to do.
    Once,
}

/// A run of the benchmarks: one runtime for all sides, and whether all lines were good so far.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    watching: OnceCell<Runtime>,
    pub(crate) quick: bool,
    all_ok: Cell<bool>,
}

/// Makes the runtime that all sides share: many threads, two workers.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.expect("a runtime of two workers starts")
}

/// Makes one like it that also watches descriptors, as a host of processes needs.
pub(crate) fn watching_runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime of two workers starts")
}

impl Bench {
    pub(crate) fn new(quick: bool) -> Self {
        let watching = OnceCell::new();
        Self { runtime: runtime(), watching, quick, all_ok: Cell::new(true) }
    }

    /// Tells whether every line reached its target.
    pub(crate) fn all_ok(&self) -> bool {
        self.all_ok.get()
    }

    pub(crate) fn rounds(&self, cost: Cost) -> usize {
        match (cost, self.quick) {
            (Cost::Cheap, false) => 9,
            (Cost::Cheap, true) | (Cost::Dear, false) => 5,
            (Cost::Dear, true) => 3,
            (Cost::Once, _) => 1,
        }
    }

    /// Drives a future as a task of the runtime, as a host's own turn would run.
    pub(crate) fn on_worker<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.runtime.spawn(future)).expect("a benchmark does not panic")
    }

    /// The runtime of what starts processes. The other workloads do without it: their idle workers
    /// park on a condition variable.
    pub(crate) fn watching(&self) -> &Runtime {
        self.watching.get_or_init(watching_runtime)
    }

    /// Drives a future as a task of the runtime that watches descriptors.
    pub(crate) fn on_watching_worker<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let runtime = self.watching();
        runtime.block_on(runtime.spawn(future)).expect("a benchmark does not panic")
    }

    /// Drives a future on the thread of the caller, beside the workers that run its tasks.
    pub(crate) fn beside_workers<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs the sides in turn and prints a line for each figure.
    pub(crate) fn compare<const K: usize>(
        &self,
        cost: Cost,
        cases: [Case; K],
        mut sides: Sides<'_, K>,
    ) {
        let figures = sides.run(self.rounds(cost));
        let peer_is = sides.peer.as_ref().map(|peer: &Peer<'_, K>| peer.is);
        for (case, figures) in cases.into_iter().zip(&figures) {
            self.print(&Line::new(case, figures, peer_is));
        }
    }

    fn print(&self, line: &Line) {
        self.all_ok.set(self.all_ok.get() && line.ok);
        println!("{}", serde_json::to_string(line).expect("a line has no keys but names"));
    }
}
