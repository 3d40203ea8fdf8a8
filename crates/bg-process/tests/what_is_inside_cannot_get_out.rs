//! Attacks from inside a task, and hosts inside of hosts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use bg_core::Status;
use bg_process::ProcessSpec;
use rustix::process::{Pid, Signal, kill_process};
use support::fixture::{Fenced, PROGRAM, fixture, parent};
use support::player::Player;
use support::{exit, numbers};

in_exact_containment!(
    a_host_inside_of_a_task_ends_with_it,
    groups_made_inside_of_a_task_end_with_it,
    processes_killed_from_outside_are_told_with_their_signal,
    three_hundred_tasks_stop_together,
    a_process_that_had_exited_keeps_its_exit_code,
    the_parent_of_a_process_may_be_signalled_from_inside,
);

const BOUND: Duration = Duration::from_secs(1);

/// The inner host's guard leaves its session, its parent and its pipes, and stays inside.
async fn a_host_inside_of_a_task_ends_with_it(fenced: Fenced) {
    for inner in ["containment=cgroup", "containment=subreaper"] {
        // The inner guard is found by this.
        let spec = fixture(&format!("host {inner}")).env("BG_INSIDE", &fenced.word);
        let spec = spec.arg(&fenced.word);
        let (id, stdin) = fenced.processes.spawn_with_stdin(spec).unwrap();
        stdin.write("spawn daemonise clear\noutput 0 begun\nspawn stubborn\n").await.unwrap();
        stdin.write("output 1 begun\n").await.unwrap();
        let said = fenced.host.output_with(id, "\n4 ").await;
        assert!(!said.contains('!'), "{said}");
        assert!(fenced.traces().find().len() > 4, "{said}");
        let (done, _) = fenced.stop(id).await;
        assert_eq!(done.status(), Status::Cancelled, "{inner}");
        fenced.nobody_left(BOUND).await;
    }
}

/// A task that makes control groups of its own below its own, and moves there.
async fn groups_made_inside_of_a_task_end_with_it(fenced: Fenced) {
    let script = "g=$(sed -n 's/^0:://p' /proc/self/cgroup); \
         m=$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts); \
         mkdir -p \"$m$g/deep/deeper\" && echo $$ > \"$m$g/deep/deeper/cgroup.procs\"; \
         setsid \"$0\" sleep \"$1\" & echo begun; wait";
    if fenced.fence != bg_process::Containment::Cgroup {
        return;
    }
    for leaves in [false, true] {
        let script = if leaves {
            script.replace("; wait", "; sleep 0.05; exit 0")
        } else {
            script.to_owned()
        };
        let spec = ProcessSpec::new("/bin/sh").args(["-c", &script, PROGRAM, &fenced.word]);
        let id = fenced.start_spec(spec.grace(Duration::from_millis(100)));
        fenced.host.output_with(id, "begun").await;
        if !leaves {
            fenced.host.root.cancel(id, "enough").unwrap();
        }
        fenced.host.end(id).await;
        fenced.nobody_left(BOUND).await;
    }
}

async fn processes_killed_from_outside_are_told_with_their_signal(fenced: Fenced) {
    for signal in [Signal::KILL, Signal::SEGV, Signal::USR1, Signal::TERM] {
        let id = fenced.start_spec(ProcessSpec::shell("echo $$ begun; exec sleep 1000"));
        let pid = numbers(&fenced.host.output_with(id, "begun").await)[0];
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
        let done = fenced.host.end(id).await;
        assert_eq!(done.status(), Status::Completed);
        assert_eq!(exit(&done).signal, Some(signal.as_raw()), "not a stop of ours");
    }
}

async fn three_hundred_tasks_stop_together(fenced: Fenced) {
    let ids: Vec<_> = (0..300).map(|_| fenced.start("stubborn")).collect();
    for id in &ids {
        fenced.host.output_with(*id, "begun").await;
    }
    let before = Instant::now();
    fenced.host.root.cancel_all("enough");
    for id in ids {
        assert_eq!(exit(&*fenced.host.end(id).await).signal, Some(9));
    }
    assert!(before.elapsed() < Duration::from_secs(5), "took {:?}", before.elapsed());
    fenced.nobody_left(BOUND).await;
}

