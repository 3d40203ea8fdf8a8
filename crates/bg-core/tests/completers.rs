//! Work that is done elsewhere is stopped like any other, with or without a runtime.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::future::pending;
use std::time::Duration;

use bg_core::{Outcome, Output, Reason, Registry, Scope, Status, Task, TaskId};
use support::{Flag, bounded, register};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support;

const GRACE: Duration = Duration::from_secs(7);

#[track_caller]
fn check_cancelled(root: &Scope, id: TaskId, reason: &Reason) {
    match &root.outcome(id).unwrap().outcome {
        Outcome::Cancelled(cancellation) => assert_eq!(&cancellation.reason, reason),
        other => panic!("{other:?}"),
    }
}

fn stop() -> Reason {
    Reason::Requested("stop".into())
}

/// A task of tokio's that runs until it is aborted.
fn work() -> (JoinHandle<()>, Flag) {
    let dropped = Flag::default();
    let guard = dropped.on_drop();
    let body = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    (tokio::spawn(body), dropped)
}

async fn check_aborted((handle, dropped): (JoinHandle<()>, Flag)) {
    let joined = tokio::time::timeout(GRACE * 2, handle).await.expect("it runs on");
    assert!(joined.unwrap_err().is_cancelled());
    assert!(dropped.is_set());
}

#[test]
fn nobody_listens_so_it_is_over_at_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    root.cancel(id, "stop").unwrap();
    check_cancelled(&root, id, &stop());
    assert!(completer.context().token().is_cancelled(), "asked for too late");
    completer.complete(Ok(Output::default()));
    check_cancelled(&root, id, &stop());
}

#[tokio::test(start_paused = true)]
async fn a_listening_holder_gets_its_grace() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let task = || Task::new("remote", "").grace(GRACE);
    let (late, late_completer) = root.register(task()).unwrap();
    let (prompt, prompt_completer) = root.register(task()).unwrap();
    let tokens = [&late_completer, &prompt_completer].map(|c| c.context().token());
    assert_eq!(root.cancel_all("stop"), 2);
    assert!(tokens.iter().all(tokio_util::sync::CancellationToken::is_cancelled));
    let begun = Instant::now();
    prompt_completer.complete(Ok(Output::text("in time")));
    assert_eq!(root.outcome(prompt).unwrap().status(), Status::Completed);
    root.wait([late]).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), GRACE.as_secs());
    check_cancelled(&root, late, &stop());
    late_completer.complete(Ok(Output::text("too late")));
    check_cancelled(&root, late, &stop());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_drops_its_completer_when_stopped_was_stopped() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    let _token = completer.context().token();
    root.cancel(id, "stop").unwrap();
    drop(completer);
    check_cancelled(&root, id, &stop());
}

#[tokio::test(start_paused = true)]
async fn bound_work_is_aborted_with_its_task() {
    let registry = Registry::new();
    let root = registry.root_scope();

    let (deaf, completer) = register(&root, "deaf");
    let bound = work();
    completer.bind(bound.0.abort_handle());
    root.cancel(deaf, "stop").unwrap();
    check_aborted(bound).await;

    let (listening, completer) = register(&root, "listening");
    let bound = work();
    completer.bind(bound.0.abort_handle());
    let token = completer.context().token();
    root.cancel(listening, "stop").unwrap();
    tokio::task::yield_now().await;
    assert!(token.is_cancelled() && !bound.1.is_set());
    root.wait([listening]).await.unwrap();
    check_aborted(bound).await;
}

#[tokio::test(start_paused = true)]
async fn bound_work_is_aborted_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "remote");
    let _token = completer.context().token();
    let bound = work();
    completer.bind(bound.0.abort_handle());
    drop(registry);
    check_aborted(bound).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_bound_after_the_stop_is_aborted_too() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    root.cancel(id, "stop").unwrap();
    let bound = work();
    completer.bind(bound.0.abort_handle());
    check_aborted(bound).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_bound_after_the_registry_is_gone_is_aborted_too() {
    let registry = Registry::new();
    let (_, completer) = register(&registry.root_scope(), "remote");
    drop(registry);
    let bound = work();
    completer.bind(bound.0.abort_handle());
    check_aborted(bound).await;
}

#[test]
fn without_a_runtime_the_grace_is_over_at_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    let token = completer.context().token();
    root.cancel(id, "stop").unwrap();
    assert!(token.is_cancelled());
    check_cancelled(&root, id, &stop());
}

#[test]
fn a_runtime_that_has_ended_gives_no_grace() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let (before, after) = runtime.block_on(async {
        let (before, after) = (register(&root, "before"), register(&root, "after"));
        // Only so that they want a grace.
        let _tokens = [before.1.context().token(), after.1.context().token()];
        (before, after)
    });
    // Its timer ends with the runtime.
    root.cancel(before.0, "stop").map(|_| drop(runtime)).unwrap();
    check_cancelled(&root, before.0, &stop());
    // Its timer cannot begin.
    root.cancel(after.0, "stop").unwrap();
    check_cancelled(&root, after.0, &stop());
}

#[test]
fn a_runtime_without_timers_gives_no_grace() {
    bounded("a runtime without timers", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root, "remote");
        let _token = completer.context().token();
        runtime.block_on(async {
            root.cancel(id, "stop").unwrap();
            root.wait([id]).await.unwrap();
        });
        check_cancelled(&root, id, &stop());
    });
}
