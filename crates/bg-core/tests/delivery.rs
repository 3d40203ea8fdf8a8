//! An outcome is delivered to exactly one holder, in order of completion, and never lost (R2).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use bg_core::TaskId;
use bg_core::{Claim, ClaimError, Finished, Outcome, Output, Registry, Scope, Task, TaskError};
use support::{Flag, drained, ended, ended_many, numbers, poll, poll_with, register};

use crate::support;

/// Checks that somebody else has the outcome, and that it can still be read.
#[track_caller]
fn check_delivered(root: &Scope, id: TaskId, text: &str) {
    match root.claim(id).unwrap_err() {
        ClaimError::Delivered(delivered) => check_text(delivered.finished(), text),
        other => panic!("{other:?}"),
    }
    check_text(&root.outcome(id).unwrap(), text);
}

#[track_caller]
fn check_text(finished: &Finished, text: &str) {
    assert_eq!(finished.outcome, Outcome::Completed(Output::text(text)));
}

#[track_caller]
fn check_not_found(root: &Scope, id: TaskId) {
    let gone = root.outcome(id).unwrap_err();
    assert!(matches!(gone, ClaimError::Task(TaskError::NotFound(_))), "{gone:?}");
}

#[test]
fn two_roots_have_the_same_numbers_and_their_own_outcomes() {
    let registry = Registry::new();
    let (left, right) = (registry.root_scope(), registry.root_scope());
    let id = ended(&left, "left");
    assert_eq!(ended(&right, "right"), id);
    check_text(&left.claim(id).unwrap(), "left");
    check_text(&right.inbox().drain().next().unwrap(), "right");
    assert_eq!(drained(&left), [1]);
}

#[test]
fn a_drain_follows_the_order_of_completion() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut completers: Vec<_> = (0..20).map(|n| Some(register(&root, &n.to_string()).1)).collect();
    let order: Vec<usize> = (0..20).map(|n| n * 7 % 20).collect();
    for &index in &order {
        completers[index].take().unwrap().complete(Ok(Output::default()));
    }
    let expected: Vec<u64> = order.iter().map(|&index| index as u64 + 1).collect();
    assert_eq!(drained(&root), expected);
}

#[test]
fn tasks_of_one_name_are_told_apart() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (first, second) = (ended(&root, "same"), ended(&root, "same"));
    assert_eq!(drained(&root), [first.number(), second.number()]);
}

#[test]
fn either_a_drain_or_a_claim_gets_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for claim_first in [true, false] {
        let id = ended(&root, "one");
        if claim_first {
            let claim = root.claim(id).unwrap();
            assert_eq!(drained(&root), [0; 0]);
            check_delivered(&root, id, "one");
            claim.ack();
        } else {
            assert_eq!(drained(&root), [id.number()]);
        }
        check_delivered(&root, id, "one");
    }
}

#[test]
fn racing_drains_and_claims_share_everything_without_a_double() {
    const TASKS: usize = 2_000;
    let registry = Registry::new();
    let root = registry.root_scope();
    let taken: Vec<AtomicUsize> = (0..=TASKS).map(|_| AtomicUsize::new(0)).collect();
    let take = |claim: Claim| {
        taken[usize::try_from(claim.ack().id.number()).unwrap()].fetch_add(1, Ordering::Relaxed);
    };
    let (ids, completers): (Vec<_>, Vec<_>) = (0..TASKS).map(|_| register(&root, "")).unzip();
    std::thread::scope(|threads| {
        threads.spawn(|| completers.into_iter().for_each(|c| c.complete(Ok(Output::default()))));
        threads.spawn(|| ids.iter().filter_map(|&id| root.claim(id).ok()).for_each(take));
        threads.spawn(|| (0..TASKS).filter_map(|_| root.inbox().try_next()).for_each(drop));
        threads.spawn(|| (0..TASKS).filter_map(|_| root.inbox().try_next()).for_each(take));
    });
    std::iter::from_fn(|| root.inbox().try_next()).take(TASKS).for_each(take);
    assert_eq!(taken.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>(), TASKS);
    assert!(taken.iter().all(|n| n.load(Ordering::Relaxed) <= 1));
}

