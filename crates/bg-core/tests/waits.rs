//! Waiting observes: it claims nothing, changes nothing, and loses nothing (R2).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{Completer, Exit, Failure, Output, Registry, Scope, Status, TaskError, TaskId, Wait};
use bg_core::{Task, TaskContext, WaitFor, Waited};
use support::{Flag, drained, ended, ended_many, numbers, poll, poll_with, register};

use crate::support;

const MINUTE: Duration = Duration::from_secs(60);

fn complete(completer: Completer) {
    completer.complete(Ok(Output::default()));
}

fn fail(completer: Completer) {
    completer.complete(Err(Failure::new("failed")));
}

/// Checks that a wait is over and what it saw.
#[track_caller]
fn check(wait: &mut Wait, ended: &[u64], pending: &[u64]) -> Waited {
    let Poll::Ready(waited) = poll(wait) else { panic!("the wait is not over") };
    let waited = waited.unwrap();
    assert_eq!(numbers(&waited.ended), ended);
    check_pending(&waited, pending);
    assert!(!waited.timed_out);
    waited
}

#[track_caller]
fn check_pending(waited: &Waited, pending: &[u64]) {
    let found: Vec<u64> = waited.pending.iter().map(|snapshot| snapshot.id.number()).collect();
    assert_eq!(found, pending);
    assert!(waited.pending.iter().all(|snapshot| !snapshot.status.is_terminal()));
}

/// A root with so many live tasks.
fn live(registry: &Registry, count: usize) -> (Scope, Vec<TaskId>, Vec<Completer>) {
    let root = registry.root_scope();
    let (ids, completers) = (0..count).map(|n| register(&root, &n.to_string())).unzip();
    (root, ids, completers)
}

#[test]
fn a_wait_leaves_the_outcome_in_the_inbox() {
    let registry = Registry::new();
    let (root, ids, completers) = live(&registry, 2);
    let mut wait = root.wait(ids.clone());
    assert!(poll(&mut wait).is_pending());
    completers.into_iter().for_each(complete);
    check(&mut wait, &[1, 2], &[]);
    assert_eq!(drained(&root), [1, 2]);
    // Delivered outcomes can be waited for as long as they are kept.
    check(&mut root.wait(ids), &[1, 2], &[]);
}

