//! Stopping: gently, then by force, the whole group, and told as it was.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use bg_core::{CancelOutcome, Outcome, Status, TaskId};
use bg_process::ProcessSpec;
use serde_json::json;
use support::{Host, all_dead, exit, host, is_running, numbers, output};

const SOON: Duration = Duration::from_secs(5);

async fn started(host: &Host, script: &str) -> (TaskId, Vec<u32>) {
    let id = host.start(ProcessSpec::shell(script).grace(Duration::from_millis(300)));
    let text = host.output_with(id, "begun").await;
    (id, numbers(&text))
}

#[tokio::test]
async fn a_process_can_heed_sigterm() {
    let host = host();
    let script = "trap 'echo tidied; exit 7' TERM; echo begun; while :; do sleep 0.01; done";
    let (id, _) = started(&host, script).await;
    assert_eq!(host.root.cancel(id, "enough").unwrap(), CancelOutcome::Requested);
    let done = host.end(id).await;
    assert_eq!(done.status(), Status::Cancelled);
    assert_eq!(exit(&done).code, Some(7));
    assert!(output(&done).contains("tidied"));
    let receipt = json!({
        "requested": {"grace_ms": 300}, "signals": ["SIGTERM"], "exit_code": 7, "signal": null,
        "containment": "marked", "survivors": [], "unattributed": [],
        "verdict": "gone_as_far_as_seen",
    });
    assert_eq!(done.outcome.output().unwrap().data(), Some(&json!({"receipt": receipt})));
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_its_grace() {
    let host = host();
    let (id, pids) =
        started(&host, "trap '' TERM; echo $$ begun; while :; do sleep 0.05; done").await;
    let before = Instant::now();
    host.root.cancel(id, "enough").unwrap();
    let done = host.end(id).await;
    assert_eq!(exit(&done).signal, Some(9));
    assert!(
        before.elapsed() >= Duration::from_millis(300),
        "SIGKILL came before the grace was over"
    );
    assert!(before.elapsed() < SOON, "took {:?}", before.elapsed());
    assert!(!is_running(pids[0]), "killed was said before it was true");
}

#[tokio::test]
async fn a_stopped_process_is_continued_so_that_it_can_end() {
    let host = host();
    let script = "trap 'exit 7' TERM; echo begun; kill -STOP $$; while :; do sleep 0.01; done";
    let (id, _) = started(&host, script).await;
    host.root.cancel(id, "enough").unwrap();
    let done = host.end(id).await;
    assert_eq!(exit(&done).code, Some(7));
}

#[tokio::test]
async fn grandchildren_die_with_the_group() {
    let host = host();
    let script = "sleep 1000 & echo $!; (trap '' TERM; sleep 1000) & echo $! begun; wait";
    let (id, pids) = started(&host, script).await;
    assert_eq!(pids.len(), 2);
    host.root.cancel(id, "enough").unwrap();
    host.end(id).await;
    all_dead(&pids, SOON).await;
}

#[tokio::test]
async fn what_is_left_of_a_group_ends_with_its_leader() {
    let host = host();
    let done = host.run(ProcessSpec::shell("sleep 1000 >/dev/null 2>&1 & echo $!")).await;
    assert_eq!(exit(&done).code, Some(0));
    all_dead(&numbers(&output(&done)), SOON).await;
}

#[tokio::test]
async fn a_process_that_had_exited_keeps_its_exit_code_when_it_is_cancelled() {
    let host = host();
    for _ in 0..50 {
        let id = host.start(ProcessSpec::shell("exit 3"));
        tokio::task::yield_now().await;
        let outcome = host.root.cancel(id, "too late or in time").unwrap();
        let done = host.end(id).await;
        match &done.outcome {
            // Stopped before it was started, or by our signal.
            Outcome::Cancelled(_) => {
                assert_ne!(outcome, CancelOutcome::AlreadyEnded(Status::Completed));
            }
            other => assert_eq!(other.output().unwrap().exit().unwrap().code, Some(3), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_zombie_that_nobody_has_looked_at_keeps_its_exit_code() {
    let host = host();
    let (id, pids) = started(&host, "echo $$ begun; read -r _ < /dev/null; exit 3").await;
    // The runtime has one thread and it is here: the exit cannot have been noticed.
    while is_running(pids[0]) {
        std::hint::spin_loop();
    }
    host.root.cancel(id, "too late").unwrap();
    let done = host.end(id).await;
    assert_eq!((done.status(), exit(&done).code), (Status::Completed, Some(3)));
}

#[tokio::test]
async fn dropping_the_registry_kills_the_groups() {
    let host = host();
    let (_, pids) = started(&host, "trap '' TERM; sleep 1000 & echo $$ $! begun; wait").await;
    drop(host.registry);
    all_dead(&pids, SOON).await;
}

#[tokio::test]
async fn closing_with_a_grace_ends_what_ignores_sigterm_in_time() {
    let host = host();
    let id =
        host.start(ProcessSpec::shell("trap '' TERM; echo $$ begun; while :; do sleep 0.05; done"));
    let pids = numbers(&host.output_with(id, "begun").await);
    let before = Instant::now();
    let report = host.root.close(Duration::from_millis(500)).await;
    assert!(before.elapsed() < Duration::from_millis(1600), "took {:?}", before.elapsed());
    assert_eq!((report.ended.len(), report.unresponsive.len()), (1, 0));
    all_dead(&pids, SOON).await;
}

#[tokio::test]
async fn stopped_processes_leave_no_zombie() {
    let host = host();
    let (id, pids) = started(&host, "echo $$ begun; exec sleep 1000").await;
    host.root.cancel(id, "enough").unwrap();
    host.end(id).await;
    let stat = std::path::PathBuf::from(format!("/proc/{}/stat", pids[0]));
    assert!(!stat.exists(), "it was not reaped");
}

/// Not a test but the program of the next one: it moves to the group of its parent and stays.
#[test]
fn fixture_that_leaves_its_group() {
    if std::env::var_os("BG_TEST_LEAVE_GROUP").is_none() {
        return;
    }
    let parent = rustix::process::getpgid(rustix::process::getppid()).unwrap();
    rustix::process::setpgid(None, Some(parent)).unwrap();
    eprintln!("{} begun", std::process::id());
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn a_process_that_moved_to_another_group_is_stopped_too() {
    let host = host();
    let args = ["--exact", "fixture_that_leaves_its_group", "--nocapture"];
    let program = std::env::current_exe().unwrap();
    let spec = ProcessSpec::new(program).args(args).env("BG_TEST_LEAVE_GROUP", "1");
    let id = host.start(spec);
    let text = host.output_with(id, "begun").await;
    let line = text.lines().find(|line| line.ends_with("begun")).unwrap();
    host.root.cancel(id, "enough").unwrap();
    let done = host.end(id).await;
    assert_eq!(exit(&done).signal, Some(15));
    assert!(!is_running(numbers(line)[0]));
}
