//! Those above a root: a token of the host's that stops it, and a human who sees everything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{AdminTask, CancelOutcome, Completer, Failure, Output, Reason, Registry, Scope};
use bg_core::{SpawnError, Stats, Status, Task, TaskId};
use support::{Flag, OnDrop, bounded, drained, ended, poll, poll_with, register, started};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support;

const SECOND: Duration = Duration::from_secs(1);

/// The reason for which a task was stopped; `None` if it was not.
fn reason(scope: &Scope, id: TaskId) -> Option<Reason> {
    match &scope.outcome(id).unwrap().outcome {
        bg_core::Outcome::Cancelled(cancellation) => Some(cancellation.reason.clone()),
        _ => None,
    }
}

#[track_caller]
fn check_refuses(scope: &Scope) {
    assert_eq!(scope.register(Task::new("late", "")).unwrap_err(), SpawnError::Closed);
    // Without a runtime there is another reason to refuse it.
    let spawned = scope.spawn(Task::new("late", ""), |_| pending());
    assert!(spawned.is_err(), "a closed root took a task");
}

#[tokio::test(start_paused = true)]
async fn a_token_stops_everything_in_its_root_and_nothing_else() {
    let registry = Registry::new();
    let host = CancellationToken::new();
    let (root, other) = (registry.root_scope_under(&host), registry.root_scope());
    let before = ended(&root, "before");
    let deaf = root.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    let (owner, completer) = register(&root, "owner");
    let (_, child) = register(&completer.context().scope(), "child");
    let (owner_told, child_told) = (completer.context().token(), child.context().token());
    let (bystander, _bystander) = register(&other, "bystander");
    started(&root, deaf).await;
    host.cancel();
    assert!(owner_told.is_cancelled() && child_told.is_cancelled(), "told when it returns");
    check_refuses(&root);
    check_refuses(&completer.context().scope());
    child.complete(Err(Failure::new("stopped")));
    assert_eq!(
        reason(&completer.context().scope(), "task:4".parse().unwrap()),
        Some(Reason::ParentCancelled)
    );
    drop(completer);
    root.wait([deaf, owner]).await.unwrap();
    for id in [deaf, owner] {
        assert_eq!(reason(&root, id), Some(Reason::ParentCancelled));
    }
    assert_eq!(reason(&root, before), None);
    assert_eq!(other.inspect(bystander).unwrap().status, Status::Pending);
    ended(&other, "goes on");
    assert_eq!(drained(&root), [1, 3, 2], "what has ended can still be claimed");
}

#[tokio::test(start_paused = true)]
async fn each_task_below_a_token_has_its_own_grace() {
    let registry = Registry::new();
    let host = CancellationToken::new();
    let root = registry.root_scope_under(&host);
    let ids = [0, 1, 7].map(|grace| {
        let body = |cx: bg_core::TaskContext| async move {
            let _listens = cx.token();
            pending().await
        };
        root.spawn(Task::new("stubborn", "").grace(SECOND * grace), body).unwrap()
    });
    for id in ids {
        started(&root, id).await;
    }
    let begun = Instant::now();
    host.cancel();
    for (id, grace) in ids.into_iter().zip([0, 1, 7]) {
        root.wait([id]).await.unwrap();
        assert_eq!(begun.elapsed(), SECOND * grace);
        assert_eq!(reason(&root, id), Some(Reason::ParentCancelled));
    }
}

#[test]
fn a_token_that_has_fired_before_gives_a_root_that_takes_nothing() {
    let registry = Registry::new();
    let host = CancellationToken::new();
    host.cancel();
    let root = registry.root_scope_under(&host.child_token());
    check_refuses(&root);
    assert!(matches!(poll(&mut root.inbox().next()), Poll::Ready(None)));
    // The registry takes others.
    ended(&registry.root_scope(), "elsewhere");
}

#[test]
fn a_token_may_fire_on_any_thread_without_a_runtime() {
    bounded("a token on another thread", || {
        let registry = Registry::new();
        let host = CancellationToken::new();
        let root = registry.root_scope_under(&host.child_token());
        let (id, completer) = register(&root, "remote");
        let woken = Arc::new(Flag::default());
        let mut next = root.inbox().next();
        assert!(poll_with(&mut next, &Waker::from(woken.clone())).is_pending());
        std::thread::spawn(move || host.cancel()).join().unwrap();
        assert!(woken.is_set());
        assert_eq!(reason(&root, id), Some(Reason::ParentCancelled));
        check_refuses(&root);
        drop(completer);
    });
}

#[tokio::test(start_paused = true)]
async fn a_root_whose_last_handle_is_gone_is_stopped_by_its_token_as_well() {
    let registry = Registry::new();
    let host = CancellationToken::new();
    let root = registry.root_scope_under(&host);
    let (_, completer) = register(&root, "goes on");
    let token = completer.context().token();
    drop(root);
    assert!(!token.is_cancelled());
    host.cancel();
    assert!(token.is_cancelled());
    completer.complete(Ok(Output::default()));
    assert_eq!(registry.admin().stats(), Registry::new().admin().stats());
}

