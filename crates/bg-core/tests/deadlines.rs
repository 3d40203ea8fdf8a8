//! A task is stopped at its deadline, with what is below it, and no timer outlives its task.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use bg_core::{Failure, Finished, Limits, Outcome, Output, Reason, Registry, Scope, SpawnError};
use bg_core::{Status, Task, TaskContext, TaskId};
use support::{Flag, bounded, register, started};
use tokio::time::{Instant, sleep};

use crate::support;

const HOUR: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(7);

/// Timers are exact to a millisecond.
const EXACT: Duration = Duration::from_millis(1);

fn due(after: Duration) -> Task {
    Task::new("due", "").deadline(after).grace(GRACE)
}

#[track_caller]
fn check_reason(finished: &Finished, reason: &Reason) {
    match &finished.outcome {
        Outcome::Cancelled(cancellation) => assert_eq!(&cancellation.reason, reason),
        other => panic!("{other:?}"),
    }
}

/// Waits for the end of a task, and checks when that is.
async fn check_ends_after(scope: &Scope, id: TaskId, time: Duration) -> Arc<Finished> {
    let begun = Instant::now();
    let waited = scope.wait([id]).await.unwrap();
    let took = begun.elapsed();
    assert!(took >= time && took <= time + EXACT * 2, "{took:?} in place of {time:?}");
    waited.ended[0].clone()
}

/// Checks that no timer runs once those that were aborted had the time to go.
async fn check_no_timer_runs() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_aborted_at_its_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let guard = dropped.on_drop();
    let body = |_| async move {
        let _guard = guard;
        pending().await
    };
    let id = root.spawn(due(HOUR), body).unwrap();
    let finished = check_ends_after(&root, id, HOUR).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert!(dropped.is_set());
    assert_eq!(finished.outcome.reason().unwrap(), "its deadline was exceeded");
    check_no_timer_runs().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_listens_has_its_grace_after_the_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let polite = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        sleep(GRACE / 2).await;
        Ok(Output::text("what there is"))
    };
    let id = root.spawn(due(HOUR), polite).unwrap();
    let finished = check_ends_after(&root, id, HOUR + GRACE / 2).await;
    assert_eq!(finished.outcome, Outcome::Completed(Output::text("what there is")));

    let failing = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        Err(Failure::new("cut short"))
    };
    let id = root.spawn(due(HOUR), failing).unwrap();
    let finished = check_ends_after(&root, id, HOUR).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert_eq!(finished.outcome.failure().unwrap().message, "cut short");

    let stubborn = |cx: TaskContext| async move {
        let _token = cx.token();
        pending().await
    };
    let id = root.spawn(due(HOUR), stubborn).unwrap();
    let finished = check_ends_after(&root, id, HOUR + GRACE).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    check_no_timer_runs().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_below_is_stopped_with_it_and_its_neighbour_is_not() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, neighbour) = register(&root, "neighbour");
    let (id, owner) = root.register(due(HOUR)).unwrap();
    let _token = owner.context().token();
    let (_, child) = register(&owner.context().scope(), "child");
    let _token = child.context().token();
    let below = child.context().scope();
    let grandchild = below.spawn(Task::new("grandchild", ""), |_| pending()).unwrap();
    let finished = check_ends_after(&below, grandchild, HOUR).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert!(owner.context().token().is_cancelled() && child.context().token().is_cancelled());
    assert!(!neighbour.context().token().is_cancelled());
    assert!(!root.inspect(id).unwrap().status.is_terminal(), "it has its grace");
}

#[tokio::test(start_paused = true)]
async fn a_registered_task_is_over_at_its_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (deaf, _completer) = root.register(due(HOUR)).unwrap();
    let finished = check_ends_after(&root, deaf, HOUR).await;
    check_reason(&finished, &Reason::DeadlineExceeded);

    let (listening, completer) = root.register(due(HOUR)).unwrap();
    let _token = completer.context().token();
    let finished = check_ends_after(&root, listening, HOUR + GRACE).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    check_no_timer_runs().await;
}

