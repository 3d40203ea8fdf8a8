//! Where two features meet: stops and queues, calls and detaching, ages and claims, turns and slots.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bg_core::{ClaimError, Driver, Limits, Output, Registry, Retention, Scope, Status, Task};
use bg_core::{TaskContext, TaskError, TurnEnd, TurnSlot};
use support::{Flag, drained, ended, idle, poll, register, started};
use tokio::sync::oneshot;

use crate::support;

const SECOND: Duration = Duration::from_secs(1);

fn at_once(tasks: usize) -> (Registry, Scope) {
    let limits = Limits::default().running(tasks).undelivered(usize::MAX, u64::MAX);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    (registry, root)
}

#[tokio::test(start_paused = true)]
async fn none_of_many_queued_tasks_runs_after_all_were_cancelled() {
    let (registry, root) = at_once(1);
    let called = Arc::new(AtomicUsize::new(0));
    let first = root.spawn(Task::new("first", ""), |_| pending()).unwrap();
    started(&root, first).await;
    for _ in 0..4_000 {
        let called = called.clone();
        let body = move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            pending()
        };
        root.spawn(Task::new("queued", ""), body).unwrap();
    }
    assert_eq!(root.cancel_all("enough"), 4_001);
    idle().await;
    assert_eq!(called.load(Ordering::SeqCst), 0);
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.queued, stats.undelivered), (0, 0, 4_001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_child_does_not_begin_when_its_owner_ends() {
    let (_registry, root) = at_once(1);
    let called = Flag::default();
    for _ in 0..2_000 {
        let called = called.clone();
        let body = move |cx: TaskContext| async move {
            let child = move |_| {
                called.set();
                pending()
            };
            cx.scope().spawn(Task::new("child", ""), child)?;
            Ok(Output::default())
        };
        let id = root.spawn(Task::new("owner", ""), body).unwrap();
        root.wait([id]).await.unwrap();
        root.claim(id).unwrap().ack();
    }
    assert!(!called.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_slot_comes_back_from_a_listener_whose_scope_was_closed() {
    let (_registry, root) = at_once(1);
    let (release, released) = oneshot::channel::<()>();
    let parent = |cx: TaskContext| async move {
        let scope = cx.scope();
        let mut next = scope.inbox().next();
        assert!(poll(&mut next).is_pending());
        scope.close(Duration::ZERO).await;
        assert!(next.await.is_none());
        let _ = released.await;
        Ok(Output::default())
    };
    root.spawn(Task::new("parent", ""), parent).unwrap();
    idle().await;
    let second = root.spawn(Task::new("second", ""), |_| pending()).unwrap();
    idle().await;
    assert_eq!(root.inspect(second).unwrap().status, Status::Pending);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_waits_until_something_is_there_lends_its_slot() {
    let (_registry, root) = at_once(1);
    let parent = |cx: TaskContext| async move {
        let scope = cx.scope();
        scope.spawn(Task::new("child", ""), |_| ready(Ok(Output::default())))?;
        assert!(scope.inbox().ready().await);
        Ok(Output::default())
    };
    let parent = root.spawn(Task::new("parent", ""), parent).unwrap();
    let waited = root.wait([parent]).timeout(SECOND).await.unwrap();
    assert!(!waited.timed_out);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_not_read_by_claiming_waiting_or_its_log() {
    let reads: [fn(&Scope, bg_core::TaskId) -> bool; 3] = [
        |root, id| !matches!(root.claim(id), Err(ClaimError::Task(TaskError::NotFound(_)))),
        |root, id| !matches!(poll(&mut root.wait([id])), Poll::Ready(Err(TaskError::NotFound(_)))),
        |root, id| root.log(id).is_ok(),
    ];
    for read in reads {
        let registry = Registry::builder().retention(Retention::new(9, SECOND)).build();
        let root = registry.root_scope();
        let id = ended(&root, "one");
        root.claim(id).unwrap().ack();
        assert!(read(&root, id));
        tokio::time::advance(SECOND).await;
        assert!(!read(&root, id));
    }
}

#[test]
fn a_task_that_was_detached_by_its_id_outlives_the_call() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = root.register(Task::new("call", "").foreground()).unwrap();
    let call = root.foreground(id).unwrap();
    assert_eq!(root.detach(id), Ok(true));
    drop(call);
    completer.complete(Ok(Output::default()));
    assert!(root.outcome(id).unwrap().outcome.is_success());

    let (id, completer) = register(&root, "ordinary");
    drop(root.foreground(id));
    completer.complete(Ok(Output::default()));
    assert!(root.outcome(id).unwrap().outcome.is_success());
    assert_eq!(drained(&root), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_task_detached_after_its_caller_went_away_is_delivered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = root.register(Task::new("call", "").foreground()).unwrap();
    let _token = completer.context().token();
    drop(root.foreground(id).unwrap());
    assert_eq!(root.detach(id), Ok(true));
    completer.complete(Ok(Output::text("done")));
    assert_eq!(drained(&root), [1]);
}

#[test]
fn an_unclaimed_foreground_child_is_listed_and_released_with_its_owner() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let scope = completer.context().scope();
    let (_, call) = scope.register(Task::new("call", "").foreground()).unwrap();
    call.complete(Ok(Output::default()));
    completer.complete(Ok(Output::default()));
    assert_eq!(root.claim(owner).unwrap().ack().unclaimed().len(), 1);
    assert_eq!(registry.admin().stats().undelivered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_user_finds_the_slot_free_after_a_turn_that_took_the_results() {
    let registry = Registry::new();
    let (root, slot) = (registry.root_scope(), TurnSlot::new());
    let commit = |claims| ready((claims, TurnEnd::Committed));
    let driver = tokio::spawn(Driver::new(&root, slot.clone()).run(commit));
    idle().await;
    let turn = slot.try_acquire().unwrap();
    ended(&root, "one");
    idle().await;
    assert_eq!(drained(&root), [1]);
    drop(turn);
    assert!(slot.try_acquire().is_some());
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_a_minute_stays_as_long() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended(&root, "one");
    let turns = AtomicUsize::new(0);
    let run = Driver::new(&root, TurnSlot::new()).pause(SECOND * 100).run(|claims| {
        turns.fetch_add(1, Ordering::SeqCst);
        ready((claims, TurnEnd::Failed))
    });
    let _ = tokio::time::timeout(SECOND * 350, run).await;
    assert_eq!(turns.load(Ordering::SeqCst), 4);
}
