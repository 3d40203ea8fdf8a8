//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{Completer, Finished, Output, Scope, Status, Task, TaskContext, TaskId, TaskResult};

/// Real time after which a test that hangs is given up.
pub(crate) const HANG: Duration = Duration::from_secs(5);

/// Registers a task, to be ended through its completer.
#[track_caller]
pub(crate) fn register(scope: &Scope, label: &str) -> (TaskId, Completer) {
    scope.register(Task::new(label.to_owned(), "")).unwrap()
}

/// Registers a task and completes it at once.
#[track_caller]
pub(crate) fn ended(scope: &Scope, label: &str) -> TaskId {
    let (id, completer) = register(scope, label);
    completer.complete(Ok(Output::text(label)));
    id
}

/// Registers and completes so many tasks.
#[track_caller]
pub(crate) fn ended_many(scope: &Scope, count: usize) -> Vec<TaskId> {
    (0..count).map(|n| ended(scope, &n.to_string())).collect()
}

/// The numbers of what is in the inbox, which is emptied; nothing may come twice.
#[track_caller]
pub(crate) fn drained(scope: &Scope) -> Vec<u64> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for finished in scope.inbox().drain() {
        assert!(seen.insert(finished.id), "{} was delivered twice", finished.id);
        found.push(finished.id.number());
    }
    found
}

pub(crate) fn numbers(finished: &[Arc<Finished>]) -> Vec<u64> {
    finished.iter().map(|finished| finished.id.number()).collect()
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Lets a spawned task have its first poll.
pub(crate) async fn started(scope: &Scope, id: TaskId) {
    while scope.inspect(id).unwrap().status == Status::Pending {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
}

/// Spawns a task and lets it have its first poll, on any runtime.
pub(crate) async fn spawn_polled<F, Fut>(scope: &Scope, task: Task, body: F) -> TaskId
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let polled = Flag::default();
    let id = scope.spawn(task, telling(&polled, body)).unwrap();
    while !polled.is_set() {
        tokio::task::yield_now().await;
    }
    id
}

/// A body that sets a flag once it has been polled, however that went.
fn telling<F, Fut>(
    polled: &Flag,
    body: F,
) -> impl FnOnce(TaskContext) -> Pin<Box<dyn Future<Output = TaskResult> + Send>> + Send + 'static
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    let polled = polled.clone();
    move |cx| {
        let in_closure = polled.on_drop();
        let mut running = Box::pin(body(cx));
        // Told by the poll that follows.
        std::mem::forget(in_closure);
        Box::pin(poll_fn(move |cx| {
            let _told = polled.on_drop();
            running.as_mut().poll(cx)
        }))
    }
}

/// Spawns a task that runs until the other half is used or dropped.
#[track_caller]
pub(crate) fn held(
    scope: &Scope,
    label: &'static str,
) -> (TaskId, tokio::sync::oneshot::Sender<()>) {
    let (release, released) = tokio::sync::oneshot::channel();
    let body = |_| async move {
        let _ = released.await;
        Ok(Output::default())
    };
    (scope.spawn(Task::new(label, ""), body).unwrap(), release)
}

/// Lets everybody go on as far as they can: a paused clock moves when nobody can run.
pub(crate) async fn idle() {
    elapse(Duration::from_millis(1)).await;
}

/// Lets so much virtual time pass. Everything that can run runs before.
pub(crate) async fn elapse(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// Set when what holds the other half is dropped.
#[derive(Clone, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Sets the flag when it is dropped.
    pub(crate) fn on_drop(&self) -> OnDrop<impl FnMut() + Send + use<>> {
        let flag = self.clone();
        OnDrop(move || flag.set())
    }
}

/// As a waker: set when it is woken.
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.set();
    }
}

/// Calls back when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs a test body on a thread of its own and fails when it hangs or panics.
#[track_caller]
pub(crate) fn bounded<T: Send + 'static>(
    what: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    let thread = std::thread::spawn(move || done.send(body()));
    match result.recv_timeout(HANG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => panic!("{what} ended without a result"),
        },
    }
}
