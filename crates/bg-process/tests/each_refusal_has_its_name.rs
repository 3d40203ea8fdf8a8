//! Whatever keeps a process from being started is told by a name of its own, and never by a panic.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bg_core::Status;
use bg_process::{ProcessError, ProcessSpec};
use support::fixture::Fenced;
use support::output;
use support::player::Player;

in_every_containment!(
    a_program_that_went_away_is_not_found,
    an_interpreter_that_is_not_there_is_not_found,
    what_may_not_be_run_is_no_permission,
    what_is_no_program_is_told_as_such,
    a_directory_that_went_away_is_named,
    too_long_a_list_of_arguments_is_too_long,
    a_program_that_is_being_written_is_tried_again,
    a_program_that_stays_being_written_is_busy,
    what_exits_before_anybody_looks_has_its_exit,
);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn program(&self, text: &[u8]) -> PathBuf {
        let path = self.0.path().join("program");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// The outcome is a failure that says this, whether it is known when it is spawned or later.
async fn check(fenced: &Fenced, spec: ProcessSpec, says: &str) {
    let (message, whole) = match fenced.processes.spawn(spec) {
        Ok(id) => {
            let done = fenced.host.end(id).await;
            assert_eq!(done.status(), Status::Failed, "{:?}", done.outcome);
            let failure = done.outcome.failure().unwrap();
            (failure.message.clone(), failure.to_string())
        }
        Err(error) => (error.to_string(), format!("{error:?}")),
    };
    assert!(message.contains(says), "{:?}: {whole}", fenced.fence);
}

/// Has a program or a folder go away between the look and the start.
fn vanishing(path: &Path) -> impl FnOnce() + use<> {
    let path = path.to_owned();
    move || {
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&path);
    }
}

async fn a_program_that_went_away_is_not_found(fenced: Fenced) {
    let folder = Folder::new();
    let program = folder.program(b"#!/bin/sh\n");
    let vanish = vanishing(&program);
    // The task's first poll starts it: nothing is awaited in between.
    let id = fenced.start_spec(ProcessSpec::new(&program));
    vanish();
    let done = fenced.host.end(id).await;
    let failure = done.outcome.failure().unwrap();
    assert!(failure.message.contains("there is no program"), "{failure}");
}

async fn an_interpreter_that_is_not_there_is_not_found(fenced: Fenced) {
    let program = Folder::new();
    let program = (program.program(b"#!/no/such/interpreter\n"), program).0;
    check(&fenced, ProcessSpec::new(&program), "there is no program").await;
}

async fn what_may_not_be_run_is_no_permission(fenced: Fenced) {
    let folder = Folder::new();
    let program = folder.program(b"#!/etc/passwd\n");
    check(&fenced, ProcessSpec::new(&program), "no permission to run").await;
}

async fn what_is_no_program_is_told_as_such(fenced: Fenced) {
    let folder = Folder::new();
    for text in [&b"\x7fELF and nothing else"[..], b"", b"\0\0\0\0"] {
        let program = folder.program(text);
        check(&fenced, ProcessSpec::new(&program), "the system cannot run what is in").await;
    }
}

async fn a_directory_that_went_away_is_named(fenced: Fenced) {
    let folder = tempfile::tempdir().unwrap();
    let cwd = folder.path().join("cwd");
    fs::create_dir(&cwd).unwrap();
    let id = fenced.start_spec(ProcessSpec::new("true").cwd(&cwd));
    vanishing(&cwd)();
    let done = fenced.host.end(id).await;
    let failure = done.outcome.failure().unwrap();
    let says = format!("cannot run in \"{}\"", cwd.display());
    assert!(failure.message.contains(&says), "{failure}");
    fs::write(&cwd, "a file").unwrap();
    let refused = fenced.processes.spawn(ProcessSpec::new("true").cwd(&cwd)).unwrap_err();
    assert!(matches!(refused, ProcessError::Directory { .. }), "{refused:?}");
}

