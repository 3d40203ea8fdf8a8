//! When the owner of a scope ends: its children stop, what nobody claimed is listed and released.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{CancelOutcome, ClaimError, Output, Reason, Registry, Scope, SpawnError, Status};
use bg_core::{Outcome, Task, TaskContext, TaskError, TaskId};
use support::{Flag, drained, ended, numbers, poll, poll_with, register, started};

use crate::support;

#[track_caller]
fn check_forbidden(root: &Scope, id: TaskId) {
    let forbidden = |error: TaskError| matches!(error, TaskError::Forbidden(_));
    assert!(root.inspect(id).is_err_and(forbidden));
    assert!(root.cancel(id, "mine?").is_err_and(forbidden));
    assert!(root.log(id).is_err_and(forbidden));
    assert!(matches!(root.claim(id), Err(ClaimError::Task(error)) if forbidden(error)));
    assert!(matches!(root.outcome(id), Err(ClaimError::Task(error)) if forbidden(error)));
    assert!(matches!(poll(&mut root.wait([id])), Poll::Ready(Err(error)) if forbidden(error)));
    assert!(root.snapshot().iter().all(|snapshot| snapshot.id != id));
}

#[test]
fn what_nobody_claimed_is_listed_in_order_of_completion() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let (first, late) = register(&scope, "late");
    let (second, dropped) = register(&scope, "dropped");
    let claimed = ended(&scope, "claimed");
    let acked = ended(&scope, "acked");
    let given_back = ended(&scope, "given back");
    drop(dropped);
    late.complete(Ok(Output::default()));
    let held = scope.claim(claimed).unwrap();
    scope.claim(acked).unwrap().ack();
    drop(scope.claim(given_back).unwrap());

    completer.complete(Ok(Output::text("done")));
    let finished = root.claim(owner).unwrap().ack();
    let unclaimed: Vec<_> = finished.unclaimed().iter().map(|u| (u.id, u.status)).collect();
    assert_eq!(
        unclaimed,
        [(given_back, Status::Completed), (second, Status::Cancelled), (first, Status::Completed)]
    );
    for id in [first, second, claimed, acked, given_back] {
        check_forbidden(&root, id);
    }

    // The claim is older than the end of the scope: it still counts.
    assert_eq!(held.ack().id, claimed);
    // The others stay readable for whoever holds the scope, and are delivered.
    assert!(scope.outcome(second).is_ok());
    assert!(matches!(scope.claim(second), Err(ClaimError::Delivered(_))));
    assert_eq!(drained(&scope), [0; 0]);
}

#[test]
fn a_child_is_forbidden_for_the_root_while_it_runs_too() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "owner");
    let (child, _child_completer) = register(&completer.context().scope(), "child");
    check_forbidden(&root, child);
    let (sibling, other) = register(&root, "sibling");
    check_forbidden(&other.context().scope(), child);
    check_forbidden(&completer.context().scope(), sibling);
}

#[test]
fn a_claim_given_back_after_the_end_of_its_scope_is_released() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let child = ended(&scope, "child");
    let held = scope.inbox().try_next().unwrap();
    completer.complete(Ok(Output::default()));
    drop(held);
    assert_eq!(drained(&scope), [0; 0]);
    assert!(scope.outcome(child).is_ok());
    assert_eq!(drained(&root), [owner.number()]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_runs_is_stopped_and_its_late_outcome_released() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (give, take) = std::sync::mpsc::channel();
    let body = move |cx: TaskContext| async move {
        let scope = cx.scope();
        let deaf = scope.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
        let polite = scope.spawn(Task::new("polite", ""), |cx| async move {
            cx.token().cancelled_owned().await;
            Ok(Output::text("in time"))
        });
        let polite = polite.unwrap();
        started(&scope, polite).await;
        give.send((scope, deaf, polite)).unwrap();
        Ok(Output::default())
    };
    let owner = root.spawn(Task::new("owner", ""), body).unwrap();
    assert!(root.wait([owner]).await.unwrap().ended[0].unclaimed().is_empty());
    let (scope, deaf, polite) = take.recv().unwrap();
    scope.wait([deaf, polite]).await.unwrap();
    let Outcome::Cancelled(cancellation) = &scope.outcome(deaf).unwrap().outcome else {
        panic!("the child went on")
    };
    assert_eq!(cancellation.reason, Reason::OwnerEnded);
    assert_eq!(scope.outcome(polite).unwrap().status(), Status::Completed);
    assert!(matches!(scope.claim(polite), Err(ClaimError::Delivered(_))));
    assert_eq!(drained(&root), [owner.number()]);
}

#[test]
fn the_scope_of_an_ended_task_is_closed() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let woken = Arc::new(Flag::default());
    let mut next = scope.inbox().next();
    assert!(poll_with(&mut next, &Waker::from(woken.clone())).is_pending());
    completer.complete(Ok(Output::default()));
    assert!(woken.is_set());
    assert!(matches!(poll(&mut next), Poll::Ready(None)));
    assert_eq!(scope.register(Task::new("late", "")).unwrap_err(), SpawnError::Closed);
}

#[test]
fn a_listener_may_come_before_the_first_child() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let woken = Arc::new(Flag::default());
    let mut next = scope.inbox().next();
    assert!(poll_with(&mut next, &Waker::from(woken.clone())).is_pending());
    let child = ended(&scope, "child");
    assert!(woken.is_set());
    assert!(matches!(poll(&mut next), Poll::Ready(Some(claim)) if claim.id == child));
}

#[test]
fn a_root_without_handles_lets_its_tasks_end_and_its_claims_be_acknowledged() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let child = ended(&scope, "child");
    ended(&root, "unclaimed");
    drop(root);
    let held = scope.claim(child).unwrap();
    assert!(scope.register(Task::new("still open", "")).is_ok());
    completer.complete(Ok(Output::default()));
    assert_eq!(held.ack().id, child);
    assert!(scope.register(Task::new("late", "")).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_owner_reads_its_children_until_it_ends() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |cx: TaskContext| async move {
        let scope = cx.scope();
        let child = ended(&scope, "child");
        assert_eq!(numbers(&scope.wait([child]).await?.ended), [2]);
        assert_eq!(scope.cancel(child, "late")?, CancelOutcome::AlreadyEnded(Status::Completed));
        assert_eq!(drained(&scope), [2]);
        assert_eq!(numbers(&scope.history()), [2]);
        Ok(Output::default())
    };
    let owner = root.spawn(Task::new("owner", ""), body).unwrap();
    let waited = root.wait([owner]).timeout(Duration::from_secs(1)).await.unwrap();
    assert_eq!(waited.ended[0].status(), Status::Completed);
    assert!(waited.ended[0].unclaimed().is_empty());
    assert!(root.history().is_empty(), "what belongs to a child's scope is not the root's");
}
