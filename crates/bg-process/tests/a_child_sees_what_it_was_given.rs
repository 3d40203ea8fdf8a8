//! Environment, descriptors, signals, group and folder of a child: golden, whatever its host has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use bg_process::{Inherit, ProcessSpec};
use support::fixture::{Fenced, fixture};
use support::player::Player;
use support::{numbers, output};

in_every_containment!(
    it_sees_the_variables_that_were_listed_and_its_mark,
    it_sees_nothing_but_what_was_set_when_nothing_is_inherited,
    it_sees_every_variable_of_the_host_with_the_changes,
    it_has_its_three_descriptors_and_no_other,
    no_signal_is_blocked_or_ignored,
    it_leads_a_group_of_its_own,
    it_runs_where_it_was_told_to,
    its_input_has_ended,
);

async fn said(fenced: &Fenced, spec: ProcessSpec) -> String {
    let id = fenced.start_spec(spec);
    let done = fenced.host.end(id).await;
    assert!(done.outcome.is_success(), "{:?}", done.outcome);
    output(&done)
}

/// Each variable, in order of the names; the mark is shown by its parts.
async fn environment(fenced: &Fenced, spec: ProcessSpec) -> Vec<String> {
    let said = said(fenced, spec).await;
    let mut variables: Vec<String> = said.split_terminator('\0').map(str::to_owned).collect();
    for variable in &mut variables {
        if let Some(mark) = variable.strip_prefix("BG_TASK=") {
            let parts: Vec<_> = mark.split('-').collect();
            assert_eq!(parts.len(), 5, "{mark}");
            assert_eq!(parts[2], std::process::id().to_string(), "{mark}");
            "BG_TASK=<mark>".clone_into(variable);
        }
    }
    variables.sort();
    variables
}

async fn it_sees_the_variables_that_were_listed_and_its_mark(fenced: Fenced) {
    let only = ["HOME", "BG_NOT_SET"].map(OsString::from).to_vec();
    let spec = fixture("env-list").inherit(Inherit::Only(only)).env("PATH", "/x").env("W", "a b=c");
    let mut expected =
        vec!["BG_TASK=<mark>".to_owned(), "PATH=/x".to_owned(), "W=a b=c".to_owned()];
    if let Ok(home) = std::env::var("HOME") {
        expected.insert(1, format!("HOME={home}"));
    }
    assert_eq!(environment(&fenced, spec).await, expected);
}

async fn it_sees_nothing_but_what_was_set_when_nothing_is_inherited(fenced: Fenced) {
    let spec =
        fixture("env-list").inherit(Inherit::Nothing).env("A", "1").env("A", "2").env("B", "");
    assert_eq!(environment(&fenced, spec).await, ["A=2", "B=", "BG_TASK=<mark>"]);
}

async fn it_sees_every_variable_of_the_host_with_the_changes(fenced: Fenced) {
    let mut expected: Vec<String> = std::env::vars()
        .filter(|(name, _)| name != "BG_TASK" && name != "HOME")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    expected.extend(["BG_TASK=<mark>".to_owned(), "HOME=/nowhere".to_owned()]);
    expected.sort();
    let seen = environment(&fenced, fixture("env-list").env("HOME", "/nowhere")).await;
    assert_eq!(seen, expected);
}

/// What this process has open for everybody: a child that it starts itself has it too.
fn inheritable() -> Vec<u32> {
    const CLOEXEC: u32 = 0o2_000_000;
    let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(Result::ok);
    let others = entries.filter_map(|entry| {
        let info = std::fs::read_to_string(entry.path()).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let inheritable = u32::from_str_radix(flags.trim(), 8).ok()? & CLOEXEC == 0;
        entry.file_name().to_str()?.parse().ok().filter(|fd| inheritable && *fd > 2)
    });
    let mut others: Vec<u32> = others.collect();
    others.sort_unstable();
    others
}

async fn it_has_its_three_descriptors_and_no_other(fenced: Fenced) {
    let others = if fenced.fence.is_exact() { Vec::new() } else { inheritable() };
    let expected: Vec<u32> = [0, 1, 2].into_iter().chain(others).collect();
    // Others are started at the same time, and their pipes are open in the host.
    let others: Vec<_> = (0..5).map(|_| fenced.start("sleep")).collect();
    for _ in 0..20 {
        assert_eq!(numbers(&said(&fenced, fixture("fd-list")).await), expected);
    }
    fenced.host.root.cancel_all("enough");
    for id in others {
        fenced.host.end(id).await;
    }
}

/// What a C library keeps for itself, and lets nobody set, comes from wherever it was set.
const KEPT_SIGNALS: u64 = 0b11 << 31;

async fn no_signal_is_blocked_or_ignored(fenced: Fenced) {
    let status = said(&fenced, ProcessSpec::new("cat").arg("/proc/self/status")).await;
    for set in ["SigBlk:", "SigIgn:", "SigCgt:", "SigPnd:"] {
        let mask = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        assert_eq!(mask & !KEPT_SIGNALS, 0, "{set} {mask:x}");
    }
}

async fn it_leads_a_group_of_its_own(fenced: Fenced) {
    let stat = said(&fenced, ProcessSpec::new("cat").arg("/proc/self/stat")).await;
    let pid = stat.split(' ').next().unwrap();
    let rest: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(rest[2], pid, "the group: {stat}");
    // Guarded it has a session too, and with it no terminal.
    assert!(!fenced.fence.is_exact() || rest[3] == pid, "the session: {stat}");
}

async fn it_runs_where_it_was_told_to(fenced: Fenced) {
    let here = std::env::current_dir().unwrap();
    let pwd = || ProcessSpec::new("/bin/pwd").arg("-P");
    assert_eq!(said(&fenced, pwd()).await.trim_end(), here.to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    // Not even text.
    let odd = folder.path().join(OsString::from_vec(b"a b\n\xff".to_vec()));
    std::fs::create_dir(&odd).unwrap();
    let id = fenced.start_spec(pwd().cwd(&odd));
    let done = fenced.host.end(id).await;
    let bytes = done.log().unwrap().read(0, 1000, None).bytes;
    assert!(bytes.ends_with(b"a b\n\xff\n"), "{:?}", bytes.escape_ascii().to_string());
}

async fn its_input_has_ended(fenced: Fenced) {
    assert_eq!(said(&fenced, ProcessSpec::shell("cat; echo over")).await, "over\n");
}

/// A descriptor that a library of the host has opened for everybody.
#[test]
fn what_a_host_has_open_for_everybody_does_not_reach_a_guarded_child() {
    for fence in ["containment=cgroup", "containment=subreaper"] {
        let mut player = Player::new(fence);
        // One before the guard is there, one after.
        player.say("inheritable");
        player.begun(0, "sleep");
        player.say("inheritable");
        player.say("spawn fd-list");
        player.end(1);
        assert_eq!(player.say("output 1 "), "\"0 1 2\\n\"", "{fence}");
    }
}