async fn too_long_a_list_of_arguments_is_too_long(fenced: Fenced) {
    let many = vec!["x".repeat(100_000); 100];
    check(&fenced, ProcessSpec::new("true").args(many), "too long").await;
    // One that is too long by itself.
    check(&fenced, ProcessSpec::new("true").arg("x".repeat(200_000)), "too long").await;
    let variable = ProcessSpec::new("true").env("X", "x".repeat(200_000));
    check(&fenced, variable, "too long").await;
    // Just short enough.
    let id = fenced.start_spec(ProcessSpec::new("true").arg("x".repeat(131_000)));
    assert!(fenced.host.end(id).await.outcome.is_success());
}

/// A copy of a program that somebody has open for writing.
fn open_for_writing(folder: &Folder) -> (PathBuf, File) {
    let path = folder.program(&fs::read("/bin/true").unwrap());
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"\0").unwrap();
    (path, file)
}

async fn a_program_that_is_being_written_is_tried_again(fenced: Fenced) {
    let folder = Folder::new();
    let (program, writer) = open_for_writing(&folder);
    let id = fenced.start_spec(ProcessSpec::new(&program));
    // It has been tried at least once before the writer is done.
    let until = std::time::Instant::now() + Duration::from_millis(120);
    while std::time::Instant::now() < until {
        tokio::task::yield_now().await;
    }
    drop(writer);
    let done = fenced.host.end(id).await;
    assert!(done.outcome.is_success(), "{:?}", done.outcome);
}

async fn a_program_that_stays_being_written_is_busy(fenced: Fenced) {
    let folder = Folder::new();
    let (program, writer) = open_for_writing(&folder);
    check(&fenced, ProcessSpec::new(&program), "is being written").await;
    // A stop does not wait for the attempts.
    let id = fenced.start_spec(ProcessSpec::new(&program));
    tokio::task::yield_now().await;
    let (done, took) = fenced.stop(id).await;
    assert_eq!(done.status(), Status::Cancelled);
    assert!(took < Duration::from_millis(400), "took {took:?}");
    drop(writer);
}

async fn what_exits_before_anybody_looks_has_its_exit(fenced: Fenced) {
    let ids: Vec<_> = (0..300).map(|_| fenced.start_spec(ProcessSpec::new("true"))).collect();
    let words: Vec<_> = (0..20).map(|code| format!("exit {code}")).collect();
    let codes: Vec<_> = words.iter().map(|it| fenced.start_spec(ProcessSpec::shell(it))).collect();
    // The runtime has one thread: by the time it looks, all of them can have exited.
    std::thread::yield_now();
    for id in ids {
        let done = fenced.host.end(id).await;
        assert!(done.outcome.is_success(), "{:?}", done.outcome);
        assert_eq!(output(&done), "");
    }
    for (code, id) in (0..).zip(codes) {
        let done = fenced.host.end(id).await;
        assert_eq!(support::exit(&done).code, Some(code));
    }
}

/// As another user, who may have so many processes and no more.
#[test]
fn too_many_processes_are_the_fork_limit() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may become another user");
        return;
    }
    for fence in ["containment=marked", "containment=subreaper"] {
        let mut player = Player::new(&format!("{fence} uid=60123 processes=24"));
        let mut refused = None;
        let mut tasks = 0;
        while refused.is_none() && tasks < 40 {
            player.say("spawn sleep");
            let said = player.say(&format!("output {tasks} begun"));
            refused = (!said.contains("begun")).then(|| player.end(tasks));
            tasks += 1;
        }
        let refused = refused.unwrap_or_else(|| panic!("{fence}: there was no limit"));
        let reason = refused["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("no room for another process"), "{fence}: {refused}");
        // Those that run can be stopped, and then there is room again.
        for task in 0..tasks - 1 {
            let stopped = player.say(&format!("stop {task}"));
            assert!(stopped.contains("Cancelled"), "{fence}: {stopped}");
        }
        player.begun(tasks, "sleep");
        player.kill();
        if fence.contains("marked") {
            player.traces().clean_up();
        }
        player.nothing_left(fence);
    }
}
