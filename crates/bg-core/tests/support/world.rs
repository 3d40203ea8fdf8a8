//! A world in which every call is made from inside something of a user's.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use bg_core::{Driver, Limits, LogCaps, MailboxCaps, Output, Peek, Phase, RecentBlocks, Registry};
use bg_core::{Scope, Stream, Task, TaskContext, TaskResult, TurnEnd, TurnSlot, WaitFor};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::support::{Flag, OnDrop, bounded, drained, poll, register};

/// Makes every call there is, from wherever it is called.
fn call_everything(registry: &Registry, root: &Scope) {
    call_tasks(registry, root);
    call_contexts(root);
    call_foregrounds(root);
    call_owners(registry);
    drained(root);
}

fn call_tasks(registry: &Registry, root: &Scope) {
    let body = |_| ready(Ok(Output::default()));
    let task = Task::new("spawned", "").deadline(Duration::from_secs(9)).grace(Duration::ZERO);
    let spawned = root.spawn(task, body).unwrap();
    let (id, completer) = register(root, "registered");
    let mut wait = root.wait([id]).until(WaitFor::Any).timeout(Duration::from_secs(1));
    let _ = poll(&mut wait);
    let _ = (poll(&mut root.inbox().next()), poll(&mut root.inbox().ready()));
    let mut events = registry.events();
    let _ = poll(&mut Box::pin(events.next()));
    let mut watch = root.watch(id).unwrap();
    let _ = (watch.status(), poll(&mut Box::pin(watch.changed())));
    let _ = (root.snapshot(), root.page(0, 3), root.inspect(id), root.log(id), root.history());
    let _ = (root.resolve("1"), root.peek(id, Peek::default()), root.send(id, "no mailbox"));
    completer.bind(tokio::spawn(pending::<()>()).abort_handle());
    completer.bind(tokio::spawn(pending::<()>()).abort_handle());
    completer.complete(Ok(Output::default()));
    let _ = (root.outcome(id), poll(&mut wait), poll(&mut Box::pin(watch.changed())));
    drop(root.claim(id));
    let _ = root.claim(id).map(bg_core::Claim::ack);
    let (stopped, completer) = register(root, "stopped");
    let _token = completer.context().token();
    root.cancel(stopped, "stop").unwrap();
    root.cancel(spawned, "stop").unwrap();
    root.cancel_all("all");
    let _ = (root.inbox().is_empty(), root.inbox().take(1), root.inbox().try_next());
}

fn call_contexts(root: &Scope) {
    let (id, completer) = register(root, "context");
    let context = completer.context();
    context.step(1);
    context.phase(Phase::WaitingForTool);
    context.trace("line");
    let log = context.log_with(LogCaps { head: 1, tail: 1 });
    log.write(Stream::Stdout, b"bytes");
    let _ = (context.log().read(0, 9, None), log.total(), log.omitted(), context.id());
    let mailbox = context.mailbox_with(MailboxCaps::default());
    let mut recv = mailbox.recv();
    let _ = poll(&mut recv);
    root.send(id, "message").unwrap();
    let _ = (poll(&mut recv), context.mailbox().try_recv());
    context.attach_view(Arc::new(RecentBlocks::new(1)));
    context.attach_view(Arc::new(RecentBlocks::new(2)));
    let _ = root.peek(id, Peek::default());
    let scope = context.scope();
    let (child, _inner) = register(&scope, "child");
    let _ = (poll(&mut context.wait([child])), poll(&mut context.wait([id])));
    drop(completer);
}

fn call_foregrounds(root: &Scope) {
    let call = || root.register(Task::new("call", "").foreground()).unwrap();
    let (id, completer) = call();
    let mut awaited = root.foreground(id).unwrap();
    let _ = poll(&mut awaited);
    completer.complete(Ok(Output::default()));
    drop(poll(&mut awaited));
    let (id, _dropped) = call();
    drop(root.foreground(id).unwrap());
    let (id, _detached) = call();
    let _ = (root.detach(id), root.foreground(id).unwrap().detach());
    let (id, _within) = call();
    let within = root.foreground(id).unwrap().within(Duration::from_secs(1));
    let _ = poll(&mut Box::pin(within));
}

fn call_owners(registry: &Registry) {
    let admin = registry.admin();
    let host = CancellationToken::new();
    let (under, other) = (registry.root_scope_under(&host), registry.root_scope());
    let (id, _first) = register(&under, "under");
    let _completers = [register(&other, "other"), register(&other, "other")];
    let _ = (admin.snapshot(), admin.stats(), admin.cancel(u64::MAX, id, "nobody"));
    let seen = admin.snapshot();
    let found = seen.iter().find(|seen| seen.task.label() == "under").unwrap();
    admin.cancel(found.root, id, "by hand").unwrap();
    host.cancel();
    let slot = TurnSlot::new();
    let _turn = slot.try_acquire();
    let driver = Driver::new(&other, slot).batch(1).pause(Duration::ZERO);
    let _ = poll(&mut Box::pin(driver.run(|claims| ready((claims, TurnEnd::Committed)))));
    let _ = poll(&mut Box::pin(other.close(Duration::from_secs(1))));
    let nested = Registry::builder().limits(Limits::default().running(1)).build();
    let scope = nested.root_scope();
    let _queued = [0, 1].map(|_| scope.spawn(Task::new("", ""), |_| pending()).unwrap());
    drop(nested);
}

pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) root: Scope,
    called: Flag,
    pub(crate) runtime: Arc<Runtime>,
}

impl World {
    /// Makes every call once, the first time it is called.
    pub(crate) fn probe(&self) -> impl FnMut() + Send + Sync + Clone + use<> {
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
    pub(crate) fn calls_on_wake(&self) -> Waker {
        Waker::from(Arc::new(OnWake(Mutex::new(Box::new(self.probe())))))
    }

    /// A waker that makes every call when its last clone is dropped.
    pub(crate) fn calls_on_drop(&self) -> Waker {
        Waker::from(Arc::new(Silent(OnDrop(self.probe()))))
    }

    pub(crate) fn spawn<F, Fut>(&self, body: F) -> bg_core::TaskId
    where
        F: FnOnce(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = TaskResult> + Send + 'static,
    {
        self.root.spawn(Task::new("outer", ""), body).unwrap()
    }

    pub(crate) fn run(&self, id: bg_core::TaskId) {
        self.runtime.block_on(self.root.wait([id])).unwrap();
    }
}

pub(crate) struct OnWake(pub(crate) Mutex<Box<dyn FnMut() + Send>>);

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
pub(crate) fn check(place: &'static str, run: impl FnOnce(&World) + Send + 'static) {
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
