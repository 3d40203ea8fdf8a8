//! A driver runs a turn when there is something to tell and the host is idle; a result is gone from
//! the inbox when a turn with it was committed, and not before.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bg_core::{Claim, Driver, Output, Registry, Scope, Stats, Task, TurnEnd, TurnSlot};
use support::{Flag, drained, elapse, ended, ended_many, idle, register, started};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::support;

const SECOND: Duration = Duration::from_secs(1);

fn numbers_of(claims: &[Claim]) -> Vec<u64> {
    claims.iter().map(|claim| claim.id.number()).collect()
}

/// When a turn began, in seconds, and the results that it had.
type Turn = (u64, Vec<u64>);

/// The turns of a driver, and when its time began.
#[derive(Clone)]
struct Turns(Arc<Mutex<Vec<Turn>>>, Instant);

impl Turns {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    fn note(&self, claims: &[Claim]) -> usize {
        let mut turns = self.0.lock().unwrap();
        turns.push((self.1.elapsed().as_secs(), numbers_of(claims)));
        turns.len()
    }

    /// Runs a driver whose turns end as they are told, and then commit.
    fn run(&self, driver: Driver, ends: &'static [TurnEnd]) -> JoinHandle<()> {
        let turns = self.clone();
        tokio::spawn(driver.run(move |claims| {
            let end = ends.get(turns.note(&claims) - 1).copied();
            ready((claims, end.unwrap_or(TurnEnd::Committed)))
        }))
    }

    #[track_caller]
    fn check(&self, expected: &[(u64, &[u64])]) {
        let turns = self.0.lock().unwrap();
        let turns: Vec<_> = turns.iter().map(|(time, had)| (*time, &had[..])).collect();
        assert_eq!(turns, expected);
    }
}

/// Checks what is not delivered, and that the host is idle.
#[track_caller]
fn check_undelivered(registry: &Registry, slot: &TurnSlot, undelivered: usize) {
    assert_eq!(registry.admin().stats().undelivered, undelivered);
    assert!(slot.try_acquire().is_some(), "a turn is under way");
}

