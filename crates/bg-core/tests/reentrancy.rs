//! Nothing of a user's runs under our lock: every call may be made from inside all of it (R4).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{Output, Registry, Scope, Task, TaskContext, TaskResult};
use support::{Flag, OnDrop, bounded, ended, poll, poll_with, register, started};
use tokio::runtime::{Builder, Runtime};

mod support;

/// Makes every call there is, from wherever it is called.
fn call_everything(registry: &Registry, root: &Scope) {
    let body = |_| ready(Ok(Output::default()));
    let spawned = root.spawn(Task::new("spawned", ""), body).unwrap();
    let (id, completer) = register(root, "registered");
    let context = completer.context();
    context.step(1);
    context.trace("line");
    context.log().write(bg_core::Stream::Stdout, b"bytes");
    let mut wait = root.wait([id]).timeout(Duration::from_secs(1));
    let _ = poll(&mut wait);
    let _ = poll(&mut root.inbox().next());
    let mut events = registry.events();
    let _ = poll(&mut Box::pin(events.next()));
    let _ = (root.snapshot(), root.inspect(id), root.log(id), root.resolve("1"), root.history());
    let child = context.scope();
    completer.bind(tokio::spawn(pending::<()>()).abort_handle());
    let (_, inner) = register(&child, "child");
    completer.complete(Ok(Output::default()));
    drop(inner);
    let _ = (root.outcome(id), poll(&mut wait));
    drop(root.claim(id));
    let _ = root.claim(id).map(bg_core::Claim::ack);
    support::drained(root);
    let (stopped, completer) = register(root, "stopped");
    let _token = completer.context().token();
    root.cancel(stopped, "stop").unwrap();
    root.cancel(spawned, "stop").unwrap();
    root.cancel_all("all");
    let other = registry.root_scope();
    let _completers = [register(&other, "other"), register(&other, "other")];
    let _ = poll(&mut Box::pin(other.close(Duration::from_secs(1))));
    drop((completer, other, events));
}

struct World {
    registry: Arc<Registry>,
    root: Scope,
    called: Flag,
    runtime: Arc<Runtime>,
}

impl World {
    /// Makes every call once, the first time it is called.
    fn probe(&self) -> impl FnMut() + Send + Sync + Clone + use<> {
        let (registry, root, called) =
            (self.registry.clone(), self.root.clone(), self.called.clone());
        let (runtime, first) = (self.runtime.handle().clone(), Arc::new(Mutex::new(true)));
        move || {
            if std::mem::take(&mut *first.lock().unwrap()) {
                let _entered = runtime.enter();
                call_everything(&registry, &root);
                called.set();
            }
        }
    }

    /// A waker that makes every call when it is woken.
    fn calls_on_wake(&self) -> Waker {
        Waker::from(Arc::new(OnWake(Mutex::new(Box::new(self.probe())))))
    }

    /// A waker that makes every call when its last clone is dropped.
    fn calls_on_drop(&self) -> Waker {
        Waker::from(Arc::new(Silent(OnDrop(self.probe()))))
    }

    fn spawn<F, Fut>(&self, body: F) -> bg_core::TaskId
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        self.root.spawn(Task::new("outer", ""), body).unwrap()
    }

    fn run(&self, id: bg_core::TaskId) {
        self.runtime.block_on(self.root.wait([id])).unwrap();
    }
}

struct OnWake(Mutex<Box<dyn FnMut() + Send>>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap()();
    }
}

struct Silent<F: FnMut()>(OnDrop<F>);

impl<F: FnMut() + Send + Sync> Wake for Silent<F> {
    fn wake(self: Arc<Self>) {}
}

#[track_caller]
fn check(place: &'static str, run: impl FnOnce(&World) + Send + 'static) {
    bounded(place, move || {
        let registry = Arc::new(Registry::builder().finished_kept(2).build());
        let root = registry.root_scope();
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
        let world = World { registry, root, called: Flag::default(), runtime };
        let runtime = world.runtime.clone();
        let entered = runtime.enter();
        run(&world);
        drop(entered);
        assert!(world.called.is_set(), "{place}: never called");
    });
}

#[test]
fn every_call_may_be_made_from_a_body() {
    check("the closure", |world| {
        let mut probe = world.probe();
        world.run(world.spawn(move |_| {
            probe();
            ready(Ok(Output::default()))
        }));
    });
    check("a poll", |world| {
        let mut probe = world.probe();
        world.run(world.spawn(move |_| async move {
            tokio::task::yield_now().await;
            probe();
            Ok(Output::default())
        }));
    });
}

