//! What was acknowledged stays readable up to a number and an age; what was not is not evicted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::task::Poll;
use std::time::Duration;

use bg_core::{
    ClaimError, Completer, EventKind, Events, Output, Registry, Retention, Scope, Status,
};
use bg_core::{TaskError, TaskId};
use support::{drained, ended, ended_many, numbers, poll, register};
use tokio::time::advance;

use crate::support;

const HOUR: Duration = Duration::from_secs(3600);
const ALMOST: Duration = Duration::from_millis(3600 * 1000 - 1);

fn keeping(count: usize, age: Duration) -> (Registry, Scope) {
    let registry = Registry::builder().retention(Retention::new(count, age)).build();
    let root = registry.root_scope();
    (registry, root)
}

#[track_caller]
fn ack(root: &Scope, id: TaskId) {
    root.claim(id).unwrap().ack();
}

/// Checks which outcomes can be read, by their numbers: in the history, by id and in the counts.
#[track_caller]
fn check_kept(registry: &Registry, root: &Scope, kept: &[u64], gone: &[TaskId]) {
    assert_eq!(numbers(&root.history()), kept);
    assert_eq!(registry.admin().stats().kept, kept.len());
    for &id in gone {
        let not_found = |error| matches!(error, TaskError::NotFound(_));
        assert!(root.inspect(id).is_err_and(not_found));
        assert!(matches!(root.outcome(id), Err(ClaimError::Task(error)) if not_found(error)));
        assert!(matches!(root.claim(id), Err(ClaimError::Task(error)) if not_found(error)));
        assert!(root.cancel(id, "late").is_err_and(not_found));
        assert!(root.log(id).is_err_and(not_found));
        let Poll::Ready(Err(error)) = poll(&mut root.wait([id])) else { panic!("{id} is there") };
        assert!(not_found(error));
    }
}

fn evicted(events: &mut Events) -> Vec<u64> {
    let mut found = Vec::new();
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        let event = event.unwrap();
        if event.what == EventKind::Evicted {
            found.push(event.task.number());
        }
    }
    found
}

