//! The end of a host, however it comes, is the end of everything that it has started.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::process::Command;

use rustix::process::Signal;
use support::fixture::PROGRAM;
use support::player::{BOUND, Player};

const FENCES: [&str; 2] = ["containment=cgroup", "containment=subreaper"];

/// What a host has started when its end comes.
const FAMILIES: &[&str] = &[
    "stubborn",
    "stop-self",
    "fork-tree depth=2 fan=3",
    "leave-group",
    "daemonise",
    "daemonise clear",
    "chain us=500 heads=2",
    "deaf",
];

fn with_families(fence: &str) -> Player {
    let mut player = Player::new(fence);
    for (task, words) in FAMILIES.iter().enumerate() {
        player.begun(task, words);
    }
    player
}

#[track_caller]
fn killer(args: &[&str]) -> (bool, String) {
    let output = Command::new(PROGRAM).arg("killer").args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    (output.status.success(), said)
}

#[test]
fn a_host_killed_at_two_hundred_points_leaves_nothing() {
    let (passed, said) = killer(&["points=200"]);
    assert!(passed, "{said}");
}

#[test]
fn a_host_killed_with_its_guard_leaves_nothing_to_the_next_host() {
    let (passed, said) = killer(&["points=50", "double"]);
    assert!(passed, "{said}");
}

/// The killer itself is tested: it finds what hosts leave that have a bug.
#[test]
fn the_killer_finds_what_careless_hosts_leave() {
    let (passed, said) = killer(&["points=2", "seed=3", "careless"]);
    assert!(!passed, "{said}");
    assert!(said.contains("2 with survivors"), "{said}");
    assert!(said.contains("cargo xtask killer --points 1 --seed 4"), "{said}");
}

#[test]
fn a_host_that_aborts_exits_or_is_terminated_leaves_nothing() {
    for fence in FENCES {
        for order in ["abort", "exit"] {
            let mut player = with_families(fence);
            player.order(order);
            player.ended();
            player.nothing_left(order);
        }
        for signal in [Signal::TERM, Signal::ILL, Signal::HUP] {
            let mut player = with_families(fence);
            player.signal(signal);
            player.ended();
            player.nothing_left("signalled");
        }
    }
}

#[test]
fn a_host_that_is_killed_while_it_is_stopped_leaves_nothing() {
    for fence in FENCES {
        let mut player = with_families(fence);
        player.signal(Signal::STOP);
        player.kill();
        player.nothing_left(fence);
    }
}

/// A copy of the host has a copy of everything that ties the host to its guard.
#[test]
fn a_host_that_has_forked_leaves_nothing_when_it_is_killed() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        player.begun(0, "stubborn");
        player.begun(1, "daemonise clear");
        let copy = player.say("fork");
        player.kill();
        let copy: i32 = copy.parse().unwrap();
        let left = || {
            let found = player.traces().find();
            found.into_iter().filter(|found| found.pid.cast_signed() != copy).collect::<Vec<_>>()
        };
        let until = std::time::Instant::now() + BOUND;
        while !left().is_empty() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let left = left();
        player.traces().clean_up();
        assert!(left.is_empty(), "{fence}: {left:?}");
    }
}

#[test]
fn a_host_that_is_stopped_and_continued_goes_on() {
    for fence in FENCES {
        let mut player = with_families(fence);
        player.signal(Signal::STOP);
        player.order("stop 0");
        // The stopped host asks for nothing, and so what runs goes on.
        assert!(children(&player).len() >= FAMILIES.len(), "{fence}");
        player.signal(Signal::CONT);
        let answer = player.answer();
        assert!(answer.contains("Cancelled"), "{answer}");
        player.begun(FAMILIES.len(), "sleep");
        player.kill();
        player.nothing_left(fence);
    }
}

/// What it has started: neither itself nor what belongs to its guard.
fn children(player: &Player) -> Vec<u32> {
    let found = player.traces().find();
    let of_its_own = |command: &str| command.starts_with("bg-") || command.contains(" host ");
    found.iter().filter(|found| !of_its_own(&found.command)).map(|found| found.pid).collect()
}

/// The host heeds SIGINT in a way of its own and lives on.
#[test]
fn ctrl_c_in_a_terminal_reaches_neither_the_guard_nor_the_children() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        player.say("heed-interrupts");
        player.begun(0, "sleep");
        player.begun(1, "fork-tree depth=1 fan=3");
        let guard = player.guard();
        let before = children(&player);
        for signal in [Signal::INT, Signal::INT, Signal::TSTP, Signal::QUIT] {
            player.signal_group(signal);
        }
        player.signal_group(Signal::CONT);
        assert_eq!(player.say("interrupts"), "seen");
        assert_eq!(children(&player), before, "{fence}");
        assert_eq!(player.guard(), guard);
        player.kill();
        player.nothing_left(fence);
    }
}

#[test]
fn two_hosts_do_not_end_each_others_processes() {
    for fence in FENCES {
        let mut first = with_families(fence);
        let mut second = Player::new(fence);
        second.begun(0, "daemonise");
        let before = children(&second);
        first.kill();
        first.nothing_left(fence);
        // A third one sweeps when it starts.
        let mut third = Player::new(fence);
        third.begun(0, "sleep");
        assert_eq!(children(&second), before, "{fence}");
        second.kill();
        second.nothing_left(fence);
        third.kill();
        third.nothing_left(fence);
    }
}
