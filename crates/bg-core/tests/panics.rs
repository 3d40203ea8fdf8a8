//! A panic is an outcome of the task in which it happens, wherever that is and whatever runs it,
//! and nobody else notices.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, Ready, pending, poll_fn};
use std::panic::{catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{EventKind, Outcome, Output, PanicReport, Registry, Scope, Status, Task};
use bg_core::{TaskContext, TaskId, TaskResult};
use support::{OnDrop, bounded, poll, poll_with, register, spawn_polled};
use tokio::runtime::{Builder, Runtime};

mod support;

type Body = Pin<Box<dyn Future<Output = TaskResult> + Send>>;

/// The message of a panic, or `None` for a task that must not notice.
type Expected = Option<&'static str>;

const NOT_TEXT: &str = "a panic whose payload is not text";

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A payload whose destructor panics with another one, so many times.
struct Payload(u32);

impl Drop for Payload {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Payload(self.0 - 1));
        }
    }
}

/// Spawns a body and lets it start.
async fn ends(root: &Scope, body: impl FnOnce(TaskContext) -> Body + Send + 'static) -> TaskId {
    spawn_polled(root, Task::new("site", ""), body).await
}

fn in_the_closure(_: TaskContext) -> Body {
    panic!("in the closure")
}

fn in_the_first_poll(_: TaskContext) -> Body {
    Box::pin(async { panic!("in the first poll") })
}

fn between_awaits(_: TaskContext) -> Body {
    Box::pin(async {
        tokio::task::yield_now().await;
        panic!("between awaits")
    })
}

fn after_the_token(cx: TaskContext) -> Body {
    Box::pin(async move {
        cx.token().cancelled().await;
        panic!("after the token")
    })
}

fn in_a_destructor_at_the_end(_: TaskContext) -> Body {
    let bomb = Bomb("at the end");
    Box::pin(poll_fn(move |_| {
        let _held = &bomb;
        Poll::Ready(Ok(Output::text("had returned")))
    }))
}

fn in_a_destructor_on_abort(_: TaskContext) -> Body {
    Box::pin(async {
        let _bomb = Bomb("on abort");
        pending().await
    })
}

fn with_a_payload_that_is_not_text(_: TaskContext) -> Body {
    Box::pin(async { panic_any(42_u128) })
}

fn with_a_payload_that_panics(_: TaskContext) -> Body {
    Box::pin(async { panic_any(Payload(3)) })
}

fn with_a_panic_inside_the_unwind(_: TaskContext) -> Body {
    Box::pin(async {
        let _inner = OnDrop(|| {
            assert!(catch_unwind(|| panic!("inside the unwind")).is_err());
        });
        panic!("around it")
    })
}

fn in_a_child(cx: TaskContext) -> Body {
    Box::pin(async move {
        let child = cx.scope().spawn(Task::new("child", ""), in_the_first_poll)?;
        let ended = cx.wait([child]).await.unwrap().ended;
        assert_eq!(ended[0].status(), Status::Panicked);
        check_panicked(&cx.scope().claim(child)?.ack().outcome, "in the first poll");
        Ok(Output::default())
    })
}

/// Panics when it is woken.
struct Wakes;

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        panic!("a waker")
    }
}