#[test]
fn a_token_outlives_its_root_and_its_registry_and_keeps_neither() {
    let host = CancellationToken::new();
    let registry = Registry::new();
    let root = registry.root_scope_under(&host);
    ended(&root, "over");
    drop(root);
    assert_eq!(registry.admin().stats().roots, 0, "the token keeps the root");
    let root = registry.root_scope_under(&host);
    let (_, completer) = register(&root, "live");
    let token = completer.context().token();
    drop(registry);
    assert!(token.is_cancelled(), "the token keeps the registry");
    host.cancel();
    check_refuses(&root);
}

#[test]
fn a_token_that_fires_while_tasks_are_added_leaves_none_running() {
    bounded("a race with a token", || {
        for _ in 0..100 {
            let registry = Registry::new();
            let host = CancellationToken::new();
            let root = registry.root_scope_under(&host);
            let added = std::thread::scope(|threads| {
                let adds = || {
                    let add = || root.register(Task::new("", "")).ok();
                    std::iter::from_fn(add).take(10_000).collect::<Vec<_>>()
                };
                let adder = threads.spawn(adds);
                host.cancel();
                adder.join().unwrap()
            });
            assert_eq!(registry.admin().stats().live, 0);
            assert!(added.iter().all(|(id, _)| root.outcome(*id).is_ok()));
        }
    });
}

