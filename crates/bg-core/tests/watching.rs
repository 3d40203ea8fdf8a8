//! A watch shows the latest status of one task, and its end in any case.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::task::{Poll, Waker};

use bg_core::TaskId;
use bg_core::{Completer, Failure, Output, Registry, Scope, Status, StatusWatch, Task, TaskError};
use support::{Flag, bounded, drained, ended, poll, poll_with, register};

use crate::support;

fn changed(watch: &mut StatusWatch) -> Poll<Option<Status>> {
    poll(&mut Box::pin(watch.changed()))
}

/// Checks that a watch tells this end, once, and has nothing to wait for after it.
#[track_caller]
fn check_end(watch: &mut StatusWatch, end: Status) {
    assert_eq!(watch.status(), end);
    assert_eq!(changed(watch), Poll::Ready(Some(end)));
    for _ in 0..3 {
        assert_eq!(changed(watch), Poll::Ready(None));
        assert_eq!(watch.status(), end);
    }
}

fn step(step: u32) -> Status {
    Status::Running { step }
}

#[test]
fn a_watch_sees_the_latest_status_and_not_each_one_between() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let mut watch = root.watch(id).unwrap();
    assert_eq!(watch.status(), Status::Pending);
    assert_eq!(changed(&mut watch), Poll::Pending, "what it began with is not a change");
    for last in [3, 4, 9] {
        (1..=last).for_each(|n| completer.context().step(n));
        assert_eq!(watch.status(), step(last));
        assert_eq!(changed(&mut watch), Poll::Ready(Some(step(last))));
        assert_eq!(changed(&mut watch), Poll::Pending);
    }
    completer.context().step(9);
    assert_eq!(changed(&mut watch), Poll::Pending, "the same step is not a change");
    completer.context().step(10);
    completer.complete(Ok(Output::default()));
    check_end(&mut watch, Status::Completed);
}

#[test]
fn each_end_is_told_by_its_status() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let ends: [(fn(Completer), Status); 3] = [
        (|completer| completer.complete(Ok(Output::default())), Status::Completed),
        (|completer| completer.complete(Err(Failure::new("no"))), Status::Failed),
        (drop, Status::Cancelled),
    ];
    for (end, status) in ends {
        let (id, completer) = register(&root, "watched");
        let mut watch = root.watch(id).unwrap();
        end(completer);
        check_end(&mut watch, status);
    }
    let (id, _completer) = register(&root, "stopped");
    let mut watch = root.watch(id).unwrap();
    root.cancel(id, "stop").unwrap();
    check_end(&mut watch, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_end_that_a_watch_sees() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |_| async {
        tokio::task::yield_now().await;
        panic!("while it is watched")
    };
    let id = root.spawn(Task::new("watched", ""), body).unwrap();
    let mut watch = root.watch(id).unwrap();
    assert_eq!(watch.status(), step(0));
    assert_eq!(watch.changed().await, Some(Status::Panicked));
    assert_eq!(watch.changed().await, None);
    // The outcome is there for whoever has seen the status.
    assert_eq!(root.claim(id).unwrap().status(), Status::Panicked);
}

#[test]
fn the_end_is_seen_when_the_task_is_not_kept_any_more() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let mut watch = root.watch(id).unwrap();
    completer.complete(Ok(Output::default()));
    assert_eq!(drained(&root), [1]);
    assert!(root.inspect(id).is_err(), "still kept");
    check_end(&mut watch, Status::Completed);
}

#[test]
fn the_end_is_seen_when_the_root_is_gone() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let mut watch = root.watch(id).unwrap();
    drop(root);
    completer.complete(Err(Failure::new("nobody claims it")));
    check_end(&mut watch, Status::Failed);
}

#[test]
fn a_task_that_has_ended_has_no_change_to_wait_for() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = ended(&root, "over");
    for _ in 0..2 {
        let mut watch = root.watch(id).unwrap();
        assert_eq!(watch.status(), Status::Completed);
        assert_eq!(changed(&mut watch), Poll::Ready(None));
        // Once more when it is acknowledged.
        drained(&root);
    }
}

#[test]
fn only_the_one_who_spawned_it_may_watch_it() {
    let registry = Registry::builder().finished_kept(0).build();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let (owner, completer) = register(&root, "owner");
    let child = register(&completer.context().scope(), "child");
    let gone = ended(&root, "gone");
    drained(&root);
    let error = |scope: &Scope, id: TaskId| scope.watch(id).unwrap_err();
    assert!(matches!(error(&root, child.0), TaskError::Forbidden(_)));
    assert!(matches!(error(&completer.context().scope(), owner), TaskError::Forbidden(_)));
    assert!(matches!(error(&other, owner), TaskError::NotFound(_)));
    assert!(matches!(error(&root, gone), TaskError::NotFound(_)));
    assert!(matches!(error(&root, "agent:1".parse().unwrap()), TaskError::NotFound(_)));
    drop(registry);
    assert_eq!(error(&root, owner), TaskError::Closed);
}

