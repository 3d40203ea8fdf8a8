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
use support::fixture::{FENCES, Fenced, PROGRAM};
use support::host;

const CYCLES: usize = 10_000;
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

/// Control groups of the tasks of this process.
fn groups() -> usize {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let Some(folder) = mount.and_then(|line| line.split(' ').nth(1)) else { return 0 };
    let own = format!("-{}-", std::process::id());
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            count += usize::from(entry.path().to_string_lossy().contains(&own));
            folders.push(entry.path());
        }
    }
    count
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

async fn until<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, now: impl Fn() -> T) {
    let end = Instant::now() + Duration::from_secs(1);
    while now() != expected {
        assert!(Instant::now() < end, "{what}: {:?} and not {expected:?}", now());
        tokio::task::yield_now().await;
    }
}

async fn leave_nothing(fence: Containment, count: usize) {
    let host = host();
    let processes = Processes::new(&host.root).contained_by(fence);
    // What the first process costs once is not a leak.
    cycles(host.root.clone(), processes.clone(), 4).await;
    until("a family at the beginning", true, || possessions().iter().all(|it| it.1.is_empty()))
        .await;
    let (before, groups_before) = (possessions(), groups());
    let begin = Instant::now();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(cycles(host.root.clone(), processes.clone(), count / AT_ONCE)))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    println!("{fence:?}: {count} cycles in {:?}", begin.elapsed());
    until("descriptors and children", before, possessions).await;
    until("control groups", groups_before, groups).await;
    assert_eq!(host.root.live(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cycles_leave_no_child_no_zombie_and_no_descriptor() {
    use_guard_program(PROGRAM);
    let groups = Fenced::new(Containment::Cgroup).await.is_some();
    let fences = &FENCES[usize::from(!groups)..];
    for fence in fences {
        // A round number for every worker.
        leave_nothing(*fence, (CYCLES / fences.len()).next_multiple_of(AT_ONCE)).await;
    }
}
