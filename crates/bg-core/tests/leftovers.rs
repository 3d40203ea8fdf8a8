//! What is in somebody's hands when the registry goes says so, and stands in nobody's way.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{ClaimError, Driver, Limits, Mailbox, Output, RecentBlocks, Registry, Scope, Status};
use bg_core::{StatusWatch, Task, TaskContext, TaskError, TurnEnd, TurnSlot};
use support::{Flag, bounded, drained, ended, ended_many, poll, poll_with, register, started};
use tokio::runtime::{Builder, Runtime};

use crate::support;

const RUNTIMES: [fn() -> Runtime; 2] = [
    || Builder::new_current_thread().enable_all().build().unwrap(),
    || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
];

/// Runs a test on both sorts of runtime, and fails when it hangs.
#[track_caller]
fn on_both<Fut: Future<Output = ()> + 'static>(what: &'static str, test: fn() -> Fut) {
    for runtime in RUNTIMES {
        bounded(what, move || runtime().block_on(test()));
    }
}

#[test]
fn claims_that_outlive_the_registry_can_be_read_given_back_and_acknowledged() {
    on_both("claims", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        ended_many(&root, 100);
        let mut claims = root.inbox().take(80);
        drop(registry);
        claims.drain(..40).for_each(drop);
        for claim in claims {
            let text = claim.outcome.output().unwrap().text.clone();
            let finished = claim.ack();
            assert_eq!(finished.outcome.output().unwrap().text, text);
        }
        assert_eq!(drained(&root), [0; 0]);
        assert!(root.history().is_empty());
    });
}

/// Everything that can be waited on, each with a waker that was kept.
struct Waiting {
    woken: Vec<(&'static str, Arc<Flag>)>,
}

impl Waiting {
    fn keep<F: Future + Unpin>(&mut self, what: &'static str, future: &mut F) {
        let woken = Arc::new(Flag::default());
        assert!(poll_with(future, &Waker::from(woken.clone())).is_pending(), "{what}");
        self.woken.push((what, woken));
    }

    #[track_caller]
    fn check_woken(&self) {
        for (what, woken) in &self.woken {
            assert!(woken.is_set(), "{what} is left waiting");
        }
    }
}

#[test]
fn whoever_waits_when_the_registry_goes_is_woken_and_told() {
    on_both("waits", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root, "remote");
        let (call, _call) = root.register(Task::new("call", "").foreground()).unwrap();
        let (spawned, scope) =
            (root.spawn(Task::new("", ""), |_| pending()).unwrap(), root.clone());
        started(&root, spawned).await;
        let mailbox = completer.context().mailbox();
        let (mut watch, mut events) = (root.watch(id).unwrap(), registry.events());

        let mut waiting = Waiting { woken: Vec::new() };
        let (mut next, mut ready) = (root.inbox().next(), root.inbox().ready());
        let mut wait = root.wait([id, spawned]).timeout(Duration::from_secs(3_600));
        let mut foreground = root.foreground(call).unwrap();
        let (mut recv, mut changed) = (mailbox.recv(), Box::pin(watch.changed()));
        let (mut event, mut close) = (Box::pin(events.next()), Box::pin(scope.close(HOUR)));
        waiting.keep("a listener", &mut next);
        waiting.keep("one who looks", &mut ready);
        waiting.keep("a wait", &mut wait);
        waiting.keep("a caller", &mut foreground);
        waiting.keep("a receiver", &mut recv);
        waiting.keep("a watcher", &mut changed);
        waiting.keep("a subscriber", &mut event);
        let _token = completer.context().token();
        // A close stops what does not listen; the one that does has an hour.
        let _ = poll(&mut close);

        drop(registry);
        waiting.check_woken();
        assert!(matches!(poll(&mut next), Poll::Ready(None)));
        assert_eq!(poll(&mut ready), Poll::Ready(false));
        assert!(matches!(poll(&mut wait), Poll::Ready(Err(TaskError::Closed))));
        let told = poll(&mut foreground);
        assert!(matches!(told, Poll::Ready(Err(ClaimError::Task(TaskError::Closed)))), "{told:?}");
        assert_eq!(poll(&mut recv), Poll::Ready(None));
        assert_eq!(poll(&mut changed), Poll::Ready(Some(Status::Cancelled)));
        assert_eq!(poll(&mut event), Poll::Ready(None));
        let Poll::Ready(report) = poll(&mut close) else { panic!("the close goes on") };
        assert!(report.ended.is_empty());
        assert!(report.unresponsive.contains(&id));
    });
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_driver_ends_with_the_registry_wherever_it_is() {
    on_both("a driver that waits for an outcome", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        let driver = Driver::new(&root, TurnSlot::new());
        let run = tokio::spawn(driver.run(|claims| async { (claims, TurnEnd::Committed) }));
        tokio::task::yield_now().await;
        drop(registry);
        run.await.unwrap();
    });
    on_both("a driver that waits for the slot", || async {
        let registry = Registry::new();
        let (root, slot) = (registry.root_scope(), TurnSlot::new());
        let turn = slot.acquire().await;
        ended(&root, "one");
        let driver = Driver::new(&root, slot);
        let begun = Flag::default();
        let turns = begun.clone();
        let run = tokio::spawn(driver.run(move |claims| {
            turns.set();
            async { (claims, TurnEnd::Over) }
        }));
        tokio::task::yield_now().await;
        drop((registry, turn));
        run.await.unwrap();
        assert!(!begun.is_set(), "a turn without a registry");
    });
    on_both("a driver in the middle of a turn", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        ended(&root, "one");
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
        let mut once = Some((begun, goes_on));
        let run = tokio::spawn(Driver::new(&root, TurnSlot::new()).pause(Duration::ZERO).run(
            move |claims| {
                let (begun, goes_on) = once.take().unwrap();
                async move {
                    begun.send(()).unwrap();
                    goes_on.await.unwrap();
                    (claims, TurnEnd::Failed)
                }
            },
        ));
        has_begun.await.unwrap();
        drop((registry, root));
        go_on.send(()).unwrap();
        run.await.unwrap();
    });
}

