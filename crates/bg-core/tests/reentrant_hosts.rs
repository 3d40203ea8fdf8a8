//! What a host hands in is called outside our lock: every call may be made from inside it (R4).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::{Arc, Mutex};

use bg_core::{Driver, Peek, RecentBlocks, TurnEnd, TurnSlot};
use support::{OnDrop, ended, poll, register};
use world::{World, check};

mod support;
#[path = "support/world.rs"]
mod world;

/// Makes every call when it is looked at.
struct Looks<F>(Mutex<F>);

impl<F: FnMut() + Send> bg_core::View for Looks<F> {
    fn total(&self) -> usize {
        self.0.lock().unwrap()();
        0
    }

    fn last(&self, _: usize) -> Vec<bg_core::Block> {
        self.0.lock().unwrap()();
        Vec::new()
    }
}

/// A view that makes every call when it is dropped.
fn calls_when_let_go(world: &World) -> Arc<dyn bg_core::View> {
    let guard = OnDrop(world.probe());
    Arc::new(Looks(Mutex::new(move || {
        let _held = &guard;
    })))
}

#[test]
fn every_call_may_be_made_from_a_view() {
    check("a look", |world| {
        let (id, completer) = register(&world.root, "viewed");
        completer.context().attach_view(Arc::new(Looks(Mutex::new(world.probe()))));
        world.root.peek(id, Peek::default()).unwrap();
    });
    check("a view that is replaced", |world| {
        let (_, completer) = register(&world.root, "viewed");
        completer.context().attach_view(calls_when_let_go(world));
        completer.context().attach_view(Arc::new(RecentBlocks::new(1)));
    });
    check("a view that comes too late", |world| {
        let (_, completer) = register(&world.root, "viewed");
        let context = completer.context().clone();
        drop(completer);
        context.attach_view(calls_when_let_go(world));
    });
    check("a view that is evicted", |world| {
        let (_, completer) = register(&world.root, "viewed");
        completer.context().attach_view(calls_when_let_go(world));
        drop(completer);
        support::drained(&world.root);
        support::ended_many(&world.root, 3);
        support::drained(&world.root);
    });
    check("a view that goes with its root", |world| {
        let root = world.registry.root_scope();
        let (_, completer) = register(&root, "viewed");
        completer.context().attach_view(calls_when_let_go(world));
        drop(root);
        drop(completer);
    });
}

/// Makes every call when it is turned into what a call takes.
struct Turns<F>(F);

impl<F: FnMut()> From<Turns<F>> for String {
    fn from(mut turns: Turns<F>) -> Self {
        (turns.0)();
        Self::new()
    }
}

impl<F: FnMut()> From<Turns<F>> for Arc<str> {
    fn from(turns: Turns<F>) -> Self {
        String::from(turns).into()
    }
}

impl<F: FnMut()> From<Turns<F>> for bg_core::Message {
    fn from(turns: Turns<F>) -> Self {
        Self::Text(turns.into())
    }
}

#[test]
fn every_call_may_be_made_from_an_argument() {
    check("a trace line", |world| {
        let (_, completer) = register(&world.root, "traces");
        completer.context().trace(Turns(world.probe()));
    });
    check("a message", |world| {
        let (id, completer) = register(&world.root, "receives");
        let _mailbox = completer.context().mailbox();
        let _ = world.root.send(id, Turns(world.probe()));
    });
    check("the words of a stop", |world| {
        let (id, _completer) = register(&world.root, "stopped");
        let _ = world.root.cancel(id, Turns(world.probe()));
    });
    check("the words of a stop of everything", |world| {
        world.registry.admin().cancel_all(Turns(world.probe()));
    });
    check("the ids of a wait", |world| {
        let (id, _completer) = register(&world.root, "awaited");
        let mut probe = world.probe();
        let _ = poll(&mut world.root.wait([id].into_iter().inspect(|_| probe())));
    });
}

#[test]
fn every_call_may_be_made_from_a_driver() {
    check("a turn", |world| {
        let mut probe = world.probe();
        ended(&world.root, "drives");
        let driver = Driver::new(&world.root, TurnSlot::new());
        let turn = move |claims| {
            probe();
            ready((claims, TurnEnd::Over))
        };
        world.runtime.block_on(driver.run(turn));
    });
}

#[test]
fn every_call_may_be_made_from_a_panic_hook() {
    check("a panic hook", |world| {
        let (probe, thread) = (Mutex::new(world.probe()), std::thread::current().id());
        let before = std::panic::take_hook();
        // Other tests panic on other threads.
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == thread {
                probe.lock().unwrap()();
            } else {
                before(info);
            }
        }));
        world.run(world.spawn(|_| async { panic!("in a task") }));
        drop(std::panic::take_hook());
    });
}