#[test]
fn every_call_may_be_made_from_a_destructor_of_a_body() {
    check("the future, at its end", |world| {
        let guard = OnDrop(world.probe());
        world.run(world.spawn(|_| {
            poll_fn(move |_| {
                let _held = &guard;
                Poll::Ready(Ok(Output::default()))
            })
        }));
    });
    check("the future, aborted", |world| {
        let guard = OnDrop(world.probe());
        let id = world.spawn(|_| async move {
            let _guard = guard;
            pending().await
        });
        world.runtime.block_on(started(&world.root, id));
        world.root.cancel(id, "stop").unwrap();
        world.run(id);
    });
    check("a closure that never ran", |world| {
        let guard = OnDrop(world.probe());
        let id = world.spawn(move |_| async move {
            let _guard = guard;
            pending().await
        });
        world.root.cancel(id, "stop").unwrap();
        world.run(id);
    });
    check("a closure that was refused", |world| {
        let root = world.registry.root_scope();
        world.runtime.block_on(root.close(Duration::ZERO));
        let guard = OnDrop(world.probe());
        let body = move |_| async move {
            let _guard = guard;
            pending().await
        };
        assert!(root.spawn(Task::new("late", ""), body).is_err());
    });
    check("the payload of a panic", |world| {
        let guard = OnDrop(world.probe());
        world.run(world.spawn(|_| async { std::panic::panic_any(guard) }));
    });
}

#[test]
fn every_call_may_be_made_from_a_wake() {
    check("the wake of a listener", |world| {
        assert!(poll_with(&mut world.root.inbox().next(), &world.calls_on_wake()).is_pending());
        let mut next = world.root.inbox().next();
        assert!(poll_with(&mut next, &world.calls_on_wake()).is_pending());
        ended(&world.root, "wakes");
    });
    check("the wake of a wait", |world| {
        let (id, completer) = register(&world.root, "awaited");
        let mut wait = world.root.wait([id]);
        assert!(poll_with(&mut wait, &world.calls_on_wake()).is_pending());
        completer.complete(Ok(Output::default()));
    });
    check("the wake of a subscriber", |world| {
        let mut events = world.registry.events();
        let mut next = Box::pin(events.next());
        assert!(poll_with(&mut next, &world.calls_on_wake()).is_pending());
        ended(&world.root, "wakes");
    });
    check("the wake of a token", |world| {
        let (id, completer) = register(&world.root, "stopped");
        let mut cancelled = Box::pin(completer.context().token().cancelled_owned());
        assert!(poll_with(&mut cancelled, &world.calls_on_wake()).is_pending());
        world.root.cancel(id, "stop").unwrap();
    });
}

#[test]
fn every_call_may_be_made_from_the_drop_of_a_waker() {
    check("a listener's, dropped with it", |world| {
        let mut next = world.root.inbox().next();
        assert!(poll_with(&mut next, &world.calls_on_drop()).is_pending());
        drop(next);
    });
    check("a listener's, replaced", |world| {
        let mut next = world.root.inbox().next();
        assert!(poll_with(&mut next, &world.calls_on_drop()).is_pending());
        assert!(poll(&mut next).is_pending());
    });
    check("a wait's, dropped with it", |world| {
        let (id, _completer) = register(&world.root, "awaited");
        let mut wait = world.root.wait([id]);
        assert!(poll_with(&mut wait, &world.calls_on_drop()).is_pending());
        drop(wait);
    });
    check("a wait's, replaced", |world| {
        let (id, _completer) = register(&world.root, "awaited");
        let mut wait = world.root.wait([id]);
        assert!(poll_with(&mut wait, &world.calls_on_drop()).is_pending());
        assert!(poll(&mut wait).is_pending());
    });
    check("a subscriber's", |world| {
        let mut events = world.registry.events();
        assert!(poll_with(&mut Box::pin(events.next()), &world.calls_on_drop()).is_pending());
        drop(events);
    });
}

/// Makes every call whenever something is logged.
struct Logging(Mutex<Box<dyn FnMut() + Send>>);

impl tracing::Subscriber for Logging {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("bg_core")
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.lock().unwrap()();
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn every_call_may_be_made_from_a_log_subscriber() {
    check("a root that is abandoned", |world| {
        let logging = Logging(Mutex::new(Box::new(world.probe())));
        let abandoned = world.registry.root_scope();
        ended(&abandoned, "unclaimed");
        tracing::subscriber::with_default(logging, || drop(abandoned));
    });
}

#[test]
fn every_call_may_be_made_from_the_destructor_of_a_runtime() {
    check("a runtime that is forgotten", |world| {
        let guard = OnDrop(world.probe());
        let hook = move || {
            let _held = &guard;
        };
        let old = Builder::new_current_thread().on_thread_park(hook).build().unwrap();
        old.block_on(async { ended(&world.root, "in the old runtime") });
        drop(old);
        ended(&world.root, "in the new one");
    });
}
