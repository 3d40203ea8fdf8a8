//! So many tasks of a root run at once; the others wait in order, and nobody who waits is lost.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bg_core::TaskContext;
use bg_core::{EventKind, Limits, Outcome, Output, Reason, Registry, Scope, Stats, Status, Task};
use support::{Flag, HANG, bounded, drained, elapse, held, idle, numbers, poll, register};
use tokio::task::yield_now;

use crate::support;

fn at_once(tasks: usize) -> (Registry, Scope) {
    let registry = Registry::builder().limits(Limits::default().running(tasks)).build();
    let root = registry.root_scope();
    (registry, root)
}

/// Checks which of the tasks of a scope run, after everybody went on as far as they can, and how
/// many wait.
async fn check_running(registry: &Registry, scope: &Scope, running: &[u64], queued: usize) {
    idle().await;
    let listed = scope.snapshot();
    let runs = listed.iter().filter(|task| matches!(task.status, Status::Running { .. }));
    assert_eq!(runs.map(|task| task.id.number()).collect::<Vec<_>>(), running);
    let pending = listed.iter().filter(|task| task.status == Status::Pending).count();
    assert_eq!((pending, registry.admin().stats().queued), (queued, queued));
}

#[tokio::test(start_paused = true)]
async fn so_many_run_and_the_others_start_in_the_order_in_which_they_came() {
    let (registry, root) = at_once(2);
    let (_, mut release): (Vec<_>, Vec<_>) =
        ["a", "b", "c", "d", "e"].map(|label| held(&root, label)).into_iter().unzip();
    check_running(&registry, &root, &[1, 2], 3).await;
    drop(release.remove(1));
    check_running(&registry, &root, &[1, 3], 2).await;
    drop(release.remove(0));
    check_running(&registry, &root, &[3, 4], 1).await;
    release.clear();
    check_running(&registry, &root, &[], 0).await;
    assert_eq!(drained(&root), [2, 1, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_queued_task_changes_when_it_gets_its_slot() {
    let (registry, root) = at_once(1);
    let (_, release) = held(&root, "first");
    idle().await;
    let mut events = registry.events();
    let second = root.spawn(Task::new("second", ""), |_| pending()).unwrap();
    idle().await;
    let mut seen = Vec::new();
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        seen.push(event.unwrap().what);
    }
    assert!(matches!(seen[..], [EventKind::Spawned { .. }]), "{seen:?}");
    let mut watch = root.watch(second).unwrap();
    assert_eq!(watch.status(), Status::Pending);
    drop(release);
    assert_eq!(watch.changed().await, Some(Status::Running { step: 0 }));
}

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_gets_a_turn_in_order() {
    let (_registry, root) = at_once(3);
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 1..=200 {
        let order = order.clone();
        let body = move |_| async move {
            order.lock().unwrap().push(number);
            for _ in 0..number % 7 {
                yield_now().await;
            }
            Ok(Output::default())
        };
        root.spawn(Task::new("one", ""), body).unwrap();
    }
    for _ in 0..200 {
        let next = tokio::time::timeout(HANG, root.inbox().next());
        next.await.unwrap().unwrap().ack();
    }
    assert_eq!(*order.lock().unwrap(), (1..=200).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_task_gives_its_slot_back_however_it_ends() {
    let (registry, root) = at_once(1);
    let (_, release) = held(&root, "returns");
    let panics = root.spawn(Task::new("panics", ""), |_| async { panic!("on purpose") }).unwrap();
    let panics_early = |_: TaskContext| -> std::future::Ready<_> { panic!("on purpose") };
    root.spawn(Task::new("panics early", ""), panics_early).unwrap();
    let fails = |_| ready(Err("x".parse::<u8>().unwrap_err().into()));
    root.spawn(Task::new("fails", ""), fails).unwrap();
    let aborted = root.spawn(Task::new("aborted", ""), |_| pending()).unwrap();
    let (_, _last) = held(&root, "last");
    check_running(&registry, &root, &[1], 5).await;
    drop(release);
    check_running(&registry, &root, &[5], 1).await;
    assert_eq!(root.outcome(panics).unwrap().status(), Status::Panicked);
    root.cancel(aborted, "enough").unwrap();
    check_running(&registry, &root, &[6], 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_task_keeps_its_slot_until_it_has_ended() {
    let (registry, root) = at_once(1);
    let stubborn = |cx: TaskContext| async move {
        let _token = cx.token();
        pending().await
    };
    let task = Task::new("stubborn", "").grace(Duration::from_secs(9));
    let first = root.spawn(task, stubborn).unwrap();
    let (_, _second) = held(&root, "second");
    check_running(&registry, &root, &[1], 1).await;
    root.cancel(first, "enough").unwrap();
    elapse(Duration::from_secs(8)).await;
    check_running(&registry, &root, &[1], 1).await;
    elapse(Duration::from_secs(2)).await;
    check_running(&registry, &root, &[2], 0).await;
}

#[tokio::test(start_paused = true)]
async fn foreground_and_registered_tasks_take_no_slot() {
    let (registry, root) = at_once(1);
    let (_, _release) = held(&root, "takes the slot");
    let call = root.spawn(Task::new("call", "").foreground(), |_| ready(Ok(Output::default())));
    let call = root.foreground(call.unwrap()).unwrap().within(HANG).await.unwrap();
    call.expect("it waits for a slot").ack();
    let (_, _completer) = register(&root, "elsewhere");
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.queued), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_detached_task_runs_on_without_a_slot() {
    let (registry, root) = at_once(1);
    let (_, _release) = held(&root, "takes the slot");
    let call = root.spawn(Task::new("call", "").foreground(), |_| pending()).unwrap();
    check_running(&registry, &root, &[1], 0).await;
    assert_eq!(root.detach(call), Ok(true));
    check_running(&registry, &root, &[1, 2], 0).await;
    root.cancel(call, "enough").unwrap();
    let (_, _next) = held(&root, "next");
    check_running(&registry, &root, &[1], 1).await;
}

#[tokio::test(start_paused = true)]
async fn cancelled_queued_tasks_end_at_once_and_never_run() {
    let (registry, root) = at_once(1);
    let (_, release) = held(&root, "runs");
    let (called, dropped) = (Flag::default(), Flag::default());
    let (call, guard) = (called.clone(), dropped.on_drop());
    let body = move |_| {
        drop(guard);
        call.set();
        pending()
    };
    let unlucky = root.spawn(Task::new("unlucky", ""), body).unwrap();
    let (_, _third) = held(&root, "third");
    root.cancel(unlucky, "not now").unwrap();
    assert!(dropped.is_set(), "the closure is dropped by the stop");
    let Outcome::Cancelled(how) = root.outcome(unlucky).unwrap().outcome.clone() else {
        panic!("it was not cancelled")
    };
    assert_eq!(how.reason, Reason::Requested("not now".into()));
    assert_eq!(registry.admin().stats().queued, 1);
    drop(release);
    check_running(&registry, &root, &[3], 0).await;
    assert!(!called.is_set());
}

#[tokio::test(start_paused = true)]
async fn those_between_the_cancelled_ones_keep_their_order() {
    let (registry, root) = at_once(1);
    let (_, release) = held(&root, "runs");
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut lucky = Vec::new();
    for number in 2..=501 {
        let order = order.clone();
        let body = move |_| {
            order.lock().unwrap().push(number);
            ready(Ok(Output::default()))
        };
        let id = root.spawn(Task::new("one", ""), body).unwrap();
        if number % 50 == 0 {
            lucky.push(number);
        } else {
            root.cancel(id, "enough").unwrap();
        }
        assert_eq!(registry.admin().stats().queued, lucky.len());
    }
    drop(release);
    check_running(&registry, &root, &[], 0).await;
    assert_eq!(*order.lock().unwrap(), lucky);
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_everything_reaches_those_who_wait() {
    for close in [false, true] {
        let (registry, root) = at_once(2);
        let called = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let called = called.clone();
            let body = move |_| {
                called.fetch_add(1, Ordering::SeqCst);
                pending()
            };
            root.spawn(Task::new("one", ""), body).unwrap();
        }
        idle().await;
        if close {
            let report = root.close(Duration::from_secs(5)).await;
            assert_eq!((report.ended.len(), report.unresponsive.len()), (100, 0));
        } else {
            assert_eq!(root.cancel_all("enough"), 100);
            idle().await;
        }
        let stats = registry.admin().stats();
        assert_eq!((stats.live, stats.queued, stats.undelivered), (0, 0, 100));
        assert_eq!(called.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_queued_outlives_the_registry() {
    let (registry, root) = at_once(1);
    let (_, _release) = held(&root, "runs");
    let (called, dropped) = (Flag::default(), Flag::default());
    let (call, guard) = (called.clone(), dropped.on_drop());
    let body = move |_| {
        drop(guard);
        call.set();
        pending()
    };
    root.spawn(Task::new("waits", ""), body).unwrap();
    drop(registry);
    assert!(dropped.is_set());
    idle().await;
    assert!(!called.is_set());
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_root_without_a_handle_still_runs() {
    let (registry, root) = at_once(1);
    let (_, release) = held(&root, "runs");
    let ran = Flag::default();
    let run = ran.clone();
    let body = move |_| {
        run.set();
        ready(Ok(Output::default()))
    };
    root.spawn(Task::new("waits", ""), body).unwrap();
    drop(root);
    drop(release);
    idle().await;
    assert!(ran.is_set());
    assert_eq!(registry.admin().stats(), Stats::default());
}

#[test]
fn what_waits_when_its_runtime_ends_is_over_and_frees_the_way() {
    bounded("the end of a runtime", || {
        let (registry, root) = at_once(1);
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (first, called) = (runtime(), Flag::default());
        first.block_on(async {
            let id = root.spawn(Task::new("runs", ""), |_| pending()).unwrap();
            support::started(&root, id).await;
            for _ in 0..3_000 {
                let call = called.clone();
                let body = move |_| {
                    call.set();
                    pending()
                };
                root.spawn(Task::new("waits", ""), body).unwrap();
            }
        });
        drop(first);
        let ended: Vec<_> = root.inbox().drain().collect();
        assert_eq!(numbers(&ended), (1..=3_001).collect::<Vec<_>>());
        assert!(ended.iter().all(|finished| finished.status() == Status::Cancelled));
        assert!(!called.is_set());
        assert_eq!(registry.admin().stats().queued, 0);
        runtime().block_on(async {
            root.spawn(Task::new("next", ""), |_| ready(Ok(Output::default()))).unwrap();
            assert!(root.inbox().next().await.unwrap().ack().outcome.is_success());
        });
    });
}