/// Panics when its last clone is dropped.
struct Drops(#[expect(dead_code, reason = "held for its drop")] Bomb);

impl Wake for Drops {
    fn wake(self: Arc<Self>) {}
}

/// Ends while everything that wakes somebody wakes a waker that panics.
fn in_a_waker(cx: TaskContext) -> Body {
    Box::pin(async move {
        let scope = cx.scope();
        let wakes = || Waker::from(Arc::new(Wakes));
        let drops = || Waker::from(Arc::new(Drops(Bomb("the destructor of a waker"))));
        for waker in [&wakes as &(dyn Fn() -> Waker + Sync), &drops] {
            let child = scope.spawn(Task::new("child", ""), between_awaits)?;
            let mut next = scope.inbox().next();
            let mut wait = scope.wait([child]);
            let mut watch = scope.watch(child)?;
            let mut changed = Box::pin(watch.changed());
            assert!(poll_new(&mut next, waker).is_pending());
            assert!(poll_new(&mut wait, waker).is_pending());
            assert!(poll_new(&mut changed, waker).is_pending());
            scope.wait([child]).await?;
            assert!(poll(&mut wait).is_ready());
            assert!(poll(&mut changed).is_ready());
            let Poll::Ready(Some(claim)) = poll(&mut next) else { panic!("nothing came") };
            assert_eq!(claim.ack().id, child);
        }
        Ok(Output::default())
    })
}

/// Polls with a waker of which only what was kept is left then.
fn poll_new<F: Future + Unpin>(future: &mut F, waker: &dyn Fn() -> Waker) -> Poll<F::Output> {
    poll_with(future, &waker())
}

#[track_caller]
fn check_panicked(outcome: &Outcome, message: &str) {
    match outcome {
        Outcome::Panicked(report) => assert_eq!(report.message, message),
        other => panic!("{other:?}"),
    }
}

type Site = (&'static str, fn(TaskContext) -> Body, Expected, bool);

/// Where a task panics, what its outcome says, and whether it must be stopped to get there. The
/// closure that never ran is beside the table: it has no body.
const SITES: [Site; 11] = [
    ("the closure", in_the_closure, Some("in the closure"), false),
    ("the first poll", in_the_first_poll, Some("in the first poll"), false),
    ("between awaits", between_awaits, Some("between awaits"), false),
    ("after the token", after_the_token, Some("after the token"), true),
    ("a destructor at the end", in_a_destructor_at_the_end, Some("at the end"), false),
    ("a destructor on abort", in_a_destructor_on_abort, Some("on abort"), true),
    ("a payload that is not text", with_a_payload_that_is_not_text, Some(NOT_TEXT), false),
    ("a payload that panics", with_a_payload_that_panics, Some(NOT_TEXT), false),
    ("inside the unwind", with_a_panic_inside_the_unwind, Some("around it"), false),
    ("a child", in_a_child, None, false),
    ("a waker", in_a_waker, None, false),
];

fn never_ran(root: &Scope) -> TaskId {
    let bomb = Bomb("never ran");
    let body = move |_| -> Ready<TaskResult> {
        let _held = bomb;
        unreachable!("it was stopped before")
    };
    let id = root.spawn(Task::new("site", ""), body).unwrap();
    root.cancel(id, "stop").unwrap();
    id
}

/// Runs a site among others, and checks all that is known of it afterwards.
async fn check(site: Option<&Site>) {
    let limits = bg_core::Limits::default().running(2);
    let registry = Registry::builder().limits(limits).build();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let mut events = registry.events();
    let (silent, neighbour) = register(&root, "neighbour");
    let bystander = other.spawn(Task::new("bystander", ""), between_awaits_and_well).unwrap();
    let (id, expected) = if let Some(&(_, body, expected, stopped)) = site {
        let id = ends(&root, body).await;
        if stopped {
            root.cancel(id, "stop").unwrap();
        }
        (id, expected)
    } else {
        // Both slots are taken: it waits for one, and is stopped in the queue.
        let busy = [0, 1].map(|_| root.spawn(Task::new("busy", ""), |_| pending()).unwrap());
        let id = never_ran(&root);
        for id in busy {
            root.cancel(id, "stop").unwrap();
        }
        root.wait(busy).await.unwrap();
        (id, Some("never ran"))
    };
    let waited = root.wait([id]).timeout(Duration::from_secs(4)).await.unwrap();
    assert!(!waited.timed_out, "it is stuck: {:?}", waited.pending);
    let finished = root.claim(id).unwrap().ack();
    assert_eq!(root.inspect(id).unwrap().status, finished.status());
    match expected {
        Some(message) => check_panicked(&finished.outcome, message),
        None => assert_eq!(finished.outcome, Outcome::Completed(Output::default())),
    }
    // The others go on, the slot is free, and the end was told once.
    assert_eq!(root.inspect(silent).unwrap().status, Status::Pending);
    let ended = other.wait([bystander]).await.unwrap().ended;
    assert_eq!(ended[0].status(), Status::Completed);
    let after =
        [0, 1, 2].map(|_| root.spawn(Task::new("after", ""), between_awaits_and_well).unwrap());
    let waited = root.wait(after).timeout(Duration::from_secs(4)).await.unwrap();
    assert!(!waited.timed_out, "a slot was lost");
    neighbour.complete(Ok(Output::default()));
    let mut told = 0;
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        let event = event.unwrap();
        let end = matches!(event.what, EventKind::Status(status) if status.is_terminal());
        told += usize::from(end && event.root == 1 && event.task == id);
    }
    assert_eq!(told, 1);
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.queued, stats.superseded), (0, 0, 0));
}

fn between_awaits_and_well(_: TaskContext) -> Body {
    Box::pin(async {
        tokio::task::yield_now().await;
        Ok(Output::default())
    })
}

fn check_on(runtime: fn() -> Runtime) {
    for site in SITES.iter().map(Some).chain([None]) {
        let name = site.map_or("a closure that never ran", |site| site.0);
        bounded(name, move || {
            runtime().block_on(async { tokio::spawn(check(site)).await.unwrap() });
        });
    }
}

#[test]
fn a_panic_is_an_outcome_on_a_paused_clock() {
    check_on(|| Builder::new_current_thread().enable_all().start_paused(true).build().unwrap());
}

#[test]
fn a_panic_is_an_outcome_on_one_thread() {
    check_on(|| Builder::new_current_thread().enable_all().build().unwrap());
}

#[test]
fn a_panic_is_an_outcome_on_many_threads() {
    check_on(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_a_task_had_returned_is_kept_when_its_destructor_panics() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = ends(&root, in_a_destructor_at_the_end).await;
    let finished = root.claim(id).unwrap().ack();
    assert_eq!(finished.outcome.output(), Some(&Output::text("had returned")));
    assert_eq!(finished.outcome.reason().unwrap(), "panicked: at the end");
}

#[tokio::test(start_paused = true)]
async fn a_report_says_where_it_happened_once_the_host_asks_for_it() {
    async fn location(body: fn(TaskContext) -> Body) -> Option<String> {
        let registry = Registry::new();
        let root = registry.root_scope();
        let id = root.spawn(Task::new("site", ""), body).unwrap();
        root.wait([id]).await.unwrap();
        match root.claim(id).unwrap().ack().outcome.clone() {
            Outcome::Panicked(report) => report.location,
            other => panic!("{other:?}"),
        }
    }
    fn here(_: TaskContext) -> Body {
        Box::pin(async { panic!("{}", line!()) })
    }
    const LINE: u32 = line!() - 2;

    PanicReport::capture_locations();
    // Once more does no harm, whoever does it.
    PanicReport::capture_locations();
    let found = location(here).await.unwrap();
    let expected = format!("{}:{LINE}:", file!());
    assert!(found.starts_with(&expected), "{found} is not {expected}");
    let column = &found[expected.len()..];
    assert!(column.parse::<u32>().is_ok(), "{found}");
    // Without a panic in between there is nothing to say a second time.
    let payload: Box<dyn std::any::Any + Send> = Box::new("made by hand");
    assert_eq!(PanicReport::of(payload).location, None);
}