#[test]
fn a_registry_may_be_dropped_by_whom_the_token_wakes() {
    bounded("a registry dropped by a token", || {
        struct Drops(std::sync::Mutex<Option<Registry>>);
        impl std::task::Wake for Drops {
            fn wake(self: Arc<Self>) {
                let registry = self.0.lock().unwrap().take();
                drop(registry);
            }
        }
        let registry = Registry::new();
        let host = CancellationToken::new();
        let root = registry.root_scope_under(&host.child_token());
        let (_, completer) = register(&root, "live");
        let mut next = root.inbox().next();
        let waker = Waker::from(Arc::new(Drops(Some(registry).into())));
        assert!(poll_with(&mut next, &waker).is_pending());
        host.cancel();
        check_refuses(&root);
        drop(completer);
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_queued_task_holds_may_be_of_the_token_that_stops_it() {
    let limits = bg_core::Limits::default().running(1);
    let registry = Registry::builder().limits(limits).build();
    let host = CancellationToken::new();
    let root = registry.root_scope_under(&host.child_token());
    let _runs = root.spawn(Task::new("runs", ""), |_| pending()).unwrap();
    let (held, dropped) = (host.child_token(), Flag::default());
    let guard = OnDrop({
        let (host, dropped) = (host.clone(), dropped.clone());
        move || {
            assert!(host.is_cancelled() && host.child_token().is_cancelled());
            dropped.set();
        }
    });
    let body = move |_| async move {
        let _held = (guard, held);
        pending().await
    };
    root.spawn(Task::new("queued", ""), body).unwrap();
    host.cancel();
    assert!(dropped.is_set());
}

fn keys(seen: &[AdminTask]) -> Vec<(u64, u64, Option<u64>, bool)> {
    let key = |seen: &AdminTask| {
        let owner = seen.owner.map(TaskId::number);
        (seen.root, seen.task.id.number(), owner, seen.foreground)
    };
    seen.iter().map(key).collect()
}

#[test]
fn an_admin_sees_every_task_with_its_root_and_its_owner() {
    let registry = Registry::new();
    let admin = registry.admin();
    let (first, second) = (registry.root_scope(), registry.root_scope());
    let (_, owner) = register(&first, "owner");
    let (_, child) = register(&owner.context().scope(), "child");
    let (_, grandchild) = register(&child.context().scope(), "grandchild");
    let (_, call) = second.register(Task::new("call", "").foreground()).unwrap();
    let undelivered = ended(&second, "undelivered");
    ended(&first, "delivered");
    drained(&first);
    let expected = [
        (1, 1, None, false),
        (1, 2, Some(1), false),
        (1, 3, Some(2), false),
        (2, 1, None, true),
        (2, 2, None, false),
    ];
    let seen = admin.snapshot();
    assert_eq!(keys(&seen), expected);
    assert_eq!((seen[3].task.label(), seen[4].task.status), ("call", Status::Completed));
    let held = second.claim(undelivered).unwrap();
    assert_eq!(keys(&admin.snapshot()), expected, "claimed is not delivered");
    held.ack();
    drop((grandchild, call));
    // A root without a handle is seen as long as something runs in it.
    drop((first, second));
    assert_eq!(keys(&admin.snapshot()), expected[..3]);
    drop(registry);
    assert!(admin.snapshot().is_empty());
    drop((child, owner));
    assert_eq!(admin.stats(), Stats::default());
}

#[tokio::test(start_paused = true)]
async fn an_admin_stops_anything_and_says_what_that_did() {
    let registry = Registry::new();
    let admin = registry.admin();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let (child, inner) = register(&completer.context().scope(), "child");
    let (_token, told) = (completer.context().token(), inner.context().token());
    assert_eq!(admin.cancel(1, child, "by hand"), Some(CancelOutcome::Requested));
    assert_eq!(admin.cancel(1, child, "again"), Some(CancelOutcome::AlreadyRequested));
    assert!(told.is_cancelled());
    drop(inner);
    let over = CancelOutcome::AlreadyEnded(Status::Cancelled);
    assert_eq!(admin.cancel(1, child, "late"), Some(over));
    let by_hand = Some(Reason::Requested("by hand".into()));
    assert_eq!(reason(&completer.context().scope(), child), by_hand);
    let unknown = "task:9".parse().unwrap();
    assert_eq!([admin.cancel(1, unknown, ""), admin.cancel(2, owner, "")], [None, None]);
    assert_eq!(admin.cancel(u64::MAX, owner, ""), None);
    drop(registry);
    assert_eq!(admin.cancel(1, owner, ""), None);
    assert_eq!(admin.cancel_all(""), 0);
}

#[tokio::test(start_paused = true)]
async fn an_admin_stops_everything_and_counts_what_was_not_being_stopped() {
    let registry = Registry::new();
    let admin = registry.admin();
    let roots = [registry.root_scope(), registry.root_scope(), registry.root_scope()];
    let completers: Vec<_> = roots.iter().map(|root| register(root, "owner").1).collect();
    let children: Vec<_> =
        completers.iter().map(|owner| register(&owner.context().scope(), "child").1).collect();
    let all = || completers.iter().chain(&children);
    let tokens: Vec<_> = all().map(|completer| completer.context().token()).collect();
    roots[1].cancel_all("before");
    assert_eq!(admin.cancel_all("the end of the day"), 2);
    assert!(tokens.iter().all(CancellationToken::is_cancelled));
    assert_eq!(admin.cancel_all("once more"), 0);
    // Nothing is closed: what comes later is taken.
    ended(&roots[0], "later");
    let (_, later) = register(&roots[0], "later");
    assert_eq!(admin.cancel_all("again"), 1);
    drop((later, children, completers));
    assert_eq!(admin.stats().live, 0);
}

/// What there is, without the fields that are not asked for.
fn counts(registry: &Registry) -> [u64; 6] {
    let Stats { roots, live, undelivered, undelivered_bytes, kept, superseded, .. } =
        registry.admin().stats();
    [roots as u64, live as u64, undelivered as u64, undelivered_bytes, kept as u64, superseded]
}

#[test]
fn what_an_admin_counts_is_exact_at_every_moment() {
    let registry = Registry::builder().finished_kept(1).build();
    assert_eq!(counts(&registry), [0; 6]);
    let root = registry.root_scope();
    let (id, completer) = register(&root, "a");
    assert_eq!(counts(&registry), [1, 1, 0, 0, 0, 0]);
    completer.context().trace("12345");
    completer.complete(Ok(Output::text("1234567")));
    assert_eq!(counts(&registry), [1, 0, 1, 12, 0, 0]);
    let claim = root.claim(id).unwrap();
    assert_eq!(counts(&registry), [1, 0, 1, 12, 0, 0], "claimed is not delivered");
    drop(claim);
    assert_eq!(counts(&registry), [1, 0, 1, 12, 0, 0]);
    root.claim(id).unwrap().ack();
    assert_eq!(counts(&registry), [1, 0, 0, 0, 1, 0]);
    ended(&root, "newer");
    drained(&root);
    assert_eq!(counts(&registry), [1, 0, 0, 0, 1, 0], "one is kept");
    let (owner, completer) = register(&root, "owner");
    ended(&completer.context().scope(), "child");
    assert_eq!(counts(&registry)[1..3], [1, 1]);
    completer.complete(Ok(Output::default()));
    assert_eq!(counts(&registry), [1, 0, 1, 0, 1, 0], "the child went with its owner");
    root.claim(owner).unwrap().ack();
    drop(root);
    assert_eq!(counts(&registry), [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_too_late_is_counted_and_changes_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let ends: [fn(Completer); 3] = [
        |completer| completer.complete(Ok(Output::text("late"))),
        |completer| completer.complete(Err(Failure::new("late"))),
        drop,
    ];
    for (count, end) in (1..).zip(ends) {
        let (id, completer) = register(&root, "stopped");
        root.cancel(id, "in time").unwrap();
        let before = root.outcome(id).unwrap();
        end(completer);
        assert!(Arc::ptr_eq(&before, &root.outcome(id).unwrap()));
        assert_eq!(registry.admin().stats().superseded, count);
    }
    // A task that is aborted has one end, and so has one that returns.
    let deaf = root.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    let quick = root.spawn(Task::new("", ""), |_| async { Ok(Output::default()) }).unwrap();
    root.wait([quick]).await.unwrap();
    root.cancel(deaf, "stop").unwrap();
    root.wait([deaf]).await.unwrap();
    assert_eq!(registry.admin().stats().superseded, 3);
    assert_eq!(drained(&root).len(), 5);
}