#[test]
fn the_oldest_acknowledgement_goes_first() {
    let (registry, root) = keeping(3, HOUR);
    let ids = ended_many(&root, 6);
    for &index in &[4, 0, 2] {
        ack(&root, ids[index]);
    }
    check_kept(&registry, &root, &[5, 1, 3], &[]);
    ack(&root, ids[5]);
    check_kept(&registry, &root, &[1, 3, 6], &[ids[4]]);
    ack(&root, ids[1]);
    check_kept(&registry, &root, &[3, 6, 2], &[ids[4], ids[0]]);
    assert_eq!(drained(&root), [4]);
    check_kept(&registry, &root, &[6, 2, 4], &[ids[4], ids[0], ids[2]]);
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_the_acknowledgement() {
    let (registry, root) = keeping(9, HOUR);
    let ids = ended_many(&root, 3);
    advance(HOUR * 2).await;
    ack(&root, ids[0]);
    advance(HOUR / 2).await;
    ack(&root, ids[1]);
    check_kept(&registry, &root, &[1, 2], &[]);
    advance(HOUR / 2).await;
    check_kept(&registry, &root, &[2], &[ids[0]]);
    advance(HOUR / 2).await;
    check_kept(&registry, &root, &[], &[ids[0], ids[1]]);
    assert_eq!(drained(&root), [3]);
}

#[tokio::test(start_paused = true)]
async fn each_way_of_reading_finds_out_that_it_is_too_old() {
    let reads: [fn(&Scope, TaskId) -> bool; 3] = [
        |root, id| root.outcome(id).is_ok(),
        |root, id| root.inspect(id).is_ok(),
        |root, _| !root.history().is_empty(),
    ];
    for read in reads {
        let (registry, root) = keeping(9, HOUR);
        let id = ended(&root, "one");
        ack(&root, id);
        advance(ALMOST).await;
        assert!(read(&root, id), "reading does not wear it out");
        advance(Duration::from_millis(1)).await;
        assert!(!read(&root, id), "nor does it keep it young");
        assert_eq!(registry.admin().stats().kept, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn number_and_age_hold_together() {
    let (registry, root) = keeping(2, HOUR);
    let ids = ended_many(&root, 4);
    ack(&root, ids[0]);
    advance(HOUR / 2).await;
    ack(&root, ids[1]);
    ack(&root, ids[2]);
    check_kept(&registry, &root, &[2, 3], &[ids[0]]);
    advance(HOUR).await;
    check_kept(&registry, &root, &[], &ids[..3]);
    ack(&root, ids[3]);
    check_kept(&registry, &root, &[4], &ids[..3]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_acknowledged_is_kept_for_ever() {
    let (registry, root) = keeping(0, Duration::ZERO);
    let ids = ended_many(&root, 100);
    let (live, _completer) = register(&root, "live");
    let claims = root.inbox().take(50);
    advance(HOUR * 24 * 3650).await;
    assert_eq!(registry.admin().stats().undelivered, 100);
    assert!(ids.iter().all(|&id| root.outcome(id).is_ok()));
    assert!(root.inspect(live).is_ok());
    drop(claims);
    assert_eq!(drained(&root).len(), 100);
    check_kept(&registry, &root, &[], &ids);
}

#[test]
fn nothing_is_kept_where_the_number_or_the_age_is_zero() {
    for (count, age) in [(0, HOUR), (9, Duration::ZERO)] {
        let (registry, root) = keeping(count, age);
        let mut events = registry.events();
        let id = ended(&root, "one");
        assert!(root.outcome(id).is_ok());
        let claim = root.claim(id).unwrap();
        let finished = claim.ack();
        assert_eq!(finished.label(), "one", "whoever has it goes on having it");
        check_kept(&registry, &root, &[], &[id]);
        assert_eq!(evicted(&mut events), [1]);
        let drained_one = ended(&root, "two");
        assert_eq!(drained(&root), [2]);
        assert_eq!(evicted(&mut events), [2], "whether anybody looks or not");
        check_kept(&registry, &root, &[], &[id, drained_one]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_delivers_is_kept_for_its_age_however_long_ago_it_ended() {
    let (registry, root) = keeping(9, HOUR);
    let ids = ended_many(&root, 2);
    advance(HOUR * 2).await;
    for expected in 1..=2 {
        assert_eq!(root.inbox().drain().next().unwrap().id.number(), expected);
    }
    ended(&root, "three");
    advance(ALMOST).await;
    check_kept(&registry, &root, &[1, 2], &[]);
    advance(HOUR.saturating_sub(ALMOST)).await;
    check_kept(&registry, &root, &[], &ids);
}

#[tokio::test(start_paused = true)]
async fn its_age_begins_with_the_next_use_that_knows_the_time() {
    let uses: [fn(&Scope, &mut Vec<Completer>, TaskId); 6] = [
        |root, others, _| others.push(register(root, "spawned").1),
        |_, others, _| others.clear(),
        |root, _, id| assert!(root.inspect(id).is_ok()),
        |root, _, id| assert!(root.outcome(id).is_ok()),
        |root, _, id| assert!(root.claim(id).is_err()),
        |root, _, _| assert_eq!(root.history().len(), 1),
    ];
    for next_use in uses {
        let (registry, root) = keeping(9, HOUR);
        let id = ended(&root, "one");
        let mut others = vec![register(&root, "other").1];
        assert_eq!(drained(&root), [1]);
        advance(HOUR * 2).await;
        assert_eq!(registry.admin().stats().kept, 1, "nobody has used it");
        next_use(&root, &mut others, id);
        advance(ALMOST).await;
        assert!(root.outcome(id).is_ok());
        advance(HOUR.saturating_sub(ALMOST)).await;
        check_kept(&registry, &root, &[], &[id]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_only_ends_and_drains_keeps_nothing_too_old() {
    let (registry, root) = keeping(9, HOUR);
    for _ in 0..20 {
        ended(&root, "one");
        assert_eq!(drained(&root).len(), 1);
        assert!(registry.admin().stats().kept <= 3, "those of the last hour, and this one");
        advance(HOUR / 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_a_possible_age() {
    let (registry, root) = keeping(9, Duration::MAX);
    let id = ended(&root, "one");
    ack(&root, id);
    advance(HOUR * 24 * 3650).await;
    check_kept(&registry, &root, &[1], &[]);
}

#[tokio::test(start_paused = true)]
async fn each_eviction_is_told_once_and_in_order() {
    let (registry, root) = keeping(2, HOUR);
    let mut events = registry.events();
    let ids = ended_many(&root, 6);
    for &index in &[3, 1, 0] {
        ack(&root, ids[index]);
    }
    assert_eq!(evicted(&mut events), [4]);
    advance(HOUR).await;
    assert_eq!(evicted(&mut events), [0; 0], "nobody has looked");
    assert!(root.history().is_empty());
    assert_eq!(evicted(&mut events), [2, 1]);
    drop(root.claim(ids[2]).unwrap());
    assert_eq!(drained(&root), [3, 5, 6]);
    assert_eq!(evicted(&mut events), [3]);
    assert!(root.outcome(ids[2]).is_err());
    assert_eq!(evicted(&mut events), [0; 0]);
}

#[test]
fn a_wait_that_has_begun_sees_what_was_evicted_meanwhile() {
    let (registry, root) = keeping(0, HOUR);
    let (first, one) = register(&root, "one");
    let (second, other) = register(&root, "other");
    let mut wait = root.wait([first, second]);
    let watch = root.watch(first).unwrap();
    assert!(poll(&mut wait).is_pending());
    one.complete(Ok(Output::default()));
    assert_eq!(drained(&root), [1]);
    check_kept(&registry, &root, &[], &[first]);
    other.complete(Ok(Output::default()));
    let Poll::Ready(Ok(waited)) = poll(&mut wait) else { panic!("the wait is not over") };
    assert_eq!(numbers(&waited.ended), [1, 2]);
    assert_eq!(watch.status(), Status::Completed);
}

#[test]
fn what_an_ended_owner_left_is_kept_by_the_same_rules() {
    let (registry, root) = keeping(3, HOUR);
    let mut events = registry.events();
    let (owner, completer) = register(&root, "owner");
    let below = completer.context().scope();
    let children = ended_many(&below, 3);
    completer.complete(Ok(Output::default()));
    assert_eq!(numbers(&below.history()), [2, 3, 4]);
    ack(&root, owner);
    assert_eq!(evicted(&mut events), [2]);
    assert!(below.outcome(children[0]).is_err() && below.outcome(children[1]).is_ok());
    assert_eq!((numbers(&below.history()), numbers(&root.history())), (vec![3, 4], vec![1]));
    assert_eq!(registry.admin().stats().kept, 3);
}

#[test]
fn one_root_does_not_push_out_what_another_keeps() {
    let (registry, root) = keeping(1, HOUR);
    let other = registry.root_scope();
    let id = ended(&root, "one");
    ack(&root, id);
    ended_many(&other, 9);
    assert_eq!(drained(&other).len(), 9);
    assert!(root.outcome(id).is_ok());
    assert_eq!(registry.admin().stats().kept, 2);
}

#[test]
fn the_number_of_an_evicted_task_is_not_given_again() {
    let (registry, root) = keeping(0, HOUR);
    let first = ended(&root, "one");
    assert_eq!(drained(&root), [1]);
    let next = ended_many(&root, 100);
    assert!(next.iter().all(|&id| id != first));
    check_kept(&registry, &root, &[], &[first]);
}
