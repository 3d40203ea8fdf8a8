//! What the workloads do with `bg-process`: the one file that names its interface.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{Finished, LogCaps, TaskId};
use bg_process::{Containment, GuardStatus, ProcessSpec, Processes, guard_status};

use super::{Host, Turn};
use crate::bench::Bench;

/// What holds the processes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// What a host gets that asks for nothing.
    Best,
    /// Nothing but a mark: the host starts them itself.
    Marked,
    /// A cgroup each, made by the guard.
    Cgroup,
    /// A subreaper each, made by the guard.
    Subreaper,
}

impl Held {
    fn containment(self) -> Option<Containment> {
        match self {
            Self::Best => None,
            Self::Marked => Some(Containment::Marked),
            Self::Cgroup => Some(Containment::Cgroup),
            Self::Subreaper => Some(Containment::Subreaper),
        }
    }

    /// Tries whether it can be had here; says on stderr why a workload is left out.
    pub(crate) fn is_there(self, bench: &Bench, workload: &str) -> bool {
        let finished = bench.on_watching_worker(async move {
            let starter = Starter::new(self);
            starter.spawn::<&str>("/bin/true", &[]);
            starter.next().await
        });
        if !finished.outcome.is_success() {
            eprintln!("bg-bench: `{workload}` is left out: {:?}", finished.outcome);
        }
        finished.outcome.is_success()
    }
}

/// The process number of the guard, if there is one.
pub(crate) fn guard() -> Option<u32> {
    match guard_status() {
        GuardStatus::Running { pid, .. } => Some(pid),
        _ => None,
    }
}

/// How much of its output the log of a process keeps by default.
pub(crate) fn log_cap() -> usize {
    let caps = LogCaps::default();
    caps.head + caps.tail
}

/// A host that starts processes.
pub(crate) struct Starter {
    host: Host,
    processes: Processes,
}

impl Starter {
    pub(crate) fn new(held: Held) -> Self {
        let host = Host::new();
        let processes = Processes::new(&host.root);
        let processes = match held.containment() {
            Some(containment) => processes.contained_by(containment),
            None => processes,
        };
        Self { host, processes }
    }

    /// Starts a program with its arguments.
    pub(crate) fn spawn<W: AsRef<str>>(&self, program: &str, args: &[W]) -> TaskId {
        let spec = ProcessSpec::new(program).args(args.iter().map(AsRef::as_ref));
        self.processes.spawn(spec).expect("the program is there")
    }

    /// Takes delivery of the next process that ends; it must have done so well.
    pub(crate) async fn one_ended(&self) {
        let finished = black_box(self.next().await);
        assert!(finished.outcome.is_success(), "{:?}", finished.outcome);
    }

    async fn next(&self) -> Arc<Finished> {
        self.host.root.inbox().next().await.expect("the registry is open").ack()
    }

    /// Waits for a process, without taking delivery.
    pub(crate) async fn waited(&self, id: TaskId) {
        black_box(self.host.root.wait([id]).await.expect("the registry is open"));
    }

    /// Waits until a process has written something.
    pub(crate) async fn wrote(&self, id: TaskId) {
        while self.written(id) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns how many bytes a process has written.
    pub(crate) fn written(&self, id: TaskId) -> u64 {
        let log = self.host.root.log(id).expect("the task is known");
        log.map_or(0, |log| log.total())
    }

    pub(crate) fn inbox(&self) -> Turn {
        self.host.inbox()
    }
}
