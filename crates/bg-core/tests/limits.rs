//! What is over a limit of the host's is refused by its name, and nothing that is there is dropped.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;

use bg_core::{CancelOutcome, Completer, LimitKind, Limits, Output, Registry, Scope, SpawnError};
use bg_core::{Task, TaskId};
use support::{Flag, bounded, drained, ended, ended_many, held, idle, register};

use crate::support;

fn under(limits: Limits) -> (Registry, Scope) {
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    (registry, root)
}

/// Checks that a spawn is refused with a limit, and that the closure is dropped without a call.
#[track_caller]
fn check_refused(scope: &Scope, limit: LimitKind, value: u64) {
    let (called, dropped) = (Flag::default(), Flag::default());
    let (call, guard) = (called.clone(), dropped.on_drop());
    let body = move |_| {
        drop(guard);
        call.set();
        ready(Ok(Output::default()))
    };
    let refused = scope.spawn(Task::new("one too many", ""), body).unwrap_err();
    assert_eq!(refused, SpawnError::Limit { limit, value });
    assert_eq!(refused.to_string(), format!("the limit of {value} {limit} is reached"));
    assert!(dropped.is_set() && !called.is_set());
}

#[tokio::test(start_paused = true)]
async fn each_root_has_limits_of_its_own() {
    let (registry, root) = under(Limits::default().running(1).queued(0).per_scope(1));
    let other = registry.root_scope();
    let (_, _one) = held(&root, "one");
    let (_, _two) = held(&other, "two");
    check_refused(&root, LimitKind::PerScope, 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_wait() {
    let (registry, root) = under(Limits::default().running(1).queued(2));
    let (_, release) = held(&root, "runs");
    let (second, _second) = held(&root, "waits");
    let (_, _third) = held(&root, "waits");
    check_refused(&root, LimitKind::Queued, 2);
    assert_eq!(root.cancel(second, "enough"), Ok(CancelOutcome::Requested));
    let (_, _fourth) = held(&root, "waits");
    check_refused(&root, LimitKind::Queued, 2);
    drop(release);
    idle().await;
    assert_eq!(registry.admin().stats().queued, 1);
    let (_, _fifth) = held(&root, "waits");
    check_refused(&root, LimitKind::Queued, 2);
}

#[tokio::test(start_paused = true)]
async fn a_scope_has_no_more_than_so_many_live_tasks() {
    let (_registry, root) = under(Limits::default().per_scope(2));
    let (_, first) = register(&root, "first");
    let (_, second) = held(&root, "second");
    check_refused(&root, LimitKind::PerScope, 2);
    // Another scope of the root counts its own.
    let below = first.context().scope();
    let (_, _child) = held(&below, "child");
    let (_, _child) = register(&below, "child");
    check_refused(&below, LimitKind::PerScope, 2);
    // What has ended is not live, delivered or not.
    drop(second);
    idle().await;
    let (_, _third) = held(&root, "third");
    check_refused(&root, LimitKind::PerScope, 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_nest_no_deeper_than_allowed() {
    let (_registry, root) = under(Limits::default().depth(2));
    let (_, first) = register(&root, "1");
    let (child, second) = register(&first.context().scope(), "2");
    check_refused(&second.context().scope(), LimitKind::Depth, 2);
    let refused = second.context().scope().register(Task::new("call", "").foreground());
    let limit = SpawnError::Limit { limit: LimitKind::Depth, value: 2 };
    assert_eq!(refused.unwrap_err(), limit, "a foreground task nests as well");
    let refused = second.context().scope().register(Task::new("elsewhere", ""));
    assert_eq!(refused.unwrap_err(), limit);
    assert!(first.context().scope().inspect(child).is_ok());
    // Wide is not deep.
    let (_, _sibling) = register(&first.context().scope(), "2");
    let (_, _sibling) = register(&root, "1");
}

#[test]
fn without_a_limit_tasks_nest_deep_and_are_many() {
    bounded("nesting", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let mut chain: Vec<Completer> = vec![register(&root, "0").1];
        for _ in 0..2_000 {
            let scope = chain.last().unwrap().context().scope();
            chain.push(register(&scope, "deeper").1);
        }
        assert_eq!(registry.admin().stats().live, 2_001);
    });
}

#[tokio::test(start_paused = true)]
async fn too_many_undelivered_outcomes_refuse_what_is_new_and_drop_nothing() {
    let (registry, root) = under(Limits::default().undelivered(2, u64::MAX));
    let (ids, completers): (Vec<_>, Vec<_>) = (0..5).map(|_| register(&root, "")).unzip();
    for completer in completers {
        completer.complete(Ok(Output::text("kept")));
    }
    check_refused(&root, LimitKind::Undelivered, 2);
    let refused = root.register(Task::new("elsewhere", "")).unwrap_err();
    assert_eq!(refused, SpawnError::Limit { limit: LimitKind::Undelivered, value: 2 });
    assert_eq!(registry.admin().stats().undelivered, 5);

    // A claim that is held is not delivered, nor is one that was given back.
    let claims = root.inbox().take(5);
    assert_eq!(claims.len(), 5);
    check_refused(&root, LimitKind::Undelivered, 2);
    drop(claims);
    check_refused(&root, LimitKind::Undelivered, 2);
    assert_eq!(drained(&root), numbers_of(&ids));
    assert_eq!(registry.admin().stats().undelivered, 0);
    ended_many(&root, 2);
    check_refused(&root, LimitKind::Undelivered, 2);
    root.inbox().try_next().unwrap().ack();
    ended(&root, "again");
}

fn numbers_of(ids: &[TaskId]) -> Vec<u64> {
    ids.iter().map(|id| id.number()).collect()
}

#[tokio::test(start_paused = true)]
async fn undelivered_bytes_are_texts_data_and_traces() {
    let outputs: [fn(&Completer) -> Output; 4] = [
        |_| Output::text("x".repeat(100)),
        |_| Output::default().with_data(serde_json::json!(["x".repeat(100)])),
        |_| {
            let mut breakdown = bg_core::Breakdown::default();
            breakdown.add_call(&"x".repeat(100), true);
            Output::default().with_breakdown(breakdown)
        },
        |completer| {
            completer.context().trace("x".repeat(100));
            Output::default()
        },
    ];
    for output in outputs {
        let (registry, root) = under(Limits::default().undelivered(usize::MAX, 100));
        ended(&root, "small");
        let (_, completer) = register(&root, "large");
        let output = output(&completer);
        completer.complete(Ok(output));
        assert!(registry.admin().stats().undelivered_bytes >= 100);
        check_refused(&root, LimitKind::UndeliveredBytes, 100);
        assert_eq!(drained(&root), [1, 2]);
        assert_eq!(registry.admin().stats().undelivered_bytes, 0);
        ended(&root, "again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_owner_had_not_claimed_counts_until_it_ends() {
    let (registry, root) = under(Limits::default().undelivered(3, u64::MAX));
    let (_, owner) = register(&root, "owner");
    ended_many(&owner.context().scope(), 3);
    check_refused(&root, LimitKind::Undelivered, 3);
    owner.complete(Ok(Output::default()));
    assert_eq!(registry.admin().stats().undelivered, 1);
    ended_many(&root, 2);
    check_refused(&root, LimitKind::Undelivered, 3);
}