#[test]
fn a_claim_that_is_dropped_goes_back_to_its_own_place() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended_many(&root, 3);
    let inbox = root.inbox();
    let (first, second) = (inbox.try_next().unwrap(), inbox.try_next().unwrap());
    drop(second);
    drop(first);
    assert_eq!(drained(&root), [1, 2, 3]);

    let ids = ended_many(&root, 3);
    drop(root.claim(ids[1]).unwrap());
    ended(&root, "later");
    assert_eq!(drained(&root), [4, 5, 6, 7]);
}

#[test]
fn what_a_drain_did_not_yield_stays() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended_many(&root, 3);
    let inbox = root.inbox();
    let mut drain = inbox.drain();
    assert_eq!(drain.next().unwrap().id.number(), 1);
    drop(drain);
    assert_eq!(drained(&root), [2, 3]);
}

#[test]
fn an_acknowledged_outcome_stays_readable_and_out_of_every_list() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = ended(&root, "one");
    assert_eq!(root.snapshot().len(), 1);
    let claim = root.claim(id).unwrap();
    assert_eq!(root.snapshot().len(), 1, "claimed is not delivered");
    assert!(root.history().is_empty());
    check_text(&claim.ack(), "one");
    assert!(root.snapshot().is_empty());
    assert_eq!(numbers(&root.history()), [1]);
    assert!(root.inspect(id).unwrap().status.is_terminal());
    check_delivered(&root, id, "one");
}

#[test]
fn only_the_acknowledged_are_evicted_and_the_oldest_first() {
    let registry = Registry::builder().finished_kept(2).build();
    let root = registry.root_scope();
    let ids = ended_many(&root, 100);
    assert_eq!(root.snapshot().len(), 100);
    let held = root.claim(ids[0]).unwrap();
    for &id in &[ids[5], ids[3], ids[4]] {
        root.claim(id).unwrap().ack();
    }
    check_not_found(&root, ids[5]);
    assert_eq!(numbers(&root.history()), [4, 5]);
    drop(held);
    assert_eq!(drained(&root).len(), 97);
    assert_eq!(numbers(&root.history()), [99, 100]);
    check_not_found(&root, ids[0]);
}

#[test]
fn a_registry_that_keeps_nothing_still_delivers_everything() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let id = ended(&root, "one");
    let claim = root.claim(id).unwrap();
    check_text(&root.outcome(id).unwrap(), "one");
    drop(claim);
    check_text(&root.claim(id).unwrap().ack(), "one");
    check_not_found(&root, id);
}

#[test]
fn a_task_that_runs_cannot_be_claimed() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "one");
    completer.context().step(3);
    let error = root.claim(id).unwrap_err();
    assert!(matches!(error, ClaimError::NotEnded { .. }), "{error:?}");
    assert_eq!(error.to_string(), "task task:1 is running, step 3");
}

#[test]
fn a_listener_is_woken_when_the_outcome_comes_later() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "one");
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(woken.clone());
    let mut next = root.inbox().next();
    assert!(poll_with(&mut next, &waker).is_pending());
    assert!(!woken.is_set());
    completer.complete(Ok(Output::default()));
    assert!(woken.is_set());
    let Poll::Ready(Some(claim)) = poll_with(&mut next, &waker) else { panic!("nothing came") };
    assert_eq!(claim.id, id);

    // A claim that is given back wakes as well.
    woken.clear();
    let mut next = root.inbox().next();
    assert!(poll_with(&mut next, &waker).is_pending());
    drop(claim);
    assert!(woken.is_set());
    assert!(poll(&mut next).is_ready());
}

#[test]
fn every_one_of_many_listeners_gets_one() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listeners: Vec<_> =
        (0..50).map(|_| (root.inbox().next(), Arc::new(Flag::default()))).collect();
    for (next, woken) in &mut listeners {
        assert!(poll_with(next, &Waker::from(woken.clone())).is_pending());
    }
    let mut waiting = 50;
    while waiting > 0 {
        ended(&root, "one");
        listeners.retain_mut(|(next, woken)| {
            assert!(woken.is_set(), "a listener that is not woken may be the only one left");
            woken.clear();
            let polled = poll_with(next, &Waker::from(woken.clone()));
            polled.map(|claim| claim.unwrap().ack()).is_pending()
        });
        waiting -= 1;
        assert_eq!(listeners.len(), waiting);
    }
}

