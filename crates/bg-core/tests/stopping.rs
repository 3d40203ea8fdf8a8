//! A stop reaches everything below, gives grace to those who listen, and says what it did.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use bg_core::{CancelOutcome, Event, EventKind, Events, Finished, Outcome, Output, Reason};
use bg_core::{Registry, Scope, SpawnError, Status, Task, TaskContext, TaskError, TaskId};
use support::{Flag, OnDrop, ended, register, started};
use tokio::time::Instant;

use crate::support;

const GRACE: Duration = Duration::from_secs(7);

#[track_caller]
fn check_cancelled(finished: &Finished, reason: &Reason) {
    match &finished.outcome {
        Outcome::Cancelled(cancellation) => assert_eq!(&cancellation.reason, reason),
        other => panic!("{other:?}"),
    }
}

fn requested(words: &str) -> Reason {
    Reason::Requested(words.into())
}

/// Spawns a task that asks for its token and then does not heed it.
async fn stubborn(scope: &Scope, dropped: &Flag) -> TaskId {
    let guard = dropped.on_drop();
    let body = |cx: TaskContext| async move {
        let (_guard, _token) = (guard, cx.token());
        pending().await
    };
    let id = scope.spawn(Task::new("stubborn", "").grace(GRACE), body).unwrap();
    started(scope, id).await;
    id
}

/// Waits for the end of a task; returns how much virtual time it took.
async fn time_to_end(scope: &Scope, id: TaskId) -> (Duration, std::sync::Arc<Finished>) {
    let begun = Instant::now();
    let waited = scope.wait([id]).await.unwrap();
    (begun.elapsed(), waited.ended[0].clone())
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_token_is_aborted_at_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let (guard, seen_by_destructor) = (dropped.on_drop(), mpsc::channel());
    let observer = root.clone();
    let body = |cx: TaskContext| async move {
        let id = cx.id();
        let _last = OnDrop(move || {
            seen_by_destructor.0.send(observer.inspect(id).unwrap().status).unwrap();
        });
        let _guard = guard;
        pending().await
    };
    let id = root.spawn(Task::new("deaf", ""), body).unwrap();
    started(&root, id).await;
    assert_eq!(root.cancel(id, "stop"), Ok(CancelOutcome::Requested));
    let (time, finished) = time_to_end(&root, id).await;
    assert_eq!(time, Duration::ZERO);
    assert!(dropped.is_set());
    check_cancelled(&finished, &requested("stop"));
    // The outcome is visible only after the destructor.
    assert!(!seen_by_destructor.1.recv().unwrap().is_terminal());
}

