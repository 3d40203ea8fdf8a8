//! Errors of starting: typed where they can be known before, an outcome where they cannot.
#![cfg(target_os = "linux")]

mod support;

use bg_core::{SpawnError, Status};
use bg_process::{ProcessError, ProcessSpec, Processes};
use support::host;

#[track_caller]
fn refused(spec: ProcessSpec) -> ProcessError {
    let host = host();
    let Err(error) = Processes::new(&host.root).spawn(spec) else { panic!("it started") };
    assert!(host.root.snapshot().is_empty(), "nothing was started");
    error
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_found() {
    let error = refused(ProcessSpec::new("no-such-program-here"));
    assert!(matches!(error, ProcessError::NotFound { .. }), "{error:?}");
    assert_eq!(error.to_string(), "there is no program \"no-such-program-here\"");
}

#[tokio::test]
async fn an_empty_command_is_refused() {
    assert!(matches!(refused(ProcessSpec::new("")), ProcessError::Empty));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let error = refused(ProcessSpec::new("true").cwd("/no/such/folder"));
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
    let error = refused(ProcessSpec::new("true").cwd("/etc/passwd"));
    assert!(matches!(error, ProcessError::Directory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_nul_byte_is_refused_wherever_it_stands() {
    for spec in [
        ProcessSpec::new("tr\0ue"),
        ProcessSpec::new("true").arg("a\0b"),
        ProcessSpec::new("true").env("A", "b\0c"),
        ProcessSpec::new("true").cwd("/tm\0p"),
    ] {
        assert!(matches!(refused(spec), ProcessError::NulByte { .. }));
    }
}

#[tokio::test]
async fn a_closed_scope_starts_nothing() {
    let host = host();
    host.root.close(std::time::Duration::ZERO).await;
    let error = Processes::new(&host.root).spawn(ProcessSpec::new("true")).unwrap_err();
    assert!(matches!(error, ProcessError::Spawn(SpawnError::Closed)), "{error:?}");
}

#[tokio::test]
async fn too_long_an_argument_list_is_an_outcome_with_its_cause() {
    let done = host().run(ProcessSpec::new("true").args(vec!["x".repeat(100_000); 100])).await;
    assert_eq!(done.status(), Status::Failed);
    let failure = done.outcome.failure().unwrap();
    assert_eq!(failure.message, "the arguments and variables are too long");
    assert!(failure.to_string().contains("Argument list too long"), "{failure}");
}

#[tokio::test]
async fn a_relative_program_is_found_from_its_directory() {
    let host = host();
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::Builder::new().tempdir_in(&here).unwrap();
    let script = folder.path().join("run.sh");
    std::fs::write(&script, "#!/bin/sh\necho ran\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let relative = folder.path().strip_prefix(&here).unwrap();
    let done = host.run(ProcessSpec::new("./run.sh").cwd(relative)).await;
    assert!(done.outcome.is_success(), "{:?}", done.outcome);
}
