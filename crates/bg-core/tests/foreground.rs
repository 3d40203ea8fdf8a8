//! A foreground task belongs to the caller that awaits it, until it is detached: no list and no
//! inbox shows it, and when the caller goes away, so does the task.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{Claim, ClaimError, Completer, EventKind, Foreground, Limits, Outcome, Output};
use bg_core::{Reason, Registry, Scope, Status, Task, TaskContext, TaskError, TaskId};
use support::{Flag, drained, ended, poll, poll_with, register, started};
use tokio::time::{Instant, sleep};

use crate::support;

const MINUTE: Duration = Duration::from_secs(60);

/// Registers a foreground task.
#[track_caller]
fn call(scope: &Scope) -> (TaskId, Completer) {
    scope.register(Task::process("call", "cargo test").foreground()).unwrap()
}

/// Spawns a foreground task that takes a minute.
fn minute(scope: &Scope) -> Foreground {
    let body = |_| async {
        sleep(MINUTE).await;
        Ok(Output::text("slow"))
    };
    scope.foreground(scope.spawn(Task::new("slow", "").foreground(), body).unwrap()).unwrap()
}

/// Checks that nothing lives and nothing is left to be delivered.
#[track_caller]
fn check_nothing_left(registry: &Registry, scope: &Scope) {
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.undelivered, stats.undelivered_bytes), (0, 0, 0));
    assert!(scope.snapshot().is_empty());
    assert!(scope.inbox().try_next().is_none());
}

/// Checks that the scope lists nothing and that nothing is in the inbox.
#[track_caller]
fn check_hidden(scope: &Scope) {
    assert!(scope.snapshot().is_empty() && scope.page(0, 9).is_empty());
    assert!(scope.inbox().is_empty() && scope.inbox().try_next().is_none());
    assert!(poll(&mut scope.inbox().ready()).is_pending());
}

#[track_caller]
fn check_reason(outcome: &Outcome, reason: &Reason) {
    match outcome {
        Outcome::Cancelled(cancellation) => assert_eq!(&cancellation.reason, reason),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_claimed(polled: Poll<Result<Claim, ClaimError>>) -> Claim {
    let Poll::Ready(Ok(claim)) = polled else { panic!("{polled:?}") };
    claim
}

#[test]
fn it_is_neither_listed_nor_in_the_inbox() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    check_hidden(&root);
    let shown = registry.admin().snapshot();
    assert!(shown[0].foreground && shown[0].task.id == id);
    assert_eq!(root.inspect(id).unwrap().status, Status::Pending);
    completer.complete(Ok(Output::default()));
    check_hidden(&root);
    assert_eq!(root.outcome(id).unwrap().id, id);
    assert_eq!(root.claim(id).unwrap().ack().id, id);
    check_nothing_left(&registry, &root);
    assert_eq!(root.history().len(), 1, "what was delivered can be read like any other");
}

#[tokio::test(start_paused = true)]
async fn it_is_delivered_to_the_one_who_awaits_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let claim = minute(&root).await.unwrap();
    assert_eq!(claim.outcome, Outcome::Completed(Output::text("slow")));
    assert_eq!(registry.admin().stats().undelivered, 1);
    check_hidden(&root);
    claim.ack();
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_answer_too() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |_| async { panic!("on purpose") };
    let id = root.spawn(Task::new("call", "").foreground(), body).unwrap();
    assert_eq!(root.foreground(id).unwrap().await.unwrap().ack().status(), Status::Panicked);
}

#[tokio::test(start_paused = true)]
async fn it_is_awaited_in_a_loop_by_reference() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (mut slow, mut ticks) = (minute(&root), 0);
    let claim = loop {
        tokio::select! {
            biased;
            claim = &mut slow => break claim.unwrap(),
            () = sleep(MINUTE / 4 + MINUTE / 60) => ticks += 1,
        }
    };
    assert_eq!((claim.ack().id, ticks), (slow.id(), 3));
    drop(slow);
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_stops_it_and_leaves_nothing() {
    for polled in [false, true] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let dropped = Flag::default();
        let guard = dropped.on_drop();
        let body = |_| async move {
            let _guard = guard;
            pending().await
        };
        let id = root.spawn(Task::new("call", "").foreground(), body).unwrap();
        started(&root, id).await;
        let mut foreground = root.foreground(id).unwrap();
        assert!(!polled || poll(&mut foreground).is_pending());
        drop(foreground);
        root.wait([id]).await.unwrap();
        assert!(dropped.is_set());
        check_nothing_left(&registry, &root);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_its_grace_when_the_caller_goes_away_leaves_nothing_either() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        sleep(Duration::from_secs(2)).await;
        Ok(Output::text("tidied up"))
    };
    let id = root.spawn(Task::new("call", "").foreground(), body).unwrap();
    started(&root, id).await;
    drop(root.foreground(id).unwrap());
    let begun = Instant::now();
    let waited = root.wait([id]).await.unwrap();
    assert!(waited.ended[0].outcome.is_success() && begun.elapsed() >= Duration::from_secs(2));
    check_nothing_left(&registry, &root);
}

