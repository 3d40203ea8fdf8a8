//! What the process tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

#[cfg(target_os = "linux")]
#[macro_use]
pub(crate) mod fixture;
#[cfg(target_os = "linux")]
pub(crate) mod player;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bg_core::{Exit, Finished, Registry, Scope, TaskId};
use bg_process::{ProcessSpec, Processes};

/// A registry with one root.
pub(crate) struct Host {
    pub(crate) registry: Registry,
    pub(crate) root: Scope,
}

pub(crate) fn host() -> Host {
    let registry = Registry::new();
    let root = registry.root_scope();
    Host { registry, root }
}

impl Host {
    #[track_caller]
    pub(crate) fn start(&self, spec: ProcessSpec) -> TaskId {
        Processes::new(&self.root).spawn(spec).expect("the process starts")
    }

    /// Waits for the outcome and takes it.
    pub(crate) async fn end(&self, id: TaskId) -> Arc<Finished> {
        self.root.wait([id]).timeout(Duration::from_secs(60)).await.expect("it is ours");
        self.root.claim(id).expect("it has ended").ack()
    }

    pub(crate) async fn run(&self, spec: ProcessSpec) -> Arc<Finished> {
        self.end(self.start(spec)).await
    }

    /// Reads what a process wrote, once it has written `needle`.
    pub(crate) async fn output_with(&self, id: TaskId, needle: &str) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.root.log(id).expect("it is ours");
            let bytes = log.map(|log| log.read(0, 1 << 20, None).bytes).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.contains(needle) {
                return text;
            }
            let outcome = self.root.outcome(id).map(|finished| finished.outcome.clone());
            assert!(outcome.is_err(), "{needle:?} did not come; there is {text:?}, {outcome:?}");
            assert!(Instant::now() < until, "{needle:?} did not come; there is {text:?}");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn exit(finished: &Finished) -> Exit {
    let output = finished.outcome.output();
    output.and_then(bg_core::Output::exit).unwrap_or_else(|| panic!("no exit in {finished:?}"))
}

pub(crate) fn output(finished: &Finished) -> String {
    let log = finished.log().expect("it has a log");
    String::from_utf8_lossy(&log.read(0, 1 << 20, None).bytes).into_owned()
}

/// Waits until no process is left whose number is in `pids`: gone, or a zombie that its new parent
/// has not collected yet.
#[cfg(target_os = "linux")]
pub(crate) async fn all_dead(pids: &[u32], within: Duration) {
    let until = Instant::now() + within;
    while let Some(pid) = pids.iter().find(|&&pid| is_running(pid)) {
        assert!(Instant::now() < until, "process {pid} is still there");
        tokio::task::yield_now().await;
    }
}

/// Returns whether a process exists and is not a zombie.
#[cfg(target_os = "linux")]
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name is in brackets and may contain anything; the state follows it.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
