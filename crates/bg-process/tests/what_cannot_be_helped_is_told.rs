//! Guards that are stopped, processes that the kernel does not let die, descriptors that run out: a
//! stop is bounded all the same, and says what is left.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bg_core::Status;
use bg_process::{Containment, GuardStatus, guard_status};
use rustix::process::{Pid, Signal, kill_process};
use support::fixture::Fenced;
use support::player::Player;
use support::{is_running, numbers};
use tokio::sync::Mutex;

mod frozen {
    use super::a_process_that_is_frozen_is_a_survivor_until_it_is_not;
    in_every_containment!(a_process_that_is_frozen_is_a_survivor_until_it_is_not);
}
in_exact_containment!(a_stop_past_a_stopped_guard_is_bounded);

/// Where tests share a process they share its guard, which some of them stop.
static ALONE: Mutex<()> = Mutex::const_new(());

const FREEZER: &str = "/sys/fs/cgroup/freezer";

/// A group of the first version's freezer: what is frozen there does not even die of SIGKILL.
struct Frozen(PathBuf);

impl Frozen {
    fn new(pid: u32) -> Option<Self> {
        let folder = PathBuf::from(format!("{FREEZER}/bg-test-{pid}"));
        if let Err(error) = fs::create_dir(&folder) {
            println!("skipped: no process can be frozen here: {error}");
            return None;
        }
        let frozen = Self(folder);
        fs::write(frozen.0.join("cgroup.procs"), pid.to_string()).unwrap();
        frozen.set("FROZEN");
        Some(frozen)
    }

    fn set(&self, state: &str) {
        let file = self.0.join("freezer.state");
        fs::write(&file, state).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while fs::read_to_string(&file).unwrap().trim() != state {
            assert!(Instant::now() < until, "it does not become {state}");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        let until = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < until {
            std::thread::yield_now();
        }
    }
}

async fn a_process_that_is_frozen_is_a_survivor_until_it_is_not(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    let id = fenced.start("sleep");
    let pid = numbers(&fenced.host.output_with(id, "begun").await)[0];
    let Some(frozen) = Frozen::new(pid) else { return };
    let (done, took) = fenced.stop(id).await;
    // The grace, a second for the kernel, and another one for a machine that is busy.
    assert!(took < Duration::from_millis(200 + 1000 + 1000), "took {took:?}");
    assert_eq!(done.status(), Status::Cancelled);
    let output = done.outcome.output().unwrap();
    let receipt = &output.data().unwrap()["receipt"];
    assert_eq!(receipt["verdict"], "survivors", "{receipt}");
    assert_eq!(receipt["survivors"][0]["pid"], pid, "{receipt}");
    assert!(is_running(pid), "dead is said when it is true");
    frozen.set("THAWED");
    // It was sent SIGKILL, which it gets now.
    fenced.nobody_left(Duration::from_secs(1)).await;
}

fn guard() -> Pid {
    let GuardStatus::Running { pid, .. } = guard_status() else { panic!("there is no guard") };
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// Continues a guard whatever happens.
struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

async fn a_stop_past_a_stopped_guard_is_bounded(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    let running = fenced.begun("stubborn").await;
    let guard = guard();
    kill_process(guard, Signal::STOP).unwrap();
    let stopped = Stopped(guard);
    // More orders than wait in a socket.
    let waiting: Vec<_> = (0..600).map(|_| fenced.start("sleep")).collect();
    tokio::task::yield_now().await;
    let before = Instant::now();
    fenced.host.root.cancel_all("enough");
    fenced.host.end(running).await;
    for id in waiting {
        let done = fenced.host.end(id).await;
        assert_ne!(done.status(), Status::Completed);
    }
    assert!(before.elapsed() < Duration::from_secs(5), "took {:?}", before.elapsed());
    drop(stopped);
    // What it reads now it does not start, or ends at once.
    fenced.nobody_left(Duration::from_secs(1)).await;
    let next = fenced.begun("sleep").await;
    fenced.stop(next).await;
}

/// The runtime's end does not wait for a guard that does not move.
#[test]
fn a_stopped_guard_does_not_hold_up_the_end_of_the_runtime() {
    let _alone = ALONE.blocking_lock();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let fenced = runtime.block_on(Fenced::new(Containment::Subreaper)).unwrap();
    let guard = guard();
    kill_process(guard, Signal::STOP).unwrap();
    let stopped = Stopped(guard);
    runtime.block_on(async {
        for _ in 0..600 {
            fenced.start("sleep");
        }
        tokio::task::yield_now().await;
    });
    let before = Instant::now();
    drop(runtime);
    assert!(before.elapsed() < Duration::from_secs(1), "took {:?}", before.elapsed());
    let traces = fenced.traces();
    drop(fenced);
    drop(stopped);
    let left = traces.extinct(Duration::from_secs(2));
    assert!(left.is_ok(), "{left:?}");
}

/// A host that may have 64 descriptors: refusals, no hang, and room again after a stop.
#[test]
fn descriptors_that_run_out_are_a_refusal() {
    for fence in ["containment=cgroup", "containment=subreaper", "containment=marked"] {
        let shell = ["-c", "ulimit -n 64; exec \"$0\" \"$@\""];
        let mut player = Player::below("/bin/sh", &shell, fence);
        let mut refused = Vec::new();
        let mut running = Vec::new();
        for task in 0..40 {
            player.say("spawn sleep");
            let said = player.say(&format!("output {task} begun"));
            if said.contains("begun") { running.push(task) } else { refused.push(task) }
        }
        assert!(!refused.is_empty() && running.len() > 8, "{fence}: {} run", running.len());
        for task in refused {
            let end = player.end(task);
            assert_eq!(end["status"], "Failed", "{fence}: {end}");
            let reason = end["reason"].as_str().unwrap_or_default();
            assert!(!reason.contains("guard of the process died"), "{fence}: {reason}");
        }
        for task in running {
            let stopped = player.say(&format!("stop {task}"));
            assert!(stopped.contains("Cancelled"), "{fence}: {stopped}");
        }
        player.begun(40, "sleep");
        player.kill();
        if fence == "containment=marked" {
            player.traces().clean_up();
        }
        player.nothing_left(fence);
    }
}
