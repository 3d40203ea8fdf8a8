//! What a task says about its process: exit code, signal, output, and when.
#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use bg_core::{Status, Stream};
use bg_process::{Inherit, ProcessSpec};
use support::{exit, host, output};

#[tokio::test]
async fn every_exit_code_is_kept() {
    let host = host();
    for code in [0, 1, 3, 127, 255] {
        let done = host.run(ProcessSpec::shell(format!("exit {code}"))).await;
        assert_eq!(exit(&done).code, Some(code));
        assert_eq!(exit(&done).signal, None);
        assert_eq!(done.status(), Status::Completed);
        assert_eq!(done.outcome.is_success(), code == 0);
    }
}

#[tokio::test]
async fn a_signal_of_somebody_else_is_told_with_its_number() {
    let done = host().run(ProcessSpec::shell("kill -SEGV $$")).await;
    assert_eq!((exit(&done).code, exit(&done).signal), (None, Some(11)));
    assert_eq!(done.status(), Status::Completed);
    assert!(!done.outcome.is_success());
}

#[tokio::test]
async fn both_streams_are_kept_apart_in_one_log() {
    let done = host().run(ProcessSpec::shell("echo out; echo err >&2")).await;
    let log = done.log().unwrap();
    assert_eq!(log.read(0, 100, Some(Stream::Stdout)).bytes, b"out\n");
    assert_eq!(log.read(0, 100, Some(Stream::Stderr)).bytes, b"err\n");
    assert_eq!(log.total(), 8);
    assert!(log.read(8, 1, None).eof);
}

#[tokio::test]
async fn a_child_that_reads_gets_the_end_of_input() {
    let done = host().run(ProcessSpec::shell("cat; echo over")).await;
    assert_eq!(output(&done), "over\n");
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let evil = "a b'c\"d$(e)`f`\\g\n*;|&\u{202e}";
    let done = host().run(ProcessSpec::new("printf").arg("%s").arg(evil)).await;
    assert_eq!(output(&done), evil);
}

#[tokio::test]
async fn a_child_sees_the_variables_it_was_given_and_the_mark() {
    let spec = ProcessSpec::new("env")
        .inherit(Inherit::Only(vec!["HOME".into(), "BG_TEST_NOT_SET".into()]))
        .env("PATH", "/nowhere")
        .env("WORD", "a b");
    let done = host().run(spec).await;
    let text = output(&done);
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    names.sort_unstable();
    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    let home = std::env::var_os("HOME").is_some();
    let expected: &[_] =
        if home { &["BG_TASK", "HOME", "PATH", "WORD"] } else { &["BG_TASK", "PATH", "WORD"] };
    assert_eq!(names, expected);
}

#[tokio::test]
async fn an_exit_does_not_wait_for_whoever_holds_the_pipe() {
    let host = host();
    let before = Instant::now();
    let spec = ProcessSpec::shell("setsid sleep 5 & exit 4").drain(Duration::from_millis(200));
    let done = host.run(spec).await;
    assert_eq!(exit(&done).code, Some(4));
    assert!(before.elapsed() < Duration::from_secs(4), "took {:?}", before.elapsed());
    assert!(
        done.trace().iter().any(|line| line.contains("output incomplete")),
        "{:?}",
        done.trace()
    );
}

#[tokio::test]
async fn a_process_that_closes_its_output_and_lives_on_is_running() {
    let host = host();
    let id = host.start(ProcessSpec::shell("echo begun; exec >&- 2>&-; exec sleep 60"));
    host.output_with(id, "begun").await;
    assert!(matches!(host.root.inspect(id).unwrap().status, Status::Running { .. }));
    host.root.cancel(id, "seen enough").unwrap();
    assert_eq!(host.end(id).await.status(), Status::Cancelled);
}

#[tokio::test]
async fn many_processes_that_exit_at_once_are_all_seen() {
    let host = host();
    let ids: Vec<_> = (0..200).map(|_| host.start(ProcessSpec::new("true"))).collect();
    let waited = host.root.wait(ids).timeout(Duration::from_secs(60)).await.unwrap();
    assert_eq!((waited.ended.len(), waited.timed_out), (200, false));
    assert!(waited.ended.iter().all(|done| done.outcome.is_success()));
}
