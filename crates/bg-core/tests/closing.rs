//! A close has one deadline for everything below, and its report is honest (R5).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, pending, ready};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use bg_core::{CloseReport, Outcome, Output, Reason, Registry, Scope, SpawnError, Status, Task};
use bg_core::{TaskContext, TaskId};
use support::{Flag, HANG, drained, ended, numbers, poll, register, started};
use tokio::time::Instant;

use crate::support;

const GRACE: Duration = Duration::from_secs(3);
const HOUR: Duration = Duration::from_secs(3600);

/// Closes a scope; returns the report once it came in time.
async fn close(scope: &Scope, grace: Duration) -> CloseReport {
    let begun = Instant::now();
    let report = scope.close(grace).await;
    // Timers are exact to a millisecond.
    let limit = grace + Duration::from_millis(1_002);
    assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
    report
}

#[track_caller]
fn check(report: &CloseReport, ended: &[TaskId], unresponsive: &[TaskId]) {
    let mut found: Vec<TaskId> = report.ended.iter().map(|finished| finished.id).collect();
    found.sort_unstable();
    assert_eq!(found, ended);
    assert_eq!(report.unresponsive, unresponsive);
}

/// Spawns a task that asks for its token, does not heed it, and has an hour of grace of its own.
async fn stubborn(scope: &Scope, dropped: &Flag) -> TaskId {
    let guard = dropped.on_drop();
    let body = |cx: TaskContext| async move {
        let (_guard, _token) = (guard, cx.token());
        pending().await
    };
    let id = scope.spawn(Task::new("stubborn", "").grace(HOUR), body).unwrap();
    started(scope, id).await;
    id
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_the_whole_subtree_by_its_one_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let done = ended(&root, "done");
    let dropped = [Flag::default(), Flag::default()];
    let (owner, completer) = register(&root, "owner");
    let _token = completer.context().token();
    let below = completer.context().scope();
    let deaf = below.spawn(Task::new("deaf", ""), |_| pending()).unwrap();
    let child = stubborn(&below, &dropped[0]).await;
    let other = stubborn(&root, &dropped[1]).await;
    let report = close(&root, GRACE).await;
    check(&report, &[owner, deaf, child, other], &[]);
    assert!(dropped.iter().all(Flag::is_set));
    for finished in &report.ended {
        let Outcome::Cancelled(cancellation) = &finished.outcome else { panic!("{finished:?}") };
        assert_eq!(cancellation.reason, Reason::Closed);
    }
    let mut inbox = drained(&root);
    inbox.sort_unstable();
    assert_eq!(inbox, [done, owner, other].map(TaskId::number), "outcomes stay in the inbox");
}

#[tokio::test(start_paused = true)]
async fn a_close_of_obedient_tasks_takes_no_time() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let polite = |cx: TaskContext| async move {
        cx.token().cancelled_owned().await;
        Ok(Output::default())
    };
    let id = root.spawn(Task::new("polite", ""), polite).unwrap();
    started(&root, id).await;
    let begun = Instant::now();
    let report = root.close(HOUR).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    check(&report, &[id], &[]);
    assert_eq!(report.ended[0].status(), Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_close_without_grace_and_one_of_nothing_come_back() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = stubborn(&root, &Flag::default()).await;
    check(&close(&root, Duration::ZERO).await, &[id], &[]);
    check(&close(&registry.root_scope(), HOUR).await, &[], &[]);
    check(&close(&registry.root_scope(), Duration::MAX / 4).await, &[], &[]);
    drop(registry);
    check(&close(&root, HOUR).await, &[], &[]);
}

