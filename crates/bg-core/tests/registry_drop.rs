//! Dropping the registry ends everything that runs in it, wherever it is dropped, without blocking.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{
    Claim, ClaimError, Completer, Output, Registry, Scope, SpawnError, Task, TaskContext,
};
use bg_core::{CloseReport, Peek, ResolveError, SendError, TaskError, TaskId};
use support::{
    Flag, HANG, OnDrop, bounded, ended, poll, poll_with, register, spawn_polled, started,
};
use tokio::runtime::{Builder, Runtime};

use crate::support;

/// A registry to be dropped by whoever gets to it first.
type Shelf = Arc<Mutex<Option<Registry>>>;

fn take(shelf: &Shelf) {
    let registry = shelf.lock().unwrap().take();
    drop(registry);
}

/// Work of every sort. Each task holds what could keep the registry alive, and tells on `dropped`
/// when it is gone.
struct Host {
    shelf: Shelf,
    root: Scope,
    tasks: usize,
    told: mpsc::Receiver<()>,
    dropped: mpsc::Sender<()>,
    held: (Claim, TaskId, Completer),
}

impl Host {
    /// Fills a registry from inside a runtime.
    async fn new() -> Self {
        let registry = Registry::new();
        let root = registry.root_scope();
        let done = ended(&root, "done");
        let (live, completer) = register(&root, "remote");
        let held = (root.claim(done).unwrap(), live, completer);
        let (dropped, told) = mpsc::channel();
        let shelf = Arc::new(Mutex::new(Some(registry)));
        let mut host = Self { shelf, root: root.clone(), tasks: 0, told, dropped, held };
        // One scope is that of a task that goes on, another that of a task that has ended, the
        // last that of a root without a handle.
        let (_, owner) = register(&root, "owner");
        let abandoned = host.shelf.lock().unwrap().as_ref().unwrap().root_scope();
        for scope in [root, host.held.2.context().scope(), owner.context().scope(), abandoned] {
            host.spawn_into(&scope).await;
        }
        drop(owner);
        while host.root.inbox().next().await.is_some_and(|claim| claim.ack().label() != "owner") {}
        host
    }

    async fn spawn_into(&mut self, scope: &Scope) {
        for listens in [true, false] {
            let body = self.body(listens);
            spawn_polled(scope, Task::new("", "").grace(HANG * 1_000), body).await;
        }
    }

    fn body(&mut self, listens: bool) -> impl FnOnce(TaskContext) -> Body + Send + 'static {
        self.tasks += 1;
        let (dropped, root) = (self.dropped.clone(), self.root.clone());
        let waits = (root.inbox().next(), root.wait([self.held.1]));
        move |cx| {
            let token = listens.then(|| cx.token());
            Box::pin(async move {
                let _guard = OnDrop(move || dropped.send(()).unwrap_or_default());
                let _held = (cx.scope(), &cx, root, waits, token);
                pending().await
            })
        }
    }

    /// Checks that every task is gone and that every handle says so.
    fn check(self) {
        for left in (1..=self.tasks).rev() {
            assert!(self.told.recv_timeout(HANG / 2).is_ok(), "{left} tasks run on");
        }
        check_closed(&self.root, self.held.1);
        let (claim, _, completer) = self.held;
        let context = completer.context();
        check_closed(&context.scope(), context.id());
        assert!(context.token().is_cancelled());
        context.step(1);
        context.trace("nobody reads it");
        assert_eq!(context.log().total(), 0);
        completer.complete(Ok(Output::default()));
        assert_eq!(claim.ack().label(), "done");
    }
}

type Body = std::pin::Pin<Box<dyn Future<Output = bg_core::TaskResult> + Send>>;

#[track_caller]
fn check_closed(scope: &Scope, id: TaskId) {
    let closed = |error: ClaimError| matches!(error, ClaimError::Task(TaskError::Closed));
    assert_eq!(scope.spawn(Task::new("", ""), |_| pending()), Err(SpawnError::Closed));
    assert_eq!(scope.register(Task::new("", "")).unwrap_err(), SpawnError::Closed);
    assert!(scope.claim(id).is_err_and(closed));
    assert!(scope.outcome(id).is_err_and(closed));
    assert_eq!(scope.cancel(id, ""), Err(TaskError::Closed));
    assert_eq!(scope.cancel_all(""), 0);
    assert_eq!(scope.inspect(id).unwrap_err(), TaskError::Closed);
    assert_eq!(scope.log(id).unwrap_err(), TaskError::Closed);
    assert_eq!(scope.resolve("1"), Err(ResolveError::Task(TaskError::Closed)));
    assert!(scope.snapshot().is_empty() && scope.history().is_empty());
    assert!(scope.inbox().try_next().is_none() && scope.inbox().drain().next().is_none());
    assert!(matches!(poll(&mut scope.inbox().next()), Poll::Ready(None)));
    assert!(matches!(poll(&mut scope.wait([id])), Poll::Ready(Err(TaskError::Closed))));
    assert_eq!(scope.watch(id).unwrap_err(), TaskError::Closed);
    assert_eq!(scope.peek(id, Peek::default()), Err(TaskError::Closed));
    assert_eq!(scope.send(id, "late"), Err(SendError::Task(TaskError::Closed)));
    assert_eq!(scope.foreground(id).unwrap_err(), TaskError::Closed);
    assert_eq!(scope.detach(id), Err(TaskError::Closed));
    assert!(scope.page(0, 9).is_empty() && scope.inbox().take(9).is_empty());
    assert!(scope.inbox().is_empty());
    assert_eq!(poll(&mut scope.inbox().ready()), Poll::Ready(false));
    let Poll::Ready(report) = poll(&mut Box::pin(scope.close(HANG))) else { panic!("not closed") };
    let CloseReport { ended, unresponsive, .. } = report;
    assert!(ended.is_empty() && unresponsive.is_empty());
}

