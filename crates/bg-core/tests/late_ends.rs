//! The first end of a task is its end: what comes late is a result, what comes later is nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use bg_core::{Outcome, Output, Registry, Status, Stream, Task, TaskContext};
use support::register;

use crate::support;

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_late_by_any_time_is_the_result() {
    for millis in [0, 1, 49, 50, 51, 3_600_000] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root, "slow");
        completer.context().step(1);
        tokio::time::advance(Duration::from_millis(millis)).await;
        completer.complete(Ok(Output::text("late")));
        let finished = root.inbox().drain().next().unwrap();
        assert_eq!(
            (finished.id, &finished.outcome),
            (id, &Outcome::Completed(Output::text("late")))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_second_changes_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    root.cancel(id, "stop").unwrap();
    completer.context().step(7);
    completer.context().trace("too late");
    completer.complete(Ok(Output::text("too late")));
    let claim = root.claim(id).unwrap();
    assert_eq!((claim.steps(), claim.trace().len()), (0, 0));
    assert_eq!(claim.ack().outcome.reason().as_deref(), Some("stop"));
    assert_eq!(root.inspect(id).unwrap().status, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_step_after_the_end_does_not_overwrite_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (give, take) = std::sync::mpsc::channel();
    let body = move |cx: TaskContext| async move {
        cx.step(1);
        give.send(cx.clone()).unwrap();
        Ok(Output::default())
    };
    let id = root.spawn(Task::new("body", ""), body).unwrap();
    root.wait([id]).await.unwrap();
    let context = take.recv().unwrap();
    context.step(2);
    context.trace("too late");
    context.log().write(Stream::Stdout, b"too late");
    assert!(context.token().is_cancelled());
    let finished = root.claim(id).unwrap().ack();
    assert_eq!((finished.status(), finished.steps()), (Status::Completed, 1));
    assert!(finished.trace().is_empty() && finished.log().is_none());
}

#[test]
fn a_trace_keeps_its_first_lines_and_counts_the_others() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "talkative");
    (0..300).for_each(|n| completer.context().trace(format!("line {n}")));
    assert_eq!(root.inspect(id).unwrap().last_trace.as_deref(), Some("line 255"));
    completer.complete(Ok(Output::default()));
    let finished = root.claim(id).unwrap().ack();
    assert_eq!(finished.trace().len(), 257);
    assert_eq!(finished.trace()[256], "... (44 more trace lines)");
}

#[test]
fn the_log_of_an_ended_task_is_complete() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "writer");
    let log = completer.context().log();
    log.write(Stream::Stdout, b"in time");
    assert_eq!(root.inspect(id).unwrap().output_bytes, 7);
    assert!(!root.log(id).unwrap().unwrap().read(0, 100, None).eof);
    completer.complete(Ok(Output::default()));
    log.write(Stream::Stderr, b"too late");
    let finished = root.claim(id).unwrap().ack();
    let chunk = finished.log().unwrap().read(0, 100, None);
    assert_eq!((&chunk.bytes[..], chunk.eof), (&b"in time"[..], true));
    assert_eq!(root.inspect(id).unwrap().output_bytes, 7);
}
