//! What the workloads do with `bg-process`: the one file that names its interface.

use std::hint::black_box;
use std::time::Duration;

use bg_core::{LogCaps, TaskId};
use bg_process::{ProcessSpec, Processes};

use super::{Host, Turn};

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
    /// Says why there is no such thing here.
    pub(crate) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Best | Self::Marked => None,
            Self::Cgroup | Self::Subreaper => Some("there is no guard"),
        }
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
        assert_eq!(held.missing(), None);
        let host = Host::new();
        let processes = Processes::new(&host.root);
        Self { host, processes }
    }

    /// Starts a program with its arguments.
    pub(crate) fn spawn<W: AsRef<str>>(&self, program: &str, args: &[W]) -> TaskId {
        let spec = ProcessSpec::new(program).args(args.iter().map(AsRef::as_ref));
        self.processes.spawn(spec).expect("the program is there")
    }

    /// Takes delivery of the next process that ends; it must have done so well.
    pub(crate) async fn one_ended(&self) {
        let claim = self.host.root.inbox().next().await.expect("the registry is open");
        let finished = black_box(claim.ack());
        assert!(finished.outcome.is_success(), "{:?}", finished.outcome);
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