#[test]
fn every_one_of_many_watchers_is_woken_for_every_change() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let mut watchers: Vec<_> =
        (0..1_000).map(|_| (root.watch(id).unwrap(), Arc::new(Flag::default()))).collect();
    let mut check = |status| {
        for (watch, woken) in &mut watchers {
            let waker = Waker::from(woken.clone());
            if status != Status::Pending {
                assert!(woken.is_set());
                woken.clear();
                let seen = poll_with(&mut Box::pin(watch.changed()), &waker);
                assert_eq!(seen, Poll::Ready(Some(status)));
            }
            let next = poll_with(&mut Box::pin(watch.changed()), &waker);
            assert_eq!(next.is_pending(), !status.is_terminal());
            assert!(!woken.is_set());
        }
    };
    check(Status::Pending);
    for n in 1..4 {
        completer.context().step(n);
        check(step(n));
    }
    completer.complete(Ok(Output::default()));
    check(Status::Completed);
}

#[test]
fn a_watcher_that_goes_away_leaves_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let marks: Vec<_> = (0..100).map(|_| Arc::new(Flag::default())).collect();
    let held = || marks.iter().filter(|mark| Arc::strong_count(mark) > 1).count();
    let mut watch = root.watch(id).unwrap();
    for mark in &marks {
        let waker = Waker::from(mark.clone());
        assert!(poll_with(&mut Box::pin(watch.changed()), &waker).is_pending());
    }
    assert_eq!(held(), 1, "one watcher has one waker");
    drop(watch);
    assert_eq!(held(), 0);
    for mark in &marks {
        let mut watch = root.watch(id).unwrap();
        let waker = Waker::from(mark.clone());
        assert!(poll_with(&mut Box::pin(watch.changed()), &waker).is_pending());
    }
    assert_eq!(held(), 0);
    completer.context().step(1);
    assert!(marks.iter().all(|mark| !mark.is_set()), "nobody is there to be woken");
}

#[test]
fn a_wait_for_a_change_that_is_dropped_at_any_poll_loses_nothing() {
    for polls in 0..=64 {
        for ends in [false, true] {
            let registry = Registry::new();
            let root = registry.root_scope();
            let (id, completer) = register(&root, "watched");
            let mut watch = root.watch(id).unwrap();
            let woken = Arc::new(Flag::default());
            let mut waiting = Box::pin(watch.changed());
            for _ in 0..polls {
                assert!(poll_with(&mut waiting, &Waker::from(woken.clone())).is_pending());
            }
            completer.context().step(7);
            assert_eq!(woken.is_set(), polls > 0);
            // Woken, and gone before it looked.
            drop(waiting);
            if ends {
                completer.complete(Ok(Output::default()));
                check_end(&mut watch, Status::Completed);
            } else {
                assert_eq!(changed(&mut watch), Poll::Ready(Some(step(7))));
                assert_eq!(changed(&mut watch), Poll::Pending);
            }
        }
    }
}

#[test]
fn nothing_that_is_reported_after_the_end_is_seen() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "watched");
    let (context, mut watch) = (completer.context().clone(), root.watch(id).unwrap());
    completer.complete(Ok(Output::default()));
    context.step(8);
    check_end(&mut watch, Status::Completed);
    assert_eq!(root.inspect(id).unwrap().status, Status::Completed);
    assert_eq!(root.outcome(id).unwrap().steps(), 0);
}

#[test]
fn steps_seen_from_other_threads_never_go_back_and_end_with_the_end() {
    bounded("a watch", || {
        const STEPS: u32 = 5_000;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.unwrap().block_on(async {
            let registry = Registry::new();
            let root = registry.root_scope();
            let (id, completer) = register(&root, "watched");
            let watchers: Vec<_> = (0..4)
                .map(|_| {
                    let mut watch = root.watch(id).unwrap();
                    tokio::spawn(async move {
                        let mut latest = 0;
                        while let Some(status) = watch.changed().await {
                            if let Status::Running { step } = status {
                                assert!(step > latest, "{step} after {latest}");
                                latest = step;
                            }
                        }
                        watch.status()
                    })
                })
                .collect();
            let steps = tokio::spawn(async move {
                for n in 1..=STEPS {
                    completer.context().step(n);
                    if n % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                completer.complete(Ok(Output::default()));
            });
            steps.await.unwrap();
            for watcher in watchers {
                assert_eq!(watcher.await.unwrap(), Status::Completed);
            }
        });
    });
}

#[test]
fn a_registered_task_ends_for_its_watchers_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = register(&root, "watched");
    let woken = Arc::new(Flag::default());
    let mut watch = root.watch(id).unwrap();
    assert!(poll_with(&mut Box::pin(watch.changed()), &Waker::from(woken.clone())).is_pending());
    drop(registry);
    assert!(woken.is_set());
    check_end(&mut watch, Status::Cancelled);
}