#[tokio::test(start_paused = true)]
async fn a_second_close_may_be_stricter() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = stubborn(&root, &Flag::default()).await;
    let mut slow = Box::pin(root.close(HOUR));
    assert!(poll(&mut slow).is_pending());
    check(&close(&root, GRACE).await, &[id], &[]);
    check(&slow.await, &[id], &[]);
    check(&close(&root, GRACE).await, &[], &[]);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_goes_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let id = stubborn(&root, &dropped).await;
    let mut close = Box::pin(root.close(GRACE));
    assert!(poll(&mut close).is_pending());
    drop(close);
    let waited = root.wait([id]).timeout(GRACE * 2).await.unwrap();
    assert_eq!(numbers(&waited.ended), [id.number()]);
    assert!(dropped.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_closed_scope_takes_no_task() {
    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    close(&root, GRACE).await;
    let body = |_| ready(Ok(Output::default()));
    assert_eq!(root.spawn(Task::new("late", ""), body), Err(SpawnError::Closed));
    assert_eq!(root.register(Task::new("late", "")).unwrap_err(), SpawnError::Closed);
    assert!(other.spawn(Task::new("elsewhere", ""), body).is_ok());

    // A scope that has not had a child yet can be closed too.
    let (_, completer) = register(&other, "owner");
    let scope = completer.context().scope();
    close(&scope, GRACE).await;
    assert_eq!(scope.register(Task::new("late", "")).unwrap_err(), SpawnError::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_close_covers_what_an_ended_owner_left_behind() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let (_, middle) = register(&owner.context().scope(), "middle");
    let dropped = Flag::default();
    let orphan = stubborn(&middle.context().scope(), &dropped).await;
    middle.complete(Ok(Output::default()));
    let scope = owner.context().scope();
    check(&close(&scope, GRACE).await, &[orphan], &[]);
    assert!(dropped.is_set());

    let orphan = {
        let (_, middle) = register(&root, "middle");
        stubborn(&middle.context().scope(), &Flag::default()).await
    };
    owner.complete(Ok(Output::default()));
    check(&close(&root, GRACE).await, &[orphan], &[]);
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_not_unresponsive_though_nothing_is_kept() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let (owner, completer) = register(&root, "owner");
    let (child, _child_completer) = register(&completer.context().scope(), "child");
    check(&close(&root, GRACE).await, &[owner, child], &[]);
}

/// Lets a task close its own scope; returns how the task ended.
async fn closes_its_own_scope(listens: bool) -> Outcome {
    let registry = Registry::new();
    let root = registry.root_scope();
    let scope = root.clone();
    let body = move |cx: TaskContext| async move {
        let _token = listens.then(|| cx.token());
        let report = scope.close(GRACE).await;
        Ok(Output::text(format!("{:?}", report.unresponsive)))
    };
    let id = root.spawn(Task::new("suicidal", ""), body).unwrap();
    let waited = root.wait([id]).timeout(GRACE + Duration::from_secs(1)).await.unwrap();
    assert!(!waited.timed_out);
    waited.ended[0].outcome.clone()
}

#[tokio::test(start_paused = true)]
async fn a_task_that_closes_its_own_scope_is_stopped_by_it() {
    for listens in [true, false] {
        let outcome = closes_its_own_scope(listens).await;
        assert_eq!(outcome.status(), Status::Cancelled, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_may_close_the_scope_of_its_children() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let body = |cx: TaskContext| async move {
        let scope = cx.scope();
        let child = stubborn(&scope, &Flag::default()).await;
        check(&close(&scope, GRACE).await, &[child], &[]);
        Ok(Output::default())
    };
    let id = root.spawn(Task::new("owner", ""), body).unwrap();
    assert_eq!(root.wait([id]).await.unwrap().ended[0].status(), Status::Completed);
}

/// Blocks the thread until it is released, whatever is asked of it.
fn deaf(
    polled: Flag,
    release: mpsc::Receiver<()>,
) -> impl Future<Output = bg_core::TaskResult> + Send {
    std::future::poll_fn(move |_| {
        polled.set();
        release.recv_timeout(HANG).map(|()| Poll::Ready(Ok(Output::text("free")))).unwrap()
    })
}

#[test]
fn work_that_would_not_end_is_named_and_still_counts_when_it_does() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    runtime.block_on(async {
        let (release, released) = mpsc::channel();
        let polled = Flag::default();
        let body = deaf(polled.clone(), released);
        let stuck = root.spawn(Task::new("stuck", ""), |_| body).unwrap();
        while !polled.is_set() {
            tokio::task::yield_now().await;
        }
        let other = root.spawn(Task::new("other", ""), |_| pending()).unwrap();
        let grace = Duration::from_millis(50);
        check(&root.close(grace).await, &[other], &[stuck]);
        check(&root.close(grace).await, &[], &[stuck]);
        assert!(!root.inspect(stuck).unwrap().status.is_terminal());
        release.send(()).unwrap();
        let ended = root.wait([stuck]).timeout(HANG).await.unwrap().ended;
        assert_eq!(ended[0].outcome, Outcome::Completed(Output::text("free")));
    });
}

#[tokio::test(start_paused = true)]
async fn a_closed_inbox_ends_once_everything_is_delivered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = register(&root, "elsewhere");
    close(&root, GRACE).await;
    let claim = root.inbox().next().await.unwrap();
    assert_eq!(claim.id, id);
    // The claim may be given back, so there may be more.
    let waiting = root.clone();
    let next = tokio::spawn(async move { waiting.inbox().next().await.is_none() });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    claim.ack();
    assert!(next.await.unwrap(), "nothing was left");

    let empty = registry.root_scope();
    let mut next = empty.inbox().next();
    assert!(poll(&mut next).is_pending());
    close(&empty, GRACE).await;
    assert!(next.await.is_none());
}