#[test]
fn a_driver_and_all_handles_keep_no_task_alive() {
    on_both("handles", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        let dropped = Flag::default();
        let guard = dropped.on_drop();
        let (give, taken) = tokio::sync::oneshot::channel();
        let body = move |cx: TaskContext| async move {
            let _guard = guard;
            give.send((cx.clone(), cx.scope(), cx.log())).unwrap();
            pending().await
        };
        let id = root.spawn(Task::new("", ""), body).unwrap();
        let held = taken.await.unwrap();
        let (admin, events, watch) = (registry.admin(), registry.events(), root.watch(id).unwrap());
        let driver = Driver::new(&root, TurnSlot::new());
        let run = tokio::spawn(driver.run(|claims| async { (claims, TurnEnd::Committed) }));
        drop(registry);
        run.await.unwrap();
        while !dropped.is_set() {
            tokio::task::yield_now().await;
        }
        held.2.write(bg_core::Stream::Stdout, b"nobody reads it");
        assert!(admin.snapshot().is_empty());
        drop((held, admin, events, watch, root));
    });
}

#[test]
fn what_was_in_a_registry_goes_with_it_whoever_has_a_handle() {
    on_both("memory", || async {
        let limits = Limits::default().running(1);
        let registry = Registry::builder().limits(limits).build();
        let root = registry.root_scope();
        let view = Arc::new(RecentBlocks::new(1));
        let [live, undelivered, held, acked] = [0; 4].map(|_| {
            let (id, completer) = register(&root, "viewed");
            completer.context().attach_view(view.clone());
            (id, completer)
        });
        for completer in [undelivered.1, held.1, acked.1] {
            completer.complete(Ok(Output::default()));
        }
        let claim = root.claim(held.0).unwrap();
        root.claim(acked.0).unwrap().ack();
        let dropped = Flag::default();
        let guard = dropped.on_drop();
        root.spawn(Task::new("runs", ""), |_| pending()).unwrap();
        let queued = move |_| async move {
            drop(guard);
            pending().await
        };
        root.spawn(Task::new("queued", ""), queued).unwrap();
        let (admin, events) = (registry.admin(), registry.events());
        assert_eq!(Arc::strong_count(&view), 5);
        drop(registry);
        assert_eq!(Arc::strong_count(&view), 2, "all but that of the claim");
        drop(claim);
        assert_eq!(Arc::strong_count(&view), 1);
        assert!(dropped.is_set(), "a closure that was queued");
        drop((root, admin, events, live));
    });
}

/// Drops things in the middle of the drop of the registry.
struct DropsAll<T>(std::sync::Mutex<Option<T>>);

impl<T: Send> Wake for DropsAll<T> {
    fn wake(self: Arc<Self>) {
        let all = self.0.lock().unwrap().take();
        drop(all);
    }
}

type All = (Vec<bg_core::Claim>, StatusWatch, Mailbox, bg_core::Events, Scope, bg_core::Completer);

#[test]
fn everything_may_be_dropped_by_whom_the_end_of_the_registry_wakes() {
    on_both("a waker that drops all", || async {
        let registry = Registry::new();
        let root = registry.root_scope();
        ended_many(&root, 3);
        let claims = root.inbox().take(2);
        let (id, completer) = register(&root, "remote");
        drained(&root);
        let mailbox = completer.context().mailbox();
        let (watch, events) = (root.watch(id).unwrap(), registry.events());
        let mut next = root.inbox().next();
        let all: All = (claims, watch, mailbox, events, root, completer);
        let waker = Waker::from(Arc::new(DropsAll(Some(all).into())));
        assert!(poll_with(&mut next, &waker).is_pending());
        drop(registry);
        assert!(matches!(poll(&mut next), Poll::Ready(None)));
    });
}

#[test]
fn a_registry_with_everything_in_it_is_dropped_while_others_use_it() {
    for runtime in RUNTIMES {
        bounded("a registry that is in use", move || {
            let runtime = runtime();
            for _ in 0..10 {
                let registry = Registry::new();
                let root = registry.root_scope();
                let entered = runtime.handle().clone();
                std::thread::scope(|threads| {
                    for _ in 0..3 {
                        threads.spawn(|| {
                            let _entered = entered.enter();
                            use_until_closed(&root);
                        });
                    }
                    while root.snapshot().len() < 20 {
                        std::hint::spin_loop();
                    }
                    drop(registry);
                });
                assert!(root.snapshot().is_empty());
            }
        });
    }
}

fn use_until_closed(root: &Scope) {
    let mut held = Vec::new();
    while let Ok((id, completer)) = root.register(Task::new("", "")) {
        let mailbox = completer.context().mailbox();
        let _ = (root.send(id, "m"), mailbox.try_recv());
        let mut wait = root.wait([id]);
        let _ = poll(&mut wait);
        let watch = root.watch(id);
        let spawned = root.spawn(Task::new("", ""), |_| pending());
        if held.len() % 3 == 0 {
            completer.complete(Ok(Output::default()));
            held.push((None, wait, watch, root.inbox().try_next(), spawned));
        } else {
            held.push((Some(completer), wait, watch, None, spawned));
        }
        if held.len() > 100 {
            root.cancel_all("many");
            held.clear();
        }
    }
}
