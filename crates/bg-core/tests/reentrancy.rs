//! Nothing of a user's runs under our lock: every call may be made from inside all of it (R4).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{Limits, Output, Registry, Task};
use support::{OnDrop, ended, poll, poll_with, register, started};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use world::{OnWake, check};

use crate::support;
use crate::support_world as world;

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
    check("a closure that was queued", |world| {
        let registry = Registry::builder().limits(Limits::default().running(0)).build();
        let root = registry.root_scope();
        let guard = OnDrop(world.probe());
        let body = move |_| async move {
            let _guard = guard;
            pending().await
        };
        let id = root.spawn(Task::new("queued", ""), body).unwrap();
        root.cancel(id, "stop").unwrap();
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
    check("the wake of a watch", |world| {
        let (id, completer) = register(&world.root, "watched");
        let mut watch = world.root.watch(id).unwrap();
        let mut changed = Box::pin(watch.changed());
        assert!(poll_with(&mut changed, &world.calls_on_wake()).is_pending());
        completer.context().step(1);
    });
    check("the wake of a receiver, by a message", |world| {
        let (id, completer) = register(&world.root, "receives");
        let mut recv = completer.context().mailbox().recv();
        assert!(poll_with(&mut recv, &world.calls_on_wake()).is_pending());
        world.root.send(id, "wakes").unwrap();
    });
    check("the wake of a receiver, by the end", |world| {
        let (_, completer) = register(&world.root, "receives");
        let mut recv = completer.context().mailbox().recv();
        assert!(poll_with(&mut recv, &world.calls_on_wake()).is_pending());
        drop(completer);
    });
    check("the wake of a listener on a closed scope", |world| {
        let root = world.registry.root_scope();
        let mut looks = root.inbox().ready();
        assert!(poll_with(&mut looks, &world.calls_on_wake()).is_pending());
        let _ = poll(&mut Box::pin(root.close(Duration::ZERO)));
    });
    check("the wake of the one who waits for a foreground task", |world| {
        let (id, completer) = world.root.register(Task::new("call", "").foreground()).unwrap();
        let mut call = world.root.foreground(id).unwrap();
        assert!(poll_with(&mut call, &world.calls_on_wake()).is_pending());
        completer.complete(Ok(Output::default()));
    });
    check("the wake of a token above", |world| {
        let host = CancellationToken::new();
        let root = world.registry.root_scope_under(&host.child_token());
        let (_, completer) = register(&root, "stopped");
        let mut cancelled = Box::pin(completer.context().token().cancelled_owned());
        assert!(poll_with(&mut cancelled, &world.calls_on_wake()).is_pending());
        host.cancel();
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
    check("a watch's, dropped with it", |world| {
        let (id, _completer) = register(&world.root, "watched");
        let mut watch = world.root.watch(id).unwrap();
        assert!(poll_with(&mut Box::pin(watch.changed()), &world.calls_on_drop()).is_pending());
        drop(watch);
    });
    check("a watch's, replaced", |world| {
        let (id, _completer) = register(&world.root, "watched");
        let mut watch = world.root.watch(id).unwrap();
        assert!(poll_with(&mut Box::pin(watch.changed()), &world.calls_on_drop()).is_pending());
        assert!(poll(&mut Box::pin(watch.changed())).is_pending());
    });
    check("a receiver's, dropped with it", |world| {
        let (_, completer) = register(&world.root, "receives");
        let mut recv = completer.context().mailbox().recv();
        assert!(poll_with(&mut recv, &world.calls_on_drop()).is_pending());
        drop(recv);
    });
    check("a receiver's, replaced", |world| {
        let (_, completer) = register(&world.root, "receives");
        let mut recv = completer.context().mailbox().recv();
        assert!(poll_with(&mut recv, &world.calls_on_drop()).is_pending());
        assert!(poll(&mut recv).is_pending());
    });
    check("that of a foreground task's caller", |world| {
        let (id, _completer) = world.root.register(Task::new("call", "").foreground()).unwrap();
        let mut call = world.root.foreground(id).unwrap();
        assert!(poll_with(&mut call, &world.calls_on_drop()).is_pending());
        drop(call);
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
    check("a waker that panics", |world| {
        let logging = Logging(Mutex::new(Box::new(world.probe())));
        let panics = OnWake(Mutex::new(Box::new(|| std::panic::resume_unwind(Box::new("waker")))));
        let mut next = world.root.inbox().next();
        assert!(poll_with(&mut next, &Waker::from(Arc::new(panics))).is_pending());
        tracing::subscriber::with_default(logging, || ended(&world.root, "wakes"));
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