/// The stop and the exit race; whatever wins, nothing is told that did not happen.
async fn a_process_that_had_exited_keeps_its_exit_code(fenced: Fenced) {
    let (mut exits, mut stops) = (0, 0);
    for round in 0..100 {
        let id = fenced.start_spec(ProcessSpec::shell("echo begun; exit 3"));
        fenced.host.output_with(id, "begun").await;
        let until = Instant::now() + Duration::from_micros(round * 40);
        while Instant::now() < until {
            tokio::task::yield_now().await;
        }
        fenced.host.root.cancel(id, "too late or in time").unwrap();
        let done = fenced.host.end(id).await;
        match done.status() {
            Status::Completed => {
                assert_eq!(exit(&done).code, Some(3));
                exits += 1;
            }
            _ => stops += 1,
        }
    }
    assert!(exits > 0, "{exits} exits, {stops} stops");
}

/// A careless script that ends its parent: what keeps it ends, and so does the task.
async fn the_parent_of_a_process_may_be_signalled_from_inside(fenced: Fenced) {
    let kept = fenced.begun("sleep").await;
    let spec = ProcessSpec::new("/bin/sh").args([
        "-c",
        "echo $$ $PPID begun; \"$0\" sleep \"$1\" & kill -TERM $PPID; kill -HUP $PPID; wait",
        PROGRAM,
        &fenced.word,
    ]);
    let id = fenced.start_spec(spec.grace(Duration::from_millis(100)));
    let said = fenced.host.output_with(id, "begun").await;
    assert_eq!(
        parent(numbers(&said)[0]).map(|it| it.as_raw_pid().cast_unsigned()),
        Some(numbers(&said)[1])
    );
    let (done, _) = fenced.stop(id).await;
    assert_eq!(done.status(), Status::Cancelled, "neither the guard nor a reaper heeds them");
    fenced.stop(kept).await;
    fenced.nobody_left(BOUND).await;
}

/// Host, guard and every reaper are killed at once; the next host finds what is marked.
#[test]
fn host_guard_and_reapers_killed_together_leave_nothing_to_the_next_host() {
    for _ in 0..10 {
        let mut player = Player::new("containment=subreaper");
        let families = ["stubborn", "daemonise", "fork-tree depth=2 fan=3", "chain us=5000"];
        for (task, words) in families.iter().enumerate() {
            player.begun(task, words);
        }
        let guard = player.guard();
        let all = player.traces().find();
        let keepers = all.iter().filter(|it| it.command.starts_with("bg-")).map(|it| it.pid);
        for pid in keepers {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
        let _ = kill_process(guard, Signal::KILL);
        player.kill();
        let mut next = Player::new("containment=subreaper");
        next.begun(0, "sleep");
        player.nothing_left("after the sweep");
        next.kill();
        next.nothing_left("after all");
    }
}

/// The mark of something that a host has started.
fn mark(player: &Player) -> String {
    let found = player.traces().find();
    let environs =
        found.iter().filter_map(|it| std::fs::read(format!("/proc/{}/environ", it.pid)).ok());
    let marks = environs.filter_map(|environ| {
        let environ = String::from_utf8_lossy(&environ).into_owned();
        environ.split('\0').find_map(|it| it.strip_prefix("BG_TASK=")).map(str::to_owned)
    });
    let mut marks: Vec<_> = marks.collect();
    marks.pop().unwrap()
}

/// A mark that somebody made up, or of a host that lives, is no reason to kill.
#[test]
fn a_sweep_ends_nobody_but_what_hosts_have_left_that_are_gone() {
    let mut player = Player::new("containment=subreaper");
    player.begun(0, "sleep");
    let of_the_living = mark(&player);
    let marks = [
        of_the_living.as_str(),
        "1-1-1-1-1",
        "",
        "-",
        "x",
        "4026531836-00000000-2-1-1",
        "18446744073709551616-0-0-0-0",
        "4026531836--1-0-1",
    ];
    let innocents: Vec<_> = marks
        .iter()
        .map(|mark| {
            let mut command = std::process::Command::new(PROGRAM);
            command.args(["sleep", "word=innocent"]).env("BG_TASK", mark);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    let mut other = Player::new("containment=subreaper");
    other.begun(0, "sleep");
    // One that is gone by now is swept by the next, so a sweep has come and gone when that has.
    let left = Player::new("containment=marked").begun(0, "sleep");
    let mut third = Player::new("containment=cgroup");
    third.begun(0, "sleep");
    let _ = left;
    for (mark, mut innocent) in marks.iter().zip(innocents) {
        let lives = innocent.try_wait().unwrap().is_none();
        let _ = innocent.kill();
        let _ = innocent.wait();
        assert!(lives, "{mark:?}");
    }
    for mut player in [player, other, third] {
        player.kill();
        player.nothing_left("after all");
    }
}