#[tokio::test(start_paused = true)]
async fn who_awaits_it_in_the_foreground_gets_the_reason() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = root.spawn(due(HOUR).foreground(), |_| pending()).unwrap();
    let claim = root.foreground(id).unwrap().await.unwrap();
    check_reason(&claim, &Reason::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_in_time_leaves_no_timer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let spawned = root.spawn(due(HOUR), |_| ready(Ok(Output::default()))).unwrap();
    let panics = root.spawn(due(HOUR), |_| async { panic!("on purpose") }).unwrap();
    let cancelled = root.spawn(due(HOUR), |_| pending()).unwrap();
    let (registered, completer) = root.register(due(HOUR)).unwrap();
    completer.complete(Ok(Output::default()));
    root.cancel(cancelled, "enough").unwrap();
    let begun = Instant::now();
    root.wait([spawned, panics, cancelled, registered]).await.unwrap();
    check_no_timer_runs().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(root.inbox().drain().count(), 4);
    sleep(HOUR * 2).await;
    assert_eq!(registry.admin().stats().superseded, 0, "nothing ended a second time");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_gone_leaves_no_timer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    root.spawn(due(HOUR), |_| pending()).unwrap();
    let (_, _completer) = root.register(due(HOUR)).unwrap();
    drop(registry);
    check_no_timer_runs().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_deadline_keeps_its_reason_and_its_grace() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let stubborn = |cx: TaskContext| async move {
        let _token = cx.token();
        pending().await
    };
    let id = root.spawn(due(GRACE / 2), stubborn).unwrap();
    started(&root, id).await;
    root.cancel(id, "first").unwrap();
    let finished = check_ends_after(&root, id, GRACE).await;
    check_reason(&finished, &Reason::Requested("first".into()));
}

#[test]
fn without_a_runtime_nothing_is_registered_with_a_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    assert_eq!(root.register(due(HOUR)).unwrap_err(), SpawnError::NoRuntime);
    assert_eq!(registry.admin().stats(), {
        let mut stats = bg_core::Stats::default();
        stats.roots = 1;
        stats
    });
    register(&root, "without one").1.complete(Ok(Output::default()));
}

#[test]
fn a_deadline_that_nothing_watches_any_more_is_over() {
    bounded("the end of a runtime", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (id, completer) = runtime.block_on(async { root.register(due(HOUR)).unwrap() });
        let token = completer.context().token();
        assert!(!token.is_cancelled());
        drop(runtime);
        assert!(token.is_cancelled());
        completer.complete(Err(Failure::new("stopped")));
        check_reason(&root.outcome(id).unwrap(), &Reason::DeadlineExceeded);
    });
}

#[tokio::test(start_paused = true)]
async fn with_no_time_at_all_it_never_runs() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (called, dropped) = (Flag::default(), Flag::default());
    let (call, guard) = (called.clone(), dropped.on_drop());
    let body = move |_| {
        drop(guard);
        call.set();
        pending()
    };
    let id = root.spawn(due(Duration::ZERO), body).unwrap();
    let finished = check_ends_after(&root, id, Duration::ZERO).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert!(dropped.is_set() && !called.is_set());
    let (id, _completer) = root.register(due(Duration::ZERO)).unwrap();
    check_reason(&root.outcome(id).unwrap(), &Reason::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn all_the_time_there_is_is_no_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |_| async {
        sleep(HOUR * 24 * 365).await;
        Ok(Output::default())
    };
    let id = root.spawn(due(Duration::MAX), body).unwrap();
    let waited = root.wait([id]).await.unwrap();
    assert_eq!(waited.ended[0].status(), Status::Completed);
    check_no_timer_runs().await;
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_counts() {
    let registry = Registry::builder().limits(Limits::default().running(1)).build();
    let root = registry.root_scope();
    let first = |_| async {
        sleep(HOUR).await;
        Ok(Output::default())
    };
    root.spawn(Task::new("first", ""), first).unwrap();
    let called = Flag::default();
    let call = called.clone();
    let body = move |_| {
        call.set();
        pending()
    };
    let never = root.spawn(due(HOUR / 2), body).unwrap();
    let late = root.spawn(due(HOUR + HOUR / 2), |_| pending()).unwrap();
    let finished = check_ends_after(&root, never, HOUR / 2).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert_eq!(registry.admin().stats().queued, 1);
    let finished = check_ends_after(&root, late, HOUR).await;
    check_reason(&finished, &Reason::DeadlineExceeded);
    assert!(!called.is_set());
    check_no_timer_runs().await;
}
