//! Events are numbered without a gap, and whoever is too slow is told exactly what it missed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bg_core::{Event, EventKind, Events, Lagged, Output, Registry, Status, Task, TaskContext};
use serde_json::{Value, json};
use support::{Flag, drained, ended, poll, poll_with, register, started};

mod support;

fn next(events: &mut Events) -> Poll<Option<Result<Event, Lagged>>> {
    poll(&mut Box::pin(events.next()))
}

/// Everything that has been published so far; a gap is an error here.
#[track_caller]
fn read(events: &mut Events) -> Vec<Event> {
    let mut found = Vec::new();
    while let Poll::Ready(Some(event)) = next(events) {
        found.push(event.unwrap());
    }
    found
}

fn json(events: &[Event]) -> Vec<Value> {
    events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

/// How the event of a status serializes, without number and root.
fn words(events: &[Event]) -> Vec<String> {
    let word = |event: &Event| {
        let json = serde_json::to_value(event).unwrap();
        let status = json["status"].as_str().map(|status| format!("={status}"));
        let step = json["step"].as_u64().map(|step| format!("({step})"));
        let kind = json["event"].as_str().unwrap();
        [
            event.task.number().to_string(),
            kind.to_owned(),
            status.unwrap_or_default(),
            step.unwrap_or_default(),
        ]
        .join(" ")
    };
    events
        .iter()
        .map(word)
        .map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[track_caller]
fn check_numbers(events: &[Event], first: u64) {
    let expected: Vec<u64> = (first..first + events.len() as u64).collect();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_in_order() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut events = registry.events();
    let body = |cx: TaskContext| async move {
        cx.step(1);
        cx.step(1);
        cx.trace("reading");
        let _child = register(&cx.scope(), "child");
        Ok(Output::default())
    };
    let id = root.spawn(Task::agent("outer", ""), body).unwrap();
    root.wait([id]).await.unwrap();
    drop(root.claim(id).unwrap());
    assert_eq!(drained(&root), [1]);
    let told = read(&mut events);
    check_numbers(&told, 0);
    assert_eq!(
        words(&told),
        [
            "1 spawned",
            "1 status =running (0)",
            "1 status =running (1)",
            "1 trace",
            "2 spawned",
            "2 status =cancelled",
            "1 status =completed",
            "1 claimed",
            "1 given_back",
            "1 claimed",
            "1 acked",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_told_before_what_it_leads_to() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = root.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    started(&root, id).await;
    let mut events = registry.events();
    root.cancel(id, "stop").unwrap();
    root.cancel(id, "again").unwrap();
    root.wait([id]).await.unwrap();
    assert_eq!(words(&read(&mut events)), ["1 cancel_requested", "1 status =cancelled"]);
}

#[test]
fn an_event_serializes_flat() {
    let registry = Registry::new();
    let (_, root) = (registry.root_scope(), registry.root_scope());
    let mut events = registry.events();
    let (_, completer) = root.register(Task::agent("owner", "")).unwrap();
    completer.context().step(3);
    completer.context().trace("line");
    let _child = register(&completer.context().scope(), "child");
    assert_eq!(
        json(&read(&mut events)),
        [
            json!({"seq": 0, "root": 2, "task": "agent:1", "event": "spawned", "label": "owner", "owner": null}),
            json!({"seq": 1, "root": 2, "task": "agent:1", "event": "status", "status": "running", "step": 3}),
            json!({"seq": 2, "root": 2, "task": "agent:1", "event": "trace", "line": "line"}),
            json!({"seq": 3, "root": 2, "task": "task:2", "event": "spawned", "label": "child", "owner": "agent:1"}),
        ]
    );
}

#[test]
fn every_subscriber_reads_at_its_own_pace() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut early = registry.events();
    ended(&root, "first");
    let mut late = registry.events();
    let first = read(&mut early);
    ended(&root, "second");
    let second = read(&mut early);
    assert_eq!(read(&mut late), second, "a subscription begins where it was made");
    check_numbers(&[first, second].concat(), 0);
}

#[test]
fn a_slow_subscriber_is_told_how_many_it_missed() {
    for kept in [0, 1, 4] {
        let registry = Registry::builder().events_kept(kept).build();
        let root = registry.root_scope();
        let (mut slow, mut quick) = (registry.events(), registry.events());
        let (_, completer) = register(&root, "steps");
        for step in 1..=9 {
            completer.context().step(step);
            assert!(matches!(next(&mut quick), Poll::Ready(Some(_))));
        }
        // Ten in all; a ring keeps one at least.
        let kept = kept.max(1) as u64;
        assert_eq!(next(&mut slow), Poll::Ready(Some(Err(Lagged(10 - kept)))));
        let rest = read(&mut slow);
        check_numbers(&rest, 10 - kept);
        assert_eq!(rest.len() as u64, kept);
        assert_eq!(rest.last().unwrap().what, EventKind::Status(Status::Running { step: 9 }));
        assert_eq!(next(&mut slow), Poll::Pending);
    }
}

#[test]
fn what_was_missed_is_exact_however_it_is_read() {
    let registry = Registry::builder().events_kept(8).build();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "steps");
    let mut events = registry.events();
    let (mut seen, mut step) = (0, 0);
    for burst in [3, 8, 9, 0, 40, 1, 7, 16, 2] {
        for _ in 0..burst {
            step += 1;
            completer.context().step(step);
        }
        for _ in 0..burst % 5 {
            match next(&mut events) {
                Poll::Ready(Some(Ok(event))) => {
                    seen += 1;
                    assert_eq!(event.what, EventKind::Status(Status::Running { step: seen }));
                }
                Poll::Ready(Some(Err(Lagged(missed)))) => seen += u32::try_from(missed).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn nothing_is_kept_for_nobody() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended(&root, "before");
    let mut first = registry.events();
    assert!(next(&mut first).is_pending());
    ended(&root, "between");
    drop(first);
    let mut second = registry.events();
    assert!(next(&mut second).is_pending());
    ended(&root, "after");
    let told = read(&mut second);
    assert!(told.iter().all(|event| event.task.number() == 3), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_subscriber_that_waits_is_woken_once_there_is_something() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(woken.clone());
    let mut events = registry.events();
    for polls in 1..4 {
        let mut waiting = Box::pin(events.next());
        for _ in 0..polls {
            assert!(poll_with(&mut waiting, &waker).is_pending());
        }
        // Dropped at any poll, it has taken nothing.
        drop(waiting);
        let _live = register(&root, "one").1.context().token();
        assert!(woken.is_set());
        assert_eq!(words(&read(&mut events)).len(), 2);
        woken.clear();
    }
}

#[test]
fn a_subscription_ends_with_the_registry() {
    let registry = Registry::new();
    let mut events = registry.events();
    let woken = Arc::new(Flag::default());
    let mut waiting = Box::pin(events.next());
    assert!(poll_with(&mut waiting, &Waker::from(woken.clone())).is_pending());
    drop(registry);
    assert!(woken.is_set());
    assert_eq!(poll(&mut waiting), Poll::Ready(None));
}