/// Drops the registry in a place on both sorts of runtime, then goes on until all tasks are gone.
fn dropped_in(place: &'static str, drop_it: fn(&Host, &mut Option<Runtime>)) {
    let current = || Builder::new_current_thread().enable_all().build().unwrap();
    let multi = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for runtime in [current, multi] as [fn() -> Runtime; 2] {
        bounded(place, move || {
            let runtime = runtime();
            let host = runtime.block_on(Host::new());
            let mut runtime = Some(runtime);
            drop_it(&host, &mut runtime);
            assert!(host.shelf.lock().unwrap().is_none(), "nobody dropped it");
            // A current-thread runtime drops what was aborted only while it runs.
            let (over, end) = tokio::sync::oneshot::channel::<()>();
            let driver = std::thread::spawn(move || {
                runtime.map(|runtime| runtime.block_on(async { drop(end.await) }))
            });
            host.check();
            drop(over);
            driver.join().unwrap();
        });
    }
}

fn block_on<T>(runtime: Option<&Runtime>, future: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(HANG, future).await.unwrap() };
    runtime.unwrap().block_on(limited)
}

#[test]
fn a_registry_dropped_inside_a_task_of_its_own_ends_everything() {
    dropped_in("inside a task of its own", |host, runtime| {
        let shelf = host.shelf.clone();
        let body = |_| async move {
            take(&shelf);
            tokio::task::yield_now().await;
            panic!("a task that goes on after it was aborted")
        };
        let _entered = runtime.as_ref().unwrap().enter();
        let events = host.shelf.lock().unwrap().as_ref().unwrap().events();
        host.root.spawn(Task::new("inside", ""), body).unwrap();
        block_on(runtime.as_ref(), async {
            let mut events = events;
            while events.next().await.is_some() {}
        });
    });
}

#[test]
fn a_registry_dropped_on_a_foreign_thread_ends_everything() {
    dropped_in("on a foreign thread", |host, _| {
        let shelf = host.shelf.clone();
        std::thread::spawn(move || take(&shelf)).join().unwrap();
    });
}

#[test]
fn a_registry_dropped_after_the_runtime_ends_everything() {
    dropped_in("after the runtime", |host, runtime| {
        drop(runtime.take());
        take(&host.shelf);
    });
}

#[test]
fn a_registry_dropped_by_the_end_of_the_runtime_ends_everything() {
    dropped_in("by the end of the runtime", |host, runtime| {
        // It is not a task of the registry's, and it is never polled.
        let shelf = host.shelf.clone();
        let guard = OnDrop(move || take(&shelf));
        runtime.as_ref().unwrap().spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        drop(runtime.take());
    });
}

#[test]
fn a_registry_dropped_during_block_on_ends_everything() {
    dropped_in("during block_on", |host, runtime| {
        block_on(runtime.as_ref(), async { take(&host.shelf) });
    });
}

#[test]
fn a_registry_dropped_in_the_destructor_of_a_task_ends_everything() {
    dropped_in("in the destructor of a task", |host, runtime| {
        let shelf = host.shelf.clone();
        let body = |_| {
            let guard = OnDrop(move || take(&shelf));
            async move {
                let _guard = guard;
                pending().await
            }
        };
        block_on(runtime.as_ref(), async {
            let id = spawn_polled(&host.root, Task::new("last", ""), body).await;
            let waiting = host.root.wait([id]);
            host.root.cancel(id, "stop").unwrap();
            assert_eq!(waiting.await.unwrap_err(), TaskError::Closed);
        });
    });
}

/// Drops the registry when it is woken. Whoever wakes is in the middle of a call.
struct DropsIt {
    host: (Shelf, Scope, TaskId),
    answered: Flag,
}

impl Wake for DropsIt {
    fn wake(self: Arc<Self>) {
        let (registry, root, id) = &self.host;
        take(registry);
        check_closed(root, *id);
        self.answered.set();
    }
}

#[test]
fn a_registry_dropped_in_a_waker_ends_everything() {
    dropped_in("in a waker", |host, _| {
        let answered = Flag::default();
        let (shelf, root) = (host.shelf.clone(), host.root.clone());
        let drops = DropsIt { host: (shelf, root, host.held.1), answered: answered.clone() };
        let mut next = host.root.inbox().next();
        assert!(poll_with(&mut next, &Waker::from(Arc::new(drops))).is_pending());
        ended(&host.root, "wakes");
        assert!(answered.is_set(), "a call did not answer that it is closed");
    });
}

#[test]
fn a_registry_dropped_while_it_waits_for_the_end_of_a_grace_ends_everything() {
    dropped_in("while it waits for the end of a grace", |host, runtime| {
        let _entered = runtime.as_ref().unwrap().enter();
        assert!(host.root.cancel_all("an hour of grace begins") > 0);
        take(&host.shelf);
    });
}

#[tokio::test(start_paused = true)]
async fn a_task_that_owns_its_registry_runs_on_and_ends_with_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let dropped = Flag::default();
    let guard = dropped.on_drop();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let body = |_| async move {
        let _held = (guard, registry);
        released.await?;
        Ok(Output::default())
    };
    let id = root.spawn(Task::new("owner of all", ""), body).unwrap();
    started(&root, id).await;
    release.send(()).unwrap();
    let end = root.wait([id]).timeout(Duration::from_secs(1)).await;
    assert_eq!(end.unwrap_err(), TaskError::Closed);
    assert!(dropped.is_set());
}
