//! Events are numbered without a gap, and whoever is too slow is told exactly what it missed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bg_core::TaskContext;
use bg_core::{Event, EventKind, Events, Lagged, Output, Phase, Registry, Status, Stream, Task};
use serde_json::{Value, json};
use support::{Flag, bounded, drained, ended, poll, poll_with, register, started};

use crate::support;

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

#[test]
fn growth_of_output_is_told_first_and_then_once_in_a_while() {
    for (size, writes) in [(1, 100_000), (1_000, 100), (4_096, 25), (50_000, 3), (0, 9)] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (_, completer) = register(&root, "writes");
        let mut events = registry.events();
        let log = completer.context().log();
        let (mut total, mut told) = (0, Vec::new());
        let mut expected: Vec<u64> = Vec::new();
        for n in 0..writes {
            let stream = if n % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            log.write(stream, &vec![b'x'; size]);
            total += size as u64;
            if total > 0 && expected.last().is_none_or(|last| total - last >= 4_096) {
                expected.push(total);
            }
            told.extend(read(&mut events));
        }
        let totals: Vec<u64> = told.iter().map(grown).collect();
        assert_eq!(totals, expected);
        assert!(totals.len() <= 2 + writes * size / 4_096);
    }
}

/// The total of an event that tells of growth.
#[track_caller]
fn grown(event: &Event) -> u64 {
    match event.what {
        EventKind::OutputGrew { total } => total,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_told_of_a_task_that_has_ended() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "over");
    let (context, log) = (completer.context().clone(), completer.context().log());
    let mut events = registry.events();
    completer.complete(Ok(Output::default()));
    assert_eq!(words(&read(&mut events)), ["1 status =completed"]);
    log.write(Stream::Stdout, &[0; 9_000]);
    context.log().write(Stream::Stdout, &[0; 9_000]);
    context.step(1);
    context.phase(Phase::WaitingForInput);
    context.trace("late");
    assert!(read(&mut events).is_empty());
}

#[test]
fn no_growth_is_told_after_the_end_in_a_race_with_it() {
    bounded("a race with the end", || {
        for _ in 0..50 {
            let registry = Registry::builder().events_kept(100_000).build();
            let root = registry.root_scope();
            let (_, completer) = register(&root, "writes");
            let mut events = registry.events();
            let log = completer.context().log();
            std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| (0..50).for_each(|_| log.write(Stream::Stdout, &[0; 5_000])));
                }
                completer.complete(Ok(Output::default()));
            });
            let told = read(&mut events);
            let end = told.iter().position(|e| e.what == EventKind::Status(Status::Completed));
            assert_eq!(end, Some(told.len() - 1), "{:?}", words(&told));
        }
    });
}

#[test]
fn an_outcome_that_is_let_go_is_told_once() {
    let registry = Registry::builder().finished_kept(2).build();
    let root = registry.root_scope();
    let mut events = registry.events();
    let ids: Vec<_> = (0..5).map(|_| ended(&root, "")).collect();
    for &id in &ids {
        root.claim(id).unwrap().ack();
    }
    let gone = |told: &[Event]| -> Vec<u64> {
        let gone = told.iter().filter(|event| event.what == EventKind::Evicted);
        gone.map(|event| event.task.number()).collect()
    };
    assert_eq!(gone(&read(&mut events)), [1, 2, 3]);
    for &id in &ids[..3] {
        assert!(root.inspect(id).is_err());
    }
    assert!(read(&mut events).is_empty());
    assert!(root.inspect(ids[4]).is_ok());
}

#[test]
fn a_change_of_phase_is_told_and_a_repetition_is_not() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "");
    let mut events = registry.events();
    let context = completer.context();
    for phase in [Phase::Working, Phase::WaitingForModel, Phase::WaitingForModel, Phase::Working] {
        context.phase(phase);
    }
    assert_eq!(
        json(&read(&mut events)),
        [
            json!({"seq": 0, "root": 1, "task": "task:1", "event": "phase", "phase": "waiting_for_model"}),
            json!({"seq": 1, "root": 1, "task": "task:1", "event": "phase", "phase": "working"}),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_foreground_task_and_of_a_late_claim_is_told() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut events = registry.events();
    let (call, completer) = root.register(Task::new("call", "").foreground()).unwrap();
    let child = ended(&completer.context().scope(), "child");
    let held = completer.context().scope().claim(child).unwrap();
    read(&mut events);
    assert_eq!((root.detach(call), root.detach(call)), (Ok(true), Ok(false)));
    assert_eq!(words(&read(&mut events)), ["1 detached"]);
    completer.complete(Ok(Output::default()));
    drop(held);
    assert_eq!(words(&read(&mut events)), ["1 status =completed", "2 released"]);
    let (_, writes) = register(&root, "");
    writes.context().log().write(Stream::Stdout, b"abc");
    assert_eq!(json(&read(&mut events))[1]["total"], json!(3));
}

#[test]
fn what_a_reader_saw_and_what_it_missed_make_up_everything_that_two_threads_told() {
    bounded("a slow reader", || {
        const EACH: u32 = 2_000;
        let registry = Registry::builder().events_kept(50).build();
        let root = registry.root_scope();
        let tasks = [register(&root, "").1, register(&root, "").1];
        let mut events = registry.events();
        let (mut seen, mut missed) = (0_u64, 0);
        let mut read_some = || {
            while let Poll::Ready(Some(read)) = next(&mut events) {
                match read {
                    Ok(event) => {
                        assert_eq!(event.seq, seen + missed, "a gap that was not told");
                        seen += 1;
                    }
                    Err(Lagged(more)) => {
                        assert!(more > 0);
                        missed += more;
                    }
                }
            }
            seen + missed
        };
        std::thread::scope(|threads| {
            for task in &tasks {
                threads.spawn(|| (1..=EACH).for_each(|step| task.context().step(step)));
            }
            while read_some() < u64::from(EACH) {
                std::thread::yield_now();
            }
        });
        assert_eq!(read_some(), 2 * u64::from(EACH));
    });
}
