//! Every task reaches one outcome, whatever it does (R1), and the outcome is the truth (R3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::any::Any;
use std::future::{Ready, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::task::Poll;

use bg_core::{Outcome, Output, PanicReport, Reason, Registry, Scope, Status, Task, TaskContext};
use bg_core::{TaskId, TaskResult};
use support::{Flag, OnDrop, drained, register, spawn_polled, started};

use crate::support;

/// Claims the outcome of a task, after checking that it is the one thing in the inbox and that the
/// status says the same.
async fn one_outcome(root: &Scope, id: TaskId) -> Outcome {
    let claim = root.inbox().next().await.expect("the scope is open");
    assert_eq!(claim.id, id);
    assert_eq!(root.inspect(id).unwrap().status, claim.status());
    let outcome = claim.ack().outcome.clone();
    assert_eq!(drained(root), [0; 0], "a second outcome");
    outcome
}

/// Runs a body between two neighbours that must not notice.
async fn outcome_of<F, Fut>(body: F) -> Outcome
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let before = other.spawn(Task::new("before", ""), |_| async { Ok(Output::default()) });
    let id = root.spawn(Task::new("body", ""), body).unwrap();
    let after = other.spawn(Task::new("after", ""), |_| async { Ok(Output::default()) });
    let outcome = one_outcome(&root, id).await;
    let waited = other.wait([before.unwrap(), after.unwrap()]).await.unwrap();
    assert!(waited.ended.iter().all(|finished| finished.status() == Status::Completed));
    outcome
}

/// Aborts a body after its first poll.
async fn outcome_of_aborted<F, Fut>(body: F) -> Outcome
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = spawn_polled(&root, Task::new("body", ""), body).await;
    root.cancel(id, "stop").unwrap();
    one_outcome(&root, id).await
}

