//! Numbers of processes are given out again: no signal reaches whoever has one now.
//!
//! The kernel is made to give the very number out again, through `ns_last_pid`. That takes root, and a
//! namespace of processes in which nobody else starts anything.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bg_process::Containment;
use support::fixture::{FENCES, Fenced, PROGRAM, fixture, groups};
use support::numbers;

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
const INSIDE: &str = "BG_TEST_OWN_PIDS";

/// Runs this test again in a namespace, below a shell that reaps what nobody else does; returns
/// whether it is that run.
fn in_a_namespace_of_its_own(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c"]);
    command.arg("\"$0\" \"$@\"; exit $?").arg(program);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    if let Some(reason) = no_namespace() {
        println!("skipped: {reason}");
        return false;
    }
    let status = command.status().unwrap();
    assert!(status.success(), "in the namespace: {status}");
    false
}

fn no_namespace() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may choose the next number of a process");
    }
    let works = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    (!works).then_some("unshare makes no namespace here")
}

/// Starts an innocent process that has this number and leads the group of this number. `None` if the
/// number is still taken.
fn innocent(pid: u32) -> Option<Child> {
    for _ in 0..5 {
        fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
        let mut command = Command::new(PROGRAM);
        let mut child = command
            .args(["sleep", "innocent"])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        if child.id() == pid {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    None
}

/// Ends the innocent, which must not have been ended before.
fn survived(mut innocent: Child) -> bool {
    let before = innocent.try_wait().unwrap();
    let _ = innocent.kill();
    before.is_none() && innocent.wait().unwrap().signal() == Some(9)
}

/// Numbers are given out again while a task is stopped, after it has ended, and when its registry is
/// dropped.
async fn forced(fence: Containment, count: u32) -> Option<u32> {
    let mut reused = 0;
    let mut fenced = Fenced::new(fence).await?;
    for round in 0..count {
        let words = ["early-exit code=3 say", "sleep", "fork-tree depth=1 fan=2 exit=1"];
        let spec = fixture(words[round as usize % 3]).drain(Duration::from_millis(5));
        let id = fenced.start_spec(spec.arg(&fenced.word));
        let said = fenced.host.output_with(id, "begun").await;
        let leader = numbers(&said)[0];
        let _ = fenced.host.root.cancel(id, "stop");
        // As soon as the number is free, also if the task is not done with it.
        let mut taken = None;
        let until = Instant::now() + Duration::from_secs(5);
        while taken.is_none() && Instant::now() < until {
            tokio::task::yield_now().await;
            if !fs::exists(format!("/proc/{leader}")).unwrap() {
                taken = innocent(leader);
            }
        }
        let taken = taken.unwrap_or_else(|| panic!("number {leader} was not free again"));
        fenced.host.end(id).await;
        let _ = fenced.host.root.cancel(id, "again");
        if round % 10 == 9 {
            // The registry that there was is dropped.
            fenced = Fenced::new(fence).await.unwrap();
        }
        tokio::task::yield_now().await;
        assert!(survived(taken), "{fence:?}, round {round}: an innocent process was signalled");
        reused += 1;
    }
    Some(reused)
}

#[test]
fn a_thousand_numbers_given_out_again_are_never_signalled() {
    if !in_a_namespace_of_its_own("a_thousand_numbers_given_out_again_are_never_signalled") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut all = 0;
    for (fence, least) in FENCES.iter().zip([400, 300, 300]) {
        // Where there are no control groups, the others do their part.
        let count = if all == 0 && *fence != Containment::Cgroup { 1000 } else { least };
        let reused = runtime.block_on(forced(*fence, count)).unwrap_or(0);
        println!("{fence:?}: {reused} numbers given out again, 0 wrong signals");
        all += reused;
    }
    assert!(all >= 1000, "only {all}");
    // The end of the namespace is the end of the guard, before it could do this.
    let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
    for group in groups(&format!("bg-{namespace}-")) {
        fs::remove_dir(group).unwrap();
    }
}