#[test]
fn a_listener_that_is_dropped_at_any_moment_loses_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for polls in 0..=64 {
        let (_, completer) = register(&root, "one");
        let mut next = root.inbox().next();
        (0..polls).for_each(|_| assert!(poll(&mut next).is_pending()));
        let other = Arc::new(Flag::default());
        let mut second = root.inbox().next();
        assert!(poll_with(&mut second, &Waker::from(other.clone())).is_pending());
        completer.complete(Ok(Output::default()));
        // Woken, and gone before it was polled again.
        drop(next);
        assert!(other.is_set());
        drop(second);
        assert_eq!(drained(&root).len(), 1);
    }
}

#[test]
fn a_listener_that_only_looks_may_be_dropped_at_any_moment_and_takes_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for polls in 0..=64 {
        let (_, completer) = register(&root, "one");
        let woken = Arc::new(Flag::default());
        let mut looks = root.inbox().ready();
        let mut others = [root.inbox().ready(), root.inbox().ready()];
        for _ in 0..polls {
            assert!(poll_with(&mut looks, &Waker::from(woken.clone())).is_pending());
        }
        for other in &mut others {
            assert!(poll(other).is_pending());
        }
        completer.complete(Ok(Output::default()));
        assert_eq!(woken.is_set(), polls > 0);
        drop(looks);
        assert_eq!(Arc::strong_count(&woken), 1, "a waker was left behind");
        for other in &mut others {
            assert_eq!(poll(other), Poll::Ready(true));
        }
        assert_eq!(drained(&root).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_its_foreground_task_at_any_poll_leaves_nothing_behind() {
    for polls in 0..=64 {
        for ends_first in [false, true] {
            let registry = Registry::new();
            let root = registry.root_scope();
            let (id, completer) = root.register(Task::new("call", "").foreground()).unwrap();
            let mut call = root.foreground(id).unwrap();
            (0..polls).for_each(|_| assert!(poll(&mut call).is_pending()));
            if ends_first {
                completer.complete(Ok(Output::text("call")));
            }
            drop(call);
            assert_eq!(drained(&root), [0; 0], "nobody waits for it");
            let stats = registry.admin().stats();
            assert_eq!((stats.live, stats.undelivered, stats.kept), (0, 0, 1));
            assert_eq!(root.outcome(id).unwrap().outcome.is_success(), ends_first);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreground_task_that_is_polled_by_reference_at_any_poll_delivers_its_outcome() {
    for polls in 0..=64 {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = root.register(Task::new("call", "").foreground()).unwrap();
        let mut call = root.foreground(id).unwrap();
        for _ in 0..polls {
            let mut arm = &mut call;
            assert!(poll(&mut arm).is_pending());
        }
        completer.complete(Ok(Output::text("call")));
        let Poll::Ready(Ok(claim)) = poll(&mut call) else { panic!("nothing came") };
        drop(call);
        check_text(&claim, "call");
        // The caller could not use it: it goes to the inbox.
        drop(claim);
        assert_eq!(drained(&root), [id.number()]);
    }
}

#[test]
fn a_listener_that_goes_away_leaves_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mark = Arc::new(Flag::default());
    for _ in 0..50 {
        let (mut next, mut ready) = (root.inbox().next(), root.inbox().ready());
        assert!(poll_with(&mut next, &Waker::from(mark.clone())).is_pending());
        assert!(poll_with(&mut ready, &Waker::from(mark.clone())).is_pending());
        assert_eq!(Arc::strong_count(&mark), 3);
    }
    assert_eq!(Arc::strong_count(&mark), 1);
    ended(&root, "nobody listens");
    assert!(!mark.is_set());
}

#[test]
fn a_listener_ends_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let woken = Arc::new(Flag::default());
    let mut next = root.inbox().next();
    assert!(poll_with(&mut next, &Waker::from(woken.clone())).is_pending());
    drop(registry);
    assert!(woken.is_set());
    assert!(matches!(poll(&mut next), Poll::Ready(None)));
    assert!(matches!(poll(&mut root.inbox().next()), Poll::Ready(None)));
    assert!(root.inbox().try_next().is_none());
}

#[test]
fn a_claim_outlives_the_registry_and_its_scope() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (first, second) = (ended(&root, "first"), ended(&root, "second"));
    let (first, second) = (root.claim(first).unwrap(), root.claim(second).unwrap());
    drop(root);
    check_text(&first.ack(), "first");
    drop(registry);
    check_text(&second, "second");
    check_text(&second.ack(), "second");
}