#[test]
fn an_outcome_that_nobody_came_for_is_gone_with_the_caller() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    let mut foreground = root.foreground(id).unwrap();
    assert!(poll(&mut foreground).is_pending());
    completer.complete(Ok(Output::text("too late")));
    assert_eq!(registry.admin().stats().undelivered, 1);
    drop(foreground);
    check_nothing_left(&registry, &root);
}

#[test]
fn a_claim_that_is_dropped_goes_to_the_inbox_in_its_place() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    ended(&root, "before");
    let mut foreground = root.foreground(id).unwrap();
    completer.complete(Ok(Output::default()));
    ended(&root, "after");
    let claim = check_claimed(poll(&mut foreground));
    drop(foreground);
    let woken = Arc::new(Flag::default());
    assert_eq!(drained(&root), [2, 3]);
    let mut ready = root.inbox().ready();
    assert!(poll_with(&mut ready, &Waker::from(woken.clone())).is_pending());
    let (_, _other) = register(&root, "other");
    drop(claim);
    assert!(woken.is_set());
    assert_eq!(root.snapshot().len(), 2, "it is listed like any other from then on");
    ended(&root, "last");
    assert_eq!(drained(&root), [1, 5]);
}

#[tokio::test(start_paused = true)]
async fn in_time_it_is_delivered_and_after_that_it_goes_on_in_the_background() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let claim = minute(&root).within(MINUTE * 2).await.unwrap().unwrap();
    assert_eq!(claim.ack().id.number(), 1);

    let begun = Instant::now();
    assert!(minute(&root).within(MINUTE / 2).await.unwrap().is_none());
    assert!(begun.elapsed() < MINUTE);
    assert_eq!(root.snapshot()[0].id.number(), 2);
    assert!(root.inbox().next().await.unwrap().ack().outcome.is_success());
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn patience_that_is_dropped_stops_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let call = minute(&root);
    let id = call.id();
    let turn = tokio::time::timeout(MINUTE / 4, call.within(MINUTE / 2));
    assert!(turn.await.is_err());
    let waited = root.wait([id]).await.unwrap();
    assert_eq!(waited.ended[0].status(), Status::Cancelled);
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn detached_before_its_end_it_is_an_ordinary_task() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut events = registry.events();
    let slow = minute(&root);
    let id = slow.detach().unwrap();
    assert_eq!(root.snapshot()[0].id, id);
    assert!(!registry.admin().snapshot()[0].foreground);
    assert_eq!(root.detach(id), Ok(false), "it is one already");
    assert_eq!(root.inbox().next().await.unwrap().ack().id, id);
    check_nothing_left(&registry, &root);
    let mut detached = 0;
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        detached += usize::from(event.unwrap().what == EventKind::Detached);
    }
    assert_eq!(detached, 1);
}

#[test]
fn detached_after_its_end_it_comes_through_the_inbox() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    completer.complete(Ok(Output::default()));
    ended(&root, "later");
    let woken = Arc::new(Flag::default());
    assert_eq!(drained(&root), [2]);
    let mut ready = root.inbox().ready();
    assert!(poll_with(&mut ready, &Waker::from(woken.clone())).is_pending());
    assert_eq!(root.detach(id), Ok(true));
    assert!(woken.is_set());
    assert_eq!(drained(&root), [1]);
    assert_eq!(root.detach(id), Ok(false), "delivered is delivered");
    check_nothing_left(&registry, &root);
}

#[test]
fn detached_while_a_claim_is_held_it_is_still_delivered_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    completer.complete(Ok(Output::default()));
    let claim = root.claim(id).unwrap();
    assert_eq!(root.detach(id), Ok(true));
    assert_eq!(drained(&root), [0; 0]);
    drop(claim);
    assert_eq!(drained(&root), [1]);
    check_nothing_left(&registry, &root);
}

