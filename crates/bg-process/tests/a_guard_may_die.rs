//! The guard is a process like any other one and may be killed: its tasks get an outcome, nothing is
//! left, and the next process has the next guard.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::os::unix::process::CommandExt;

use rustix::process::{Signal, kill_process};
use support::fixture::{PROGRAM, Traces, groups};
use support::is_running;
use support::player::Player;

const FENCES: [&str; 2] = ["containment=cgroup", "containment=subreaper"];

#[test]
fn a_killed_guard_gives_every_task_an_outcome_and_leaves_nothing() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        let families = ["stubborn", "daemonise", "daemonise clear", "fork-tree depth=2 fan=3"];
        for (task, words) in families.iter().enumerate() {
            player.begun(task, words);
        }
        let guard = player.guard();
        kill_process(guard, Signal::KILL).unwrap();
        for task in 0..families.len() {
            // What a reaper keeps goes on without the guard; it can be stopped all the same.
            player.say(&format!("cancel {task}"));
            let end = player.end(task);
            assert_ne!(end["status"], "Running", "{fence}: {end}");
        }
        let only_the_host =
            || player.traces().find().iter().all(|found| found.command.contains(" host "));
        let until = std::time::Instant::now() + support::player::BOUND;
        while !only_the_host() {
            let left = player.traces().find();
            assert!(std::time::Instant::now() < until, "{fence}: {left:?}");
        }
        player.begun(families.len(), "daemonise clear");
        let next = player.guard();
        assert_ne!(next, guard);
        player.kill();
        player.nothing_left(fence);
    }
}

#[test]
fn a_guard_that_is_killed_again_and_again_loses_no_task() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        let mut tasks = 0;
        for round in 0..20 {
            player.begun(tasks, "sleep");
            let guard = player.guard();
            let orders = 10;
            for _ in 0..orders {
                player.order("spawn fork-tree depth=1 fan=2");
            }
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            kill_process(guard, Signal::KILL).unwrap();
            for _ in 0..orders {
                player.answer();
            }
            for task in tasks..=tasks + orders {
                player.say(&format!("cancel {task}"));
            }
            for task in tasks..=tasks + orders {
                let end = player.end(task);
                assert!(end["status"].is_string(), "{fence}, round {round}: {end}");
            }
            tasks += orders + 1;
            // An order that reaches a guard in its last moment is a task that it has lost.
            let dying = format!("pid: {},", guard.as_raw_pid());
            while player.say("status").contains(&dying) {}
        }
        player.kill();
        player.nothing_left(fence);
    }
}

/// What its reaper kept is not lost when the reaper is killed.
#[test]
fn a_killed_reaper_leaves_nothing_of_its_task() {
    let mut player = Player::new("containment=subreaper");
    player.begun(0, "sleep");
    let said = player.begun(1, "fork-tree depth=1 fan=3");
    let leader: u32 = said.trim_matches('"').split(' ').next().unwrap().parse().unwrap();
    let reaper = support::fixture::parent(leader);
    assert_ne!(reaper, Some(player.guard()));
    kill_process(reaper.unwrap(), Signal::KILL).unwrap();
    let end = player.end(1);
    assert_eq!(end["status"], "Failed", "{end}");
    let of_task =
        || player.traces().find().iter().filter(|it| it.command.contains("fork-tree")).count();
    let until = std::time::Instant::now() + support::player::BOUND;
    while of_task() > 0 {
        assert!(std::time::Instant::now() < until, "{:?}", player.traces().find());
    }
    // The other task is not touched.
    assert!(player.say("output 0 begun").contains("begun"));
    player.kill();
    player.nothing_left("after all");
}

#[test]
fn a_guard_goes_away_with_its_host_and_not_before() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        player.begun(0, "sleep");
        let guard = player.guard();
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1, Signal::PIPE] {
            kill_process(guard, signal).unwrap();
        }
        player.say("stop 0");
        player.begun(1, "sleep");
        assert_eq!(player.guard(), guard, "{fence}");
        player.kill();
        player.nothing_left(fence);
        let until = std::time::Instant::now() + support::player::BOUND;
        while is_running(guard.as_raw_pid().cast_unsigned()) {
            assert!(std::time::Instant::now() < until, "{fence}: it is there");
        }
    }
}

/// The host was killed between the start of its guard and the first word of that.
#[test]
fn a_guard_whose_host_is_gone_before_it_begins_leaves_no_group() {
    let (host, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(host);
    let name = format!("1-00000000-{}-1", std::process::id());
    let mut guard = std::process::Command::new(PROGRAM);
    guard.arg0("bg-guard").arg(&name).stdin(std::os::fd::OwnedFd::from(theirs));
    guard.status().unwrap();
    // That was the first of its two processes.
    let traces = Traces::of_word(&name);
    let left = traces.extinct(support::player::BOUND);
    assert!(left.is_ok(), "{left:?}");
    let group = groups(&name);
    for group in &group {
        std::fs::remove_dir(group).unwrap();
    }
    assert!(group.is_empty(), "{group:?}");
}
