//! Starting and stopping, many times over. One test in this binary: it counts what the whole process
//! has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use bg_core::{Scope, Status};
use bg_process::{
    Containment, GuardStatus, ProcessSpec, Processes, guard_status, use_guard_program,
};
use support::fixture::{FENCES, Fenced, PROGRAM, groups};
use support::host;

const AT_ONCE: usize = 20;

/// Descriptors that a process has open.
fn descriptors(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Children of every thread of a process, zombies among them.
fn children(pid: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok);
    let lists = threads.filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace().map(str::to_owned)).collect()
}

/// What the host has, and its guard, if there is one by now.
fn possessions() -> Vec<(usize, Vec<String>)> {
    let mut owners = vec!["self".to_owned()];
    if let GuardStatus::Running { pid, .. } = guard_status() {
        owners.push(pid.to_string());
    }
    owners.iter().map(|owner| (descriptors(owner), children(owner))).collect()
}

/// Control groups of this process and its tasks.
fn own_groups() -> usize {
    groups(&format!("-{}-", std::process::id())).len()
}

/// Every other one exits by itself; the others are stopped, before they begin or while they run.
async fn cycles(root: Scope, processes: Processes, count: usize) {
    for number in 0..count {
        let program = if number % 2 == 0 { "true" } else { "sleep" };
        let id = processes.spawn(ProcessSpec::new(program).arg("1000")).unwrap();
        if number % 4 == 3 {
            tokio::task::yield_now().await;
        }
        if number % 2 == 1 {
            root.cancel(id, "next").unwrap();
        }
        root.wait([id]).await.unwrap();
        let done = root.claim(id).unwrap().ack();
        let expected = if number % 2 == 0 { Status::Completed } else { Status::Cancelled };
        assert_eq!(done.status(), expected, "{:?}", done.outcome);
    }
}

/// Waits for what must be seen within a second.
async fn until<T: std::fmt::Debug>(what: &str, now: impl Fn() -> T, seen: impl Fn(&T) -> bool) {
    let end = Instant::now() + Duration::from_secs(1);
    while !seen(&now()) {
        assert!(Instant::now() < end, "{what}: {:?}", now());
        tokio::task::yield_now().await;
    }
}

async fn leave_nothing(fence: Containment, count: usize) {
    let host = host();
    let processes = Processes::new(&host.root).contained_by(fence);
    // What the first process costs once is not a leak.
    cycles(host.root.clone(), processes.clone(), 4).await;
    let childless = |now: &Vec<(usize, Vec<String>)>| now.iter().all(|it| it.1.is_empty());
    until("children at the beginning", possessions, childless).await;
    until("groups at the beginning", own_groups, |count| *count <= 1).await;
    let before = possessions();
    let begin = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(cycles(host.root.clone(), processes.clone(), count / AT_ONCE)))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    println!("{fence:?}: {count} cycles in {:?}", begin.elapsed());
    until("descriptors and children", possessions, |now| {
        childless(now) && now.iter().zip(&before).all(|(now, before)| now.0 <= before.0)
    })
    .await;
    // That of the host itself, which goes away with it.
    until("control groups", own_groups, |count| *count <= 1).await;
    assert_eq!(host.root.live(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cycles_leave_no_child_no_zombie_and_no_descriptor() {
    use_guard_program(PROGRAM);
    let groups = Fenced::new(Containment::Cgroup).await.is_some();
    // What takes longest is done least often, and where there are no control groups not at all.
    let shares = if groups { [2000, 3000, 5000] } else { [0, 4000, 6000] };
    for (fence, share) in FENCES.iter().zip(shares).filter(|(_, share)| *share > 0) {
        leave_nothing(*fence, share).await;
    }
}