#[track_caller]
fn check_panicked(outcome: &Outcome, message: &str) {
    match outcome {
        Outcome::Panicked(report) => assert_eq!(report.message, message),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_cancelled(outcome: &Outcome, reason: &Reason, error: Option<&str>) {
    let Outcome::Cancelled(cancellation) = outcome else { panic!("{outcome:?}") };
    assert_eq!(&cancellation.reason, reason);
    assert_eq!(cancellation.error.as_ref().map(ToString::to_string).as_deref(), error);
}

fn requested(words: &str) -> Reason {
    Reason::Requested(words.into())
}

#[derive(Debug, thiserror::Error)]
enum Deep {
    #[error("cannot build")]
    Top(#[source] Box<Deep>),
    #[error("disk full")]
    Bottom,
}

impl Deep {
    fn nested(depth: usize) -> Self {
        (0..depth).fold(Self::Bottom, |inner, _| Self::Top(Box::new(inner)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_returned_output_is_completed() {
    let outcome = outcome_of(|_| async { Ok(Output::text("42")) }).await;
    assert_eq!(outcome, Outcome::Completed(Output::text("42")));
}

#[tokio::test(start_paused = true)]
async fn a_returned_error_is_failed_and_keeps_its_causes() {
    let outcome = outcome_of(|_| async { Err(Deep::nested(2))? }).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.message, "cannot build");
    assert_eq!(failure.causes, ["cannot build", "disk full"]);

    let outcome = outcome_of(|_| async { Err(Deep::nested(100))? }).await;
    assert_eq!(outcome.failure().unwrap().causes.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_panicked_wherever_it_happens() {
    panic_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_panicked_on_any_thread() {
    panic_everywhere().await;
}

async fn panic_everywhere() {
    let in_closure = outcome_of(|_| -> Ready<TaskResult> { panic!("in the closure") });
    check_panicked(&in_closure.await, "in the closure");

    let first_poll = outcome_of(|_| async { panic!("in the first poll") });
    check_panicked(&first_poll.await, "in the first poll");

    let between = outcome_of(|_| async {
        tokio::task::yield_now().await;
        panic!("between awaits")
    });
    check_panicked(&between.await, "between awaits");

    let after_ok = outcome_of(|_| {
        let guard = OnDrop(|| panic!("after the result"));
        poll_fn(move |_| {
            let _held_by_the_future = &guard;
            Poll::Ready(Ok(Output::default()))
        })
    });
    check_panicked(&after_ok.await, "after the result");

    let on_abort = outcome_of_aborted(|_| async {
        let _guard = OnDrop(|| panic!("on abort"));
        pending().await
    });
    check_panicked(&on_abort.await, "on abort");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_destructor_of_a_closure_that_never_ran_is_panicked() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let guard = OnDrop(|| panic!("never ran"));
    let body = move |_| {
        drop(guard);
        async { Ok(Output::default()) }
    };
    let id = root.spawn(Task::new("body", ""), body).unwrap();
    root.cancel(id, "stop").unwrap();
    check_panicked(&one_outcome(&root, id).await, "never ran");
}

/// Panics when it is dropped, with another one of these as long as there are any.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_payload_of_a_panic_is_survived() {
    async fn thrown(payload: impl Any + Send) -> Outcome {
        outcome_of(|_| async { panic_any(payload) }).await
    }
    check_panicked(&thrown("static text").await, "static text");
    check_panicked(&thrown("a string".to_owned()).await, "a string");
    for bombs in 0..4 {
        check_panicked(&thrown(Bomb(bombs)).await, "a panic whose payload is not text");
    }

    let long = "\u{e9}".repeat(PanicReport::MAX_MESSAGE_BYTES);
    let Outcome::Panicked(report) = thrown(long).await else { panic!("not panicked") };
    assert_eq!(report.message.len(), PanicReport::MAX_MESSAGE_BYTES);
}

#[test]
fn the_end_of_the_runtime_is_an_outcome() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dropped = Flag::default();
    let (polled, unpolled) = runtime.block_on(async {
        let guard = dropped.on_drop();
        let body = |_| async move {
            let _guard = guard;
            pending().await
        };
        let polled = root.spawn(Task::new("polled", ""), body).unwrap();
        started(&root, polled).await;
        let unpolled = root.spawn(Task::new("unpolled", ""), |_| pending()).unwrap();
        (polled, unpolled)
    });
    let handle = runtime.handle().clone();
    drop(runtime);
    assert!(dropped.is_set());
    for id in [polled, unpolled] {
        check_cancelled(&root.claim(id).unwrap().ack().outcome, &Reason::Aborted, None);
    }

    // A runtime that has ended takes no task: that is an outcome too.
    let _entered = handle.enter();
    let late = root.spawn(Task::new("late", ""), |_| pending()).unwrap();
    check_cancelled(&root.claim(late).unwrap().ack().outcome, &Reason::Aborted, None);
}

#[test]
fn the_unwind_of_somebody_else_is_not_taken_for_a_panic_of_the_task() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { root.spawn(Task::new("bystander", ""), |_| pending()).unwrap() });
        let _dropped_in_the_unwind = runtime;
        panic!("somebody else");
    }));
    assert!(unwound.is_err());
    let outcome = root.inbox().drain().next().unwrap().outcome.clone();
    check_cancelled(&outcome, &Reason::Aborted, None);
}

#[test]
fn a_dropped_completer_is_an_outcome() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "remote");
    assert_eq!(root.inspect(id).unwrap().status, Status::Pending);
    drop(completer);
    check_cancelled(&root.claim(id).unwrap().ack().outcome, &Reason::CompleterDropped, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_task_returns_after_its_token_fired_is_kept() {
    let stopped = outcome_of_aborted(|cx| async move {
        cx.token().cancelled_owned().await;
        Ok(Output::text("in time"))
    });
    assert_eq!(stopped.await, Outcome::Completed(Output::text("in time")));

    let failed = outcome_of_aborted(|cx| async move {
        cx.token().cancelled_owned().await;
        Err(Deep::Bottom)?
    });
    check_cancelled(&failed.await, &requested("stop"), Some("disk full"));

    let panicked = outcome_of_aborted(|cx| async move {
        cx.token().cancelled_owned().await;
        panic!("while stopping")
    });
    check_panicked(&panicked.await, "while stopping");

    let ignored = outcome_of_aborted(|cx| async move {
        let _token = cx.token();
        pending().await
    });
    check_cancelled(&ignored.await, &requested("stop"), None);
}
