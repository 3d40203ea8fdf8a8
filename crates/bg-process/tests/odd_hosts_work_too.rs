//! Hosts that were started by somebody careless: children reaped unseen, no folder, no files.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::player::Player;

const FENCES: [&str; 3] = ["containment=cgroup", "containment=subreaper", "containment=marked"];

#[track_caller]
fn check(fence: &str, mut player: Player) {
    let spawned = player.say("spawn early-exit say code=3");
    assert!(spawned.starts_with("process:"), "{fence}: {spawned}");
    let end = player.end(0);
    assert_eq!(end["exit"]["exit_code"], 3, "{fence}: {end}");
    player.begun(1, "daemonise");
    let stopped = player.say("stop 1");
    assert!(stopped.contains("Cancelled") && stopped.contains("\"verdict\":\"gone"), "{stopped}");
    // Only itself, and its guard.
    let until = std::time::Instant::now() + support::player::BOUND;
    while player.traces().find().iter().any(|it| it.command.contains("daemonise")) {
        assert!(std::time::Instant::now() < until, "{fence}: {:?}", player.traces().find());
    }
    player.kill();
    player.nothing_left(fence);
}

/// Without a guard, a number that is free at once could be another process's when it is signalled.
#[test]
fn a_host_whose_children_are_reaped_unseen() {
    for fence in FENCES {
        let mut player = Player::new(fence);
        player.say("ignore-children");
        check(fence, player);
    }
}

#[test]
fn a_host_that_may_write_no_files() {
    for fence in FENCES {
        let shell = ["-c", "ulimit -f 0; exec \"$0\" \"$@\""];
        check(fence, Player::below("/bin/sh", &shell, fence));
    }
}

#[test]
fn a_host_whose_folder_went_away() {
    for fence in FENCES {
        let script = "d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$0\" \"$@\"";
        let mut player = Player::below("/bin/sh", &["-c", script], fence);
        player.say("spawn early-exit say code=3");
        let end = player.end(0);
        let told = end["reason"].to_string().contains("cannot run in");
        assert!(told || end["exit"]["exit_code"] == 3, "{fence}: {end}");
        player.kill();
        player.nothing_left(fence);
    }
}