#[test]
fn a_wait_dropped_at_any_poll_loses_nothing() {
    for polls in 0..=64 {
        for ends in 0..=3 {
            for mode in [WaitFor::All, WaitFor::Any, WaitFor::FirstSuccess] {
                let registry = Registry::new();
                let (root, ids, completers) = live(&registry, 3);
                let mut completers = completers.into_iter();
                let mut wait = root.wait(ids).until(mode);
                for turn in 0..polls {
                    if turn < ends {
                        completers.next().into_iter().for_each(complete);
                    }
                    if poll(&mut wait).is_ready() {
                        break;
                    }
                }
                completers.by_ref().take(1).for_each(complete);
                drop(wait);
                completers.for_each(complete);
                assert_eq!(drained(&root), [1, 2, 3], "{polls} polls, {ends} ends, {mode:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_a_task_for_its_children_dropped_at_any_poll_loses_nothing() {
    let limits = bg_core::Limits::default().running(1);
    for polls in 0..=64 {
        let registry = Registry::builder().limits(limits).build();
        let root = registry.root_scope();
        let (give, taken) = tokio::sync::oneshot::channel();
        let body = |cx: TaskContext| async move {
            give.send(cx).unwrap();
            std::future::pending().await
        };
        root.spawn(Task::new("owner", ""), body).unwrap();
        let cx = taken.await.unwrap();
        let child = cx.scope().spawn(Task::new("", ""), |_| async { Ok(Output::default()) });
        let child = child.unwrap();
        let mut wait = cx.wait([child]).timeout(MINUTE);
        (0..polls).for_each(|_| assert!(poll(&mut wait).is_pending()));
        drop(wait);
        let waited = cx.wait([child]).timeout(MINUTE).await.unwrap();
        assert_eq!((numbers(&waited.ended), waited.timed_out), (vec![2], false));
        assert_eq!(drained(&cx.scope()), [2]);
        root.spawn(Task::new("next", ""), |_| std::future::pending()).unwrap();
        assert_eq!(registry.admin().stats().queued, 1, "the owner has its slot again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_dropped_by_a_time_out_around_it_loses_nothing() {
    let registry = Registry::new();
    let (root, ids, completers) = live(&registry, 1);
    let millis = Duration::from_millis(10);
    assert!(tokio::time::timeout(millis, root.wait(ids.clone())).await.is_err());
    completers.into_iter().for_each(complete);
    assert_eq!(numbers(&root.wait(ids).await.unwrap().ended), [1]);
    assert_eq!(drained(&root), [1]);
}

#[test]
fn any_number_of_waiters_see_it() {
    for count in [2, 1_000] {
        let registry = Registry::new();
        let (root, ids, completers) = live(&registry, 1);
        let mut waits: Vec<_> =
            (0..count).map(|_| (root.wait(ids.clone()), Arc::new(Flag::default()))).collect();
        for (wait, woken) in &mut waits {
            assert!(poll_with(wait, &Waker::from(woken.clone())).is_pending());
        }
        completers.into_iter().for_each(complete);
        assert_eq!(drained(&root), [1], "a drain takes nothing away from a waiter");
        for (wait, woken) in &mut waits {
            assert!(woken.is_set());
            check(wait, &[1], &[]);
        }
    }
}

/// The first one that waits for a task has its place in another list than those that come later.
#[test]
fn those_who_wait_on_see_it_whoever_gave_up_before() {
    for given_up in 0..16_u32 {
        let registry = Registry::new();
        let (root, ids, mut completers) = live(&registry, 1);
        let wait = || {
            let mut wait = root.wait(ids.clone());
            assert!(poll(&mut wait).is_pending());
            wait
        };
        let mut waits: Vec<_> = (0..4).map(|_| Some(wait())).collect();
        for (index, given) in waits.iter_mut().enumerate() {
            given.take_if(|_| given_up & (1 << index) != 0);
        }
        waits.push(Some(wait()));
        complete(completers.remove(0));
        for mut wait in waits.into_iter().flatten() {
            check(&mut wait, &[1], &[]);
        }
    }
}

#[test]
fn all_waits_for_the_last_one() {
    let registry = Registry::new();
    let (root, ids, completers) = live(&registry, 3);
    let mut wait = root.wait(ids);
    for completer in completers.into_iter().rev() {
        assert!(poll(&mut wait).is_pending());
        fail(completer);
    }
    check(&mut wait, &[3, 2, 1], &[]);
}

#[test]
fn any_is_over_with_the_first_one() {
    let registry = Registry::new();
    let (root, ids, mut completers) = live(&registry, 3);
    let mut wait = root.wait(ids.clone()).until(WaitFor::Any);
    assert!(poll(&mut wait).is_pending());
    fail(completers.remove(1));
    check(&mut wait, &[2], &[1, 3]);
    check(&mut root.wait(ids).until(WaitFor::Any), &[2], &[1, 3]);
}

#[test]
fn first_success_is_over_with_a_success_or_with_the_last_failure() {
    let registry = Registry::new();
    let (root, ids, mut completers) = live(&registry, 3);
    let mut wait = root.wait(ids.clone()).until(WaitFor::FirstSuccess);
    fail(completers.remove(0));
    assert!(poll(&mut wait).is_pending());
    complete(completers.remove(1));
    check(&mut wait, &[1, 3], &[2]);
    check(&mut root.wait(ids.clone()).until(WaitFor::FirstSuccess), &[1, 3], &[2]);

    let mut failing = root.wait([ids[0], ids[1]]).until(WaitFor::FirstSuccess);
    assert!(poll(&mut failing).is_pending());
    drop(completers);
    check(&mut failing, &[1, 2], &[]);
}

#[test]
fn a_process_that_exits_with_an_error_is_no_success() {
    let registry = Registry::new();
    let (root, ids, mut completers) = live(&registry, 2);
    let mut wait = root.wait(ids).until(WaitFor::FirstSuccess);
    let exit = |code| Ok(Output::exited(Exit { code: Some(code), signal: None }));
    completers.remove(0).complete(exit(1));
    assert!(poll(&mut wait).is_pending());
    completers.remove(0).complete(exit(0));
    check(&mut wait, &[1, 2], &[]);
}

#[test]
fn the_same_id_twice_is_one_task() {
    let registry = Registry::new();
    let (root, ids, mut completers) = live(&registry, 2);
    let (first, second) = (ids[0], ids[1]);
    let mut wait = root.wait([second, first, first, second, first]).until(WaitFor::Any);
    assert!(poll(&mut wait).is_pending());
    complete(completers.remove(1));
    check(&mut wait, &[2], &[1]);
    complete(completers.remove(0));
    check(&mut root.wait([first, first]), &[1], &[]);
}

#[test]
fn nothing_to_wait_for_is_over_at_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for mode in [WaitFor::All, WaitFor::Any, WaitFor::FirstSuccess] {
        check(&mut root.wait([]).until(mode), &[], &[]);
    }
}

#[test]
fn what_ended_before_the_wait_is_in_the_order_of_its_ending() {
    let registry = Registry::new();
    let (root, ids, completers) = live(&registry, 4);
    let [first, second, third, fourth] = <[Completer; 4]>::try_from(completers).unwrap();
    complete(third);
    complete(first);
    root.claim(ids[0]).unwrap().ack();
    let held = root.claim(ids[2]).unwrap();
    complete(fourth);
    let mut wait = root.wait(ids);
    assert!(poll(&mut wait).is_pending());
    complete(second);
    check(&mut wait, &[3, 1, 4, 2], &[]);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_brings_what_is_known_and_consumes_nothing() {
    let registry = Registry::new();
    let (root, ids, mut completers) = live(&registry, 3);
    completers[2].context().step(5);
    complete(completers.remove(0));
    let begun = tokio::time::Instant::now();
    let waited = root.wait([ids[2], ids[0], ids[1]]).timeout(MINUTE).await.unwrap();
    assert_eq!(begun.elapsed(), MINUTE);
    assert!(waited.timed_out);
    assert_eq!(numbers(&waited.ended), [1]);
    check_pending(&waited, &[2, 3]);
    assert_eq!(waited.pending[1].status, Status::Running { step: 5 });
    assert_eq!(waited.pending[1].age, MINUTE);
    completers.into_iter().for_each(complete);
    assert_eq!(drained(&root), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_ends_together_with_the_time_is_not_timed_out() {
    for timeout in [Duration::ZERO, MINUTE, Duration::MAX] {
        let registry = Registry::new();
        let (root, ids, completers) = live(&registry, 1);
        let mut wait = root.wait(ids).timeout(timeout);
        if !timeout.is_zero() {
            assert!(poll(&mut wait).is_pending());
        }
        tokio::time::advance(MINUTE * 2).await;
        completers.into_iter().for_each(complete);
        check(&mut wait, &[1], &[]);
    }
}

#[test]
fn a_task_that_is_not_the_callers_is_refused_and_nothing_is_waited_for() {
    let registry = Registry::builder().finished_kept(0).build();
    let (root, ids, completers) = live(&registry, 1);
    let child = ended(&completers[0].context().scope(), "child");
    let elsewhere = registry.root_scope();
    let foreign = ended_many(&elsewhere, 9)[8];
    let evicted = ended(&root, "evicted");
    root.claim(evicted).unwrap().ack();
    let unknown: TaskId = "task:77".parse().unwrap();
    let wrong_kind: TaskId = "agent:1".parse().unwrap();
    for (id, message) in [
        (child, "task task:2 is not owned by this caller"),
        (foreign, "no background task with id task:9"),
        (evicted, "no background task with id task:3"),
        (unknown, "no background task with id task:77"),
        (wrong_kind, "no background task with id agent:1"),
    ] {
        let Poll::Ready(Err(error)) = poll(&mut root.wait([ids[0], id])) else {
            panic!("{id} was accepted")
        };
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_task_evicted_before_a_woken_waiter_looks_is_still_seen() {
    let registry = Registry::builder().finished_kept(0).build();
    let (root, ids, completers) = live(&registry, 2);
    let woken = Arc::new(Flag::default());
    let mut all = root.wait(ids.clone());
    let mut any = root.wait(ids.clone()).until(WaitFor::Any);
    assert!(poll_with(&mut all, &Waker::from(woken.clone())).is_pending());
    assert!(poll(&mut any).is_pending());
    completers.into_iter().for_each(complete);
    assert!(woken.is_set());
    assert_eq!(drained(&root), [1, 2]);
    assert!(root.outcome(ids[0]).is_err(), "evicted");
    check(&mut all, &[1, 2], &[]);
    check(&mut any, &[1, 2], &[]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_dropped_under_a_wait_closes_it() {
    let registry = Registry::new();
    let (root, ids, _completers) = live(&registry, 1);
    let woken = Arc::new(Flag::default());
    let mut wait = root.wait(ids.clone()).timeout(MINUTE);
    assert!(poll_with(&mut wait, &Waker::from(woken.clone())).is_pending());
    drop(registry);
    assert!(woken.is_set());
    tokio::time::advance(MINUTE * 2).await;
    assert!(matches!(poll(&mut wait), Poll::Ready(Err(TaskError::Closed))));
    assert!(matches!(poll(&mut root.wait(ids)), Poll::Ready(Err(TaskError::Closed))));
}