#[tokio::test(start_paused = true)]
async fn a_task_with_a_token_gets_its_grace_and_is_aborted_after_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let id = stubborn(&root, &dropped).await;
    root.cancel(id, "stop").unwrap();
    tokio::time::advance(GRACE.saturating_sub(Duration::from_secs(1))).await;
    assert!(!dropped.is_set());
    let (rest, finished) = time_to_end(&root, id).await;
    // Timers are exact to a millisecond.
    assert!(rest <= Duration::from_millis(1_001), "{rest:?}");
    assert!(dropped.is_set());
    check_cancelled(&finished, &requested("stop"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_heeds_its_token_ends_by_itself() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        Ok(Output::text("in time"))
    };
    let id = root.spawn(Task::new("polite", "").grace(GRACE), body).unwrap();
    started(&root, id).await;
    root.cancel(id, "stop").unwrap();
    let (time, finished) = time_to_end(&root, id).await;
    assert_eq!((time, finished.status()), (Duration::ZERO, Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_task_cancelled_before_its_first_poll_never_runs() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (called, dropped) = (Flag::default(), Flag::default());
    let (guard, call) = (dropped.on_drop(), called.clone());
    let body = move |_| {
        drop(guard);
        call.set();
        ready(Ok(Output::default()))
    };
    let id = root.spawn(Task::new("unlucky", ""), body).unwrap();
    root.cancel(id, "changed my mind").unwrap();
    let (_, finished) = time_to_end(&root, id).await;
    check_cancelled(&finished, &requested("changed my mind"));
    assert!(dropped.is_set() && !called.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_grandchildren() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let (child, middle) = register(&owner.context().scope(), "child");
    let below = middle.context().scope();
    let spawned = below.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    let dropped = Flag::default();
    let listening = stubborn(&below, &dropped).await;
    let (external, token) = register(&below, "external");
    let token = (token.context().token(), token);
    assert_eq!(root.cancel_all("enough"), 1);
    assert_eq!(owner.context().scope().outcome(child).unwrap().status(), Status::Cancelled);
    assert!(token.0.is_cancelled());
    let waited = below.wait([spawned, listening, external]).timeout(GRACE * 2).await.unwrap();
    assert!(!waited.timed_out);
    for finished in &waited.ended {
        check_cancelled(finished, &requested("enough"));
    }
    assert!(dropped.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_does_nothing_and_says_so() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = stubborn(&root, &Flag::default()).await;
    assert_eq!(root.cancel(id, "first"), Ok(CancelOutcome::Requested));
    assert_eq!(root.cancel(id, "second"), Ok(CancelOutcome::AlreadyRequested));
    assert_eq!(root.cancel_all("third"), 0);
    let (time, finished) = time_to_end(&root, id).await;
    assert!(time <= GRACE + Duration::from_millis(1), "the grace began anew: {time:?}");
    check_cancelled(&finished, &requested("first"));
    let again = root.cancel(id, "late");
    assert_eq!(again, Ok(CancelOutcome::AlreadyEnded(Status::Cancelled)));
}

#[test]
fn a_stop_of_an_ended_task_says_how_it_ended() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = ended(&root, "done");
    let too_late = Ok(CancelOutcome::AlreadyEnded(Status::Completed));
    assert_eq!(root.cancel(id, "late"), too_late);
    root.claim(id).unwrap().ack();
    assert_eq!(root.cancel(id, "late"), too_late);
    assert_eq!(root.outcome(id).unwrap().status(), Status::Completed);
}

fn events_of(events: &mut Events) -> Vec<EventKind> {
    let mut found = Vec::new();
    while let Poll::Ready(Some(event)) = support::poll(&mut Box::pin(events.next())) {
        found.extend(event.map(|Event { what, .. }| what));
    }
    found
}

#[test]
fn a_stop_of_what_is_not_the_callers_stops_nothing() {
    let registry = Registry::new();
    let (root, elsewhere) = (registry.root_scope(), registry.root_scope());
    let (id, completer) = register(&root, "mine");
    let (child, child_completer) = register(&completer.context().scope(), "child");
    let (_, sibling) = register(&root, "sibling");
    let tokens = [completer.context().token(), child_completer.context().token()];
    let mut events = registry.events();
    let unknown: TaskId = "task:9".parse().unwrap();
    let wrong_kind: TaskId = "agent:1".parse().unwrap();
    for (scope, id, forbidden) in [
        (&root, child, true),
        (&sibling.context().scope(), id, true),
        (&elsewhere, id, false),
        (&root, unknown, false),
        (&root, wrong_kind, false),
    ] {
        let error = scope.cancel(id, "not mine").unwrap_err();
        assert_eq!(matches!(error, TaskError::Forbidden(_)), forbidden, "{error}");
        assert_eq!(matches!(error, TaskError::NotFound(_)), !forbidden, "{error}");
    }
    assert!(tokens.iter().all(|token| !token.is_cancelled()));
    assert_eq!(events_of(&mut events), []);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_task_cannot_start_children() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (give, take) = mpsc::channel();
    let body = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        let spawned = cx.scope().spawn(Task::new("late", ""), |_| pending());
        let registered = cx.scope().register(Task::new("late", ""));
        give.send((spawned.unwrap_err(), registered.unwrap_err())).unwrap();
        Ok(Output::default())
    };
    let id = root.spawn(Task::new("owner", ""), body).unwrap();
    started(&root, id).await;
    root.cancel(id, "stop").unwrap();
    root.wait([id]).await.unwrap();
    assert_eq!(take.recv().unwrap(), (SpawnError::Closed, SpawnError::Closed));
}

#[tokio::test(start_paused = true)]
async fn cancel_all_counts_what_it_stopped() {
    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let (_, neighbour) = register(&other, "neighbour");
    ended(&root, "done");
    let spawned = root.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    let (_, parent) = register(&root, "parent");
    let (_, _child) = register(&parent.context().scope(), "child");
    let (stopped, _completer) = register(&root, "stopped");
    root.cancel(stopped, "before").unwrap();
    assert_eq!(root.cancel_all("all"), 2, "its own and live ones only");
    root.wait([spawned]).await.unwrap();
    assert_eq!(root.cancel_all("all"), 0);
    assert_eq!(neighbour.context().id().number(), 1);
    assert!(!neighbour.context().token().is_cancelled());
    // Not a close: the scope takes new tasks.
    register(&root, "next").1.complete(Ok(Output::default()));
}

#[tokio::test(start_paused = true)]
async fn a_grace_that_is_not_used_up_leaves_no_timer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let hour = Duration::from_secs(3600);
    let (id, completer) = root.register(Task::new("polite", "").grace(hour)).unwrap();
    let _token = completer.context().token();
    root.cancel(id, "stop").unwrap();
    completer.complete(Ok(Output::default()));
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alive(), 0);
}
