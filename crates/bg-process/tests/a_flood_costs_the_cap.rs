//! A gigabyte through one process, in one line, in lines, to one stream and to both: memory stays what
//! it was, and the count of what was dropped is exact. Measured in hosts of their own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use support::player::Player;

/// Kept of a log, and a few buffers.
const CAP_KIB: u64 = 1 << 10;
const SLACK_KIB: u64 = 4 << 10;

#[track_caller]
fn check(fence: &str, flood: &str, written: u64) {
    let mut player = Player::new(fence);
    // What the first process costs once is not the flood's.
    player.say("spawn flood bytes=4_000_000 to=both exit=0");
    player.end(0);
    let kib = |player: &mut Player| player.say("memory").parse::<u64>().unwrap();
    let before = kib(&mut player);
    let answer = player.say(&format!("spawn flood {flood} exit=7"));
    assert!(answer.starts_with("process:"), "{answer}");
    let end = player.end(1);
    assert_eq!(end["exit"]["exit_code"], 7, "{fence}, {flood}: {end}");
    assert_eq!(end["written"], written, "{fence}, {flood}");
    let grown = kib(&mut player).saturating_sub(before);
    assert!(grown <= CAP_KIB + SLACK_KIB, "{fence}, {flood}: {grown} KiB");
    player.kill();
    player.nothing_left(fence);
}

#[test]
fn a_gigabyte_in_one_line_costs_the_cap() {
    for fence in ["containment=cgroup", "containment=subreaper", "containment=marked"] {
        check(fence, "bytes=1_000_000_000 block=1_000_000", 1_000_000_000);
    }
}

#[test]
fn lines_single_bytes_and_both_streams_cost_the_cap() {
    for fence in ["containment=cgroup", "containment=marked"] {
        check(fence, "bytes=100_000_000 block=8000 lines", 100_000_000);
        check(fence, "bytes=200_000 block=1 to=both", 400_000);
        check(fence, "bytes=50_000_000 block=3000 to=both lines", 100_000_000);
    }
}