#[test]
fn what_is_not_the_callers_cannot_be_awaited_or_detached() {
    let registry = Registry::new();
    let (root, elsewhere) = (registry.root_scope(), registry.root_scope());
    let (id, completer) = call(&root);
    let below = completer.context().scope();
    for (scope, forbidden) in [(&below, true), (&elsewhere, false)] {
        for error in [scope.foreground(id).map(drop).unwrap_err(), scope.detach(id).unwrap_err()] {
            assert_eq!(matches!(error, TaskError::Forbidden(_)), forbidden, "{error}");
            assert_eq!(matches!(error, TaskError::NotFound(_)), !forbidden, "{error}");
        }
    }
    check_hidden(&root);
    assert_eq!(registry.admin().stats().live, 1);
}

#[test]
fn of_two_who_await_it_one_gets_it_and_the_other_may_read_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    let (mut first, mut second) = (root.foreground(id).unwrap(), root.foreground(id).unwrap());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    completer.complete(Ok(Output::text("one")));
    let claim = check_claimed(poll(&mut second));
    let Poll::Ready(Err(ClaimError::Delivered(other))) = poll(&mut first) else {
        panic!("it was delivered twice")
    };
    assert_eq!(other.finished().outcome, Outcome::Completed(Output::text("one")));
    drop((first, second));
    claim.ack();
    check_nothing_left(&registry, &root);
}

#[test]
fn when_one_of_two_goes_away_the_other_learns_of_the_end() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = call(&root);
    let (first, mut second) = (root.foreground(id).unwrap(), root.foreground(id).unwrap());
    assert!(poll(&mut second).is_pending());
    drop(first);
    let Poll::Ready(Err(ClaimError::Delivered(other))) = poll(&mut second) else {
        panic!("nobody told the second")
    };
    assert_eq!(other.finished().status(), Status::Cancelled);
    check_nothing_left(&registry, &root);
}

#[test]
fn others_may_watch_and_take_nothing_away() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = call(&root);
    let (mut wait, mut foreground) = (root.wait([id]), root.foreground(id).unwrap());
    assert!(poll(&mut wait).is_pending() && poll(&mut foreground).is_pending());
    completer.complete(Ok(Output::default()));
    let Poll::Ready(Ok(waited)) = poll(&mut wait) else { panic!("the wait is not over") };
    assert_eq!(waited.ended[0].id, id);
    check_claimed(poll(&mut foreground)).ack();
}

#[test]
fn a_stop_by_id_is_an_answer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = call(&root);
    let mut foreground = root.foreground(id).unwrap();
    assert!(poll(&mut foreground).is_pending());
    root.cancel(id, "not now").unwrap();
    let claim = check_claimed(poll(&mut foreground));
    check_reason(&claim.outcome, &Reason::Requested("not now".into()));
    claim.ack();
    drop(foreground);
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_everything_and_a_close_reach_it() {
    for close in [false, true] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let call = minute(&root);
        let reason = if close {
            let report = root.close(Duration::from_secs(1)).await;
            assert_eq!((report.ended.len(), report.unresponsive.len()), (1, 0));
            Reason::Closed
        } else {
            assert_eq!(root.cancel_all("enough"), 1);
            Reason::Requested("enough".into())
        };
        check_reason(&call.await.unwrap().ack().outcome, &reason);
        check_nothing_left(&registry, &root);
    }
}

#[test]
fn when_its_owner_ends_the_caller_can_only_read_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let below = completer.context().scope();
    let (id, _call) = call(&below);
    let mut foreground = below.foreground(id).unwrap();
    assert!(poll(&mut foreground).is_pending());
    completer.complete(Ok(Output::default()));
    let Poll::Ready(Err(ClaimError::Delivered(other))) = poll(&mut foreground) else {
        panic!("the scope has ended")
    };
    check_reason(&other.finished().outcome, &Reason::OwnerEnded);
    drop(foreground);
    assert_eq!(drained(&root), [owner.number()]);
    check_nothing_left(&registry, &root);
}

#[tokio::test(start_paused = true)]
async fn when_the_registry_is_gone_so_is_the_call() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let [first, second, third] = [minute(&root), minute(&root), minute(&root)];
    drop(registry);
    assert!(matches!(first.await, Err(ClaimError::Task(TaskError::Closed))));
    let patient = second.within(MINUTE).await;
    assert!(matches!(patient, Err(ClaimError::Task(TaskError::Closed))));
    assert_eq!(third.detach(), Err(TaskError::Closed));
}

#[test]
fn it_is_not_refused_where_background_work_is() {
    let limits = Limits::default().per_scope(1).undelivered(1, 1).running(0).queued(0);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    ended(&root, "undelivered");
    assert!(root.register(Task::new("background", "")).is_err());
    let (id, completer) = call(&root);
    completer.complete(Ok(Output::text("answer")));
    root.claim(id).unwrap().ack();
}
