//! A root runs out of numbers with an error: nothing wraps, and what is there goes on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU64;

use bg_core::{EventKind, Kind, Output, Registry, Scope, SpawnError, Task, TaskError, TaskId};
use support::{Flag, drained, ended, poll, register};

use crate::support;

fn first_number(number: u64) -> Registry {
    Registry::builder().first_number(NonZeroU64::new(number).unwrap()).build()
}

/// A registry whose roots have so many numbers left.
fn left(numbers: u64) -> Registry {
    first_number(u64::MAX - numbers + 1)
}

#[track_caller]
fn check_exhausted(scope: &Scope) {
    let dropped = Flag::default();
    let guard = dropped.on_drop();
    let registered = scope.register(Task::new("over", ""));
    assert_eq!(registered.unwrap_err(), SpawnError::NumbersExhausted);
    let body = move |_| async move {
        drop(guard);
        Ok(Output::default())
    };
    assert_eq!(scope.spawn(Task::new("over", ""), body), Err(SpawnError::NumbersExhausted));
    assert!(dropped.is_set(), "a refused body was kept");
}

#[tokio::test(start_paused = true)]
async fn the_last_number_is_given_once_and_then_there_is_an_error() {
    let registry = left(4);
    let root = registry.root_scope();
    let mut completers: Vec<_> = (0..4).map(|_| register(&root, "").1).collect();
    let ids: Vec<u64> = completers.iter().map(|c| c.context().id().number()).collect();
    assert_eq!(ids, [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1, u64::MAX]);
    for _ in 0..3 {
        check_exhausted(&root);
        check_exhausted(&completers[0].context().scope());
    }
    assert_eq!(registry.admin().stats().live, 4, "what was refused was counted");
    // Other roots have numbers of their own.
    let other = registry.root_scope();
    assert_eq!(register(&other, "").0.number(), u64::MAX - 3);
    // An end does not free its number.
    completers.remove(0).complete(Ok(Output::default()));
    assert_eq!(drained(&root), [u64::MAX - 3]);
    check_exhausted(&root);
    completers.into_iter().rev().for_each(|completer| completer.complete(Ok(Output::default())));
    assert_eq!(drained(&root), [u64::MAX, u64::MAX - 1, u64::MAX - 2]);
}

#[test]
fn an_id_with_the_highest_number_is_as_good_as_any() {
    let kind = Kind::new("abcdefghijk");
    let registry = Registry::builder().kind(kind).first_number(NonZeroU64::MAX).build();
    let root = registry.root_scope();
    let (id, completer) = root.register(Task::of_kind(kind, "last", "")).unwrap();
    let text = id.to_string();
    assert_eq!(text, "abcdefghijk:18446744073709551615");
    assert_eq!(text.parse::<TaskId>().unwrap(), id);
    for text in [&*text, "18446744073709551615"] {
        assert_eq!(root.resolve(text).unwrap(), id);
    }
    assert!(root.resolve("18446744073709551616").is_err());
    assert!(root.resolve("0").is_err());
    completer.context().step(u32::MAX);
    let mut wait = root.wait([id]);
    assert!(poll(&mut wait).is_pending());
    completer.complete(Ok(Output::default()));
    assert!(poll(&mut wait).is_ready());
    assert_eq!(root.claim(id).unwrap().ack().steps(), u32::MAX);
    assert!(matches!(
        root.inspect(1.to_string().parse::<bg_core::TaskRef>().unwrap()),
        Err(TaskError::NotFound(_))
    ));
}

#[test]
fn lists_pages_and_events_are_right_up_to_the_last_number() {
    let registry = left(4);
    let root = registry.root_scope();
    let mut events = registry.events();
    let completers: Vec<_> = (0..4).map(|_| register(&root, "").1).collect();
    let page = |after, max| -> Vec<u64> {
        root.page(after, max).iter().map(|snapshot| u64::MAX - snapshot.id.number()).collect()
    };
    assert_eq!(page(0, 10), [3, 2, 1, 0]);
    assert_eq!(page(0, 2), [3, 2]);
    assert_eq!(page(u64::MAX - 2, 2), [1, 0]);
    assert_eq!(page(u64::MAX - 1, 2), [0]);
    assert!(page(u64::MAX, 2).is_empty());
    drop(completers);
    assert_eq!(page(0, 10), [3, 2, 1, 0]);
    assert_eq!(drained(&root).len(), 4);
    assert!(page(0, 10).is_empty() && page(u64::MAX, 1).is_empty());
    let mut told = Vec::new();
    while let std::task::Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        told.push(event.unwrap());
    }
    let seqs: Vec<u64> = told.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (0..16).collect::<Vec<_>>());
    let spawned = told.iter().filter(|event| matches!(event.what, EventKind::Spawned { .. }));
    assert_eq!(spawned.map(|e| u64::MAX - e.task.number()).collect::<Vec<_>>(), [3, 2, 1, 0]);
}

#[test]
fn numbers_go_on_where_another_process_stopped() {
    let registry = first_number(1_000_000_007);
    let root = registry.root_scope();
    assert_eq!(ended(&root, "first").number(), 1_000_000_007);
    assert_eq!(drained(&root), [1_000_000_007]);
    assert!(matches!(
        root.inspect("task:1".parse::<TaskId>().unwrap()),
        Err(TaskError::NotFound(_))
    ));
}

#[test]
fn any_step_and_any_count_that_is_given_is_taken_as_it_is() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "");
    for step in [u32::MAX, 0, 256, 255, 1 << 31] {
        completer.context().step(step);
        assert_eq!(root.inspect(id).unwrap().status, bg_core::Status::Running { step });
    }
    assert_eq!(root.inbox().take(usize::MAX).len(), 0);
    completer.complete(Ok(Output::default()));
    assert_eq!(root.inbox().take(usize::MAX).len(), 1);
}