/// Checks that a driver ends by itself.
async fn check_over(driver: JoinHandle<()>) {
    timeout(SECOND, driver).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_turn_has_a_batch_and_delivers_it() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended_many(&root, 3);
    turns.run(Driver::new(&root, slot.clone()).batch(2), &[]);
    idle().await;
    turns.check(&[(0, &[1, 2]), (0, &[3])]);
    check_undelivered(&registry, &slot, 0);
    assert_eq!(root.history().len(), 3);
    root.spawn(Task::new("later", ""), |_| ready(Ok(Output::default()))).unwrap();
    idle().await;
    turns.check(&[(0, &[1, 2]), (0, &[3]), (0, &[4])]);
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_gives_back_in_place_and_is_tried_again_after_a_pause() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended_many(&root, 2);
    let ends = &[TurnEnd::Failed, TurnEnd::Failed];
    turns.run(Driver::new(&root, slot.clone()).batch(2).pause(SECOND * 3), ends);
    idle().await;
    turns.check(&[(0, &[1, 2])]);
    check_undelivered(&registry, &slot, 2);
    assert_eq!(root.inbox().take(9).iter().map(|claim| claim.id.number()).max(), Some(2));
    ended(&root, "later");
    elapse(SECOND * 20).await;
    turns.check(&[(0, &[1, 2]), (3, &[1, 2]), (9, &[1, 2]), (9, &[3])]);
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn the_pause_doubles_to_a_minute_and_begins_anew_after_a_turn_that_was_committed() {
    const ENDS: [TurnEnd; 11] = {
        let mut ends = [TurnEnd::Failed; 11];
        ends[9] = TurnEnd::Committed;
        ends
    };
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended_many(&root, 2);
    turns.run(Driver::new(&root, slot).batch(1), &ENDS);
    elapse(SECOND * 300).await;
    let failed = [0, 1, 3, 7, 15, 31, 63, 123, 183, 243].map(|time| (time, &[1][..]));
    turns.check(&[&failed[..], &[(243, &[2]), (244, &[2])]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_gone_ends_the_driver_and_loses_nothing() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended(&root, "one");
    check_over(turns.run(Driver::new(&root, slot.clone()), &[TurnEnd::Over])).await;
    check_undelivered(&registry, &slot, 1);
    assert_eq!(drained(&root), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_dropped_gives_its_results_back() {
    let registry = Registry::new();
    let (root, slot) = (registry.root_scope(), TurnSlot::new());
    ended_many(&root, 2);
    let driver = tokio::spawn(Driver::new(&root, slot.clone()).run(|claims| async move {
        let _claims = claims;
        pending().await
    }));
    idle().await;
    assert!(root.inbox().is_empty() && slot.try_acquire().is_none());
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    check_undelivered(&registry, &slot, 2);
    assert_eq!(drained(&root), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_panics_gives_its_results_back() {
    let registry = Registry::new();
    let (root, slot) = (registry.root_scope(), TurnSlot::new());
    ended_many(&root, 2);
    let driver = tokio::spawn(Driver::new(&root, slot.clone()).run(|claims| async move {
        assert!(claims.is_empty(), "on purpose");
        (claims, TurnEnd::Over)
    }));
    assert!(driver.await.unwrap_err().is_panic());
    check_undelivered(&registry, &slot, 2);
    assert_eq!(drained(&root), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_a_turn_keeps_is_neither_delivered_nor_given_back() {
    let registry = Registry::new();
    let (root, slot) = (registry.root_scope(), TurnSlot::new());
    ended_many(&root, 2);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    tokio::spawn(Driver::new(&root, slot.clone()).run(move |mut claims| {
        keep.lock().unwrap().extend(claims.pop());
        ready((claims, TurnEnd::Committed))
    }));
    idle().await;
    check_undelivered(&registry, &slot, 1);
    let claim = kept.lock().unwrap().pop().unwrap();
    assert_eq!(claim.ack().id.number(), 2);
    check_undelivered(&registry, &slot, 0);
}

/// Where a driver is when everything around it goes away.
#[derive(Clone, Copy, Debug)]
enum Parked {
    Listening,
    WaitingForTheSlot,
    Pausing,
}

/// Starts a driver and brings it to a place; returns the user's turn that it waits for, if so.
async fn park(root: &Scope, at: Parked) -> (JoinHandle<()>, Option<bg_core::Turn>) {
    let (slot, turns) = (TurnSlot::new(), Turns::new());
    let turn = matches!(at, Parked::WaitingForTheSlot).then(|| slot.try_acquire().unwrap());
    let driver = turns.run(Driver::new(root, slot).pause(SECOND / 2), &[TurnEnd::Failed]);
    idle().await;
    if !matches!(at, Parked::Listening) {
        ended(root, "one");
        idle().await;
    }
    turns.check(if matches!(at, Parked::Pausing) { &[(0, &[1])] } else { &[] });
    (driver, turn)
}

#[tokio::test(start_paused = true)]
async fn a_driver_keeps_no_registry_alive() {
    for at in [Parked::Listening, Parked::WaitingForTheSlot, Parked::Pausing] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (driver, turn) = park(&root, at).await;
        let dropped = Flag::default();
        let guard = dropped.on_drop();
        let body = |_| async move {
            let _guard = guard;
            pending().await
        };
        let id = root.spawn(Task::new("ticks", ""), body).unwrap();
        started(&root, id).await;
        drop(registry);
        idle().await;
        assert!(dropped.is_set(), "{at:?}: the task outlived its registry");
        drop(turn);
        check_over(driver).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_keeps_no_root_open() {
    for at in [Parked::Listening, Parked::WaitingForTheSlot, Parked::Pausing] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (driver, turn) = park(&root, at).await;
        assert_eq!(registry.admin().stats().roots, 1);
        drop(root);
        assert_eq!(registry.admin().stats(), Stats::default(), "{at:?}");
        drop(turn);
        check_over(driver).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_ends_with_the_task_whose_results_it_tells() {
    let registry = Registry::new();
    let (root, turns) = (registry.root_scope(), Turns::new());
    let (_, owner) = register(&root, "owner");
    let scope = owner.context().scope();
    let driver = turns.run(Driver::new(&scope, TurnSlot::new()), &[]);
    drop(scope);
    idle().await;
    ended(&owner.context().scope(), "child");
    idle().await;
    turns.check(&[(0, &[2])]);
    owner.complete(Ok(Output::default()));
    check_over(driver).await;
    assert_eq!(drained(&root), [1]);
}

#[tokio::test(start_paused = true)]
async fn no_turn_is_run_when_a_users_turn_has_taken_the_results() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    turns.run(Driver::new(&root, slot.clone()), &[]);
    idle().await;
    for round in 0..3 {
        let turn = slot.acquire().await;
        ended(&root, "one");
        idle().await;
        assert_eq!(drained(&root), [round + 1]);
        drop(turn);
        idle().await;
        turns.check(&[]);
        check_undelivered(&registry, &slot, 0);
    }
    ended(&root, "last");
    idle().await;
    turns.check(&[(0, &[4])]);
}

#[tokio::test(start_paused = true)]
async fn what_a_users_failed_turn_had_is_told_by_the_next_turn() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended_many(&root, 2);
    let turn = slot.acquire().await;
    let claims = root.inbox().take(9);
    turns.run(Driver::new(&root, slot.clone()), &[]);
    idle().await;
    turns.check(&[]);
    drop((claims, turn));
    idle().await;
    turns.check(&[(0, &[1, 2])]);
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn one_turn_at_a_time_whoever_starts_it() {
    let registry = Registry::new();
    let (root, slot) = (registry.root_scope(), TurnSlot::new());
    let (release, released) = oneshot::channel::<()>();
    let mut released = Some(released);
    tokio::spawn(Driver::new(&root, slot.clone()).run(move |claims| {
        let released = released.take();
        async move {
            if let Some(released) = released {
                let _ = released.await;
            }
            (claims, TurnEnd::Committed)
        }
    }));
    ended(&root, "one");
    idle().await;
    assert!(slot.try_acquire().is_none(), "the driver's turn is under way");
    let mut users = pin!(slot.acquire());
    assert!(timeout(SECOND, &mut users).await.is_err());
    ended(&root, "two");
    drop(release);
    let turn = timeout(SECOND, users).await.unwrap();
    // The user came first: what is there now waits for the end of this turn.
    idle().await;
    assert_eq!(registry.admin().stats().undelivered, 1);
    assert!(slot.try_acquire().is_none());
    drop(turn);
    idle().await;
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn a_user_may_take_a_turn_while_the_driver_pauses() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    ended(&root, "one");
    turns.run(Driver::new(&root, slot.clone()).pause(SECOND * 9), &[TurnEnd::Failed]);
    idle().await;
    let turn = slot.try_acquire().unwrap();
    assert_eq!(drained(&root), [1]);
    drop(turn);
    elapse(SECOND * 20).await;
    turns.check(&[(0, &[1])]);
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn two_drivers_of_one_host_tell_each_result_once() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    for _ in 0..2 {
        turns.run(Driver::new(&root, slot.clone()).batch(1), &[]);
    }
    for number in 1..=9 {
        ended(&root, "one");
        if number % 3 == 0 {
            idle().await;
        }
    }
    let mut told: Vec<_> =
        turns.0.lock().unwrap().iter().flat_map(|(_, had)| had.clone()).collect();
    told.sort_unstable();
    assert_eq!(told, (1..=9).collect::<Vec<u64>>());
    check_undelivered(&registry, &slot, 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_scope_ends_its_driver_when_everything_is_told() {
    let registry = Registry::new();
    let (root, slot, turns) = (registry.root_scope(), TurnSlot::new(), Turns::new());
    let (_, _completer) = register(&root, "stopped");
    ended(&root, "ended");
    let turn = slot.acquire().await;
    let driver = turns.run(Driver::new(&root, slot.clone()), &[]);
    root.close(Duration::ZERO).await;
    drop(turn);
    check_over(driver).await;
    turns.check(&[(0, &[2, 1])]);
    check_undelivered(&registry, &slot, 0);
}
