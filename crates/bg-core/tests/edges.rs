//! What happens at the edges: used up numbers, the end of a registry, panics inside panics, races
//! with the end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::*;
use support::{Flag, bounded, drained, ended, poll, poll_with, register, started};
use tokio_util::sync::CancellationToken;
mod support;

#[test]
fn stops_reach_everything_in_an_exhausted_root() {
    let registry = Registry::builder().first_number(NonZeroU64::new(u64::MAX - 1).unwrap()).build();
    let root = registry.root_scope();
    let completers: Vec<_> = (0..2).map(|_| register(&root, "").1).collect();
    assert_eq!(root.cancel_all("stop"), 2);
    assert_eq!(registry.admin().stats().live, 0);
    drop(completers);
}

#[test]
fn children_of_an_ended_owner_stop_in_an_exhausted_root() {
    let registry = Registry::builder().first_number(NonZeroU64::new(u64::MAX - 1).unwrap()).build();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let (_, _child) = register(&owner.context().scope(), "child");
    owner.complete(Ok(Output::default()));
    assert_eq!(registry.admin().stats().live, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_spawned_task_ends_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = root.spawn(Task::new("", ""), |_| pending()).unwrap();
    started(&root, id).await;
    let mut watch = root.watch(id).unwrap();
    drop(registry);
    let over = async { while watch.changed().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), over).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_of_a_spawned_task_closes_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (give, take) = tokio::sync::oneshot::channel();
    root.spawn(Task::new("", ""), |cx| async move {
        give.send(cx.mailbox()).unwrap();
        pending().await
    })
    .unwrap();
    let mailbox = take.await.unwrap();
    drop(registry);
    let got = tokio::time::timeout(Duration::from_secs(60), mailbox.recv()).await;
    assert_eq!(got.unwrap(), None);
}

struct Bomb;
impl View for Bomb {
    fn total(&self) -> usize {
        0
    }
    fn last(&self, _: usize) -> Vec<Block> {
        Vec::new()
    }
}
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a view")
    }
}

#[test]
fn no_destructor_of_a_users_panics_out_of_the_drop_of_a_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "");
    completer.context().attach_view(Arc::new(Bomb));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(registry))).is_ok());
}

#[test]
fn an_eviction_is_the_last_thing_that_is_told() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let mut events = registry.events();
    let id = ended(&root, "");
    root.claim(id).unwrap().ack();
    let mut kinds = Vec::new();
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        kinds.push(event.unwrap().what);
    }
    assert_eq!(kinds[kinds.len() - 2..], [EventKind::Acked, EventKind::Evicted]);
}

#[test]
fn a_page_of_an_ended_scope_is_its_list() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let scope = owner.context().scope();
    let child = ended(&scope, "child");
    let _held = scope.claim(child).unwrap();
    owner.complete(Ok(Output::default()));
    assert_eq!(scope.page(0, 10), scope.snapshot());
}

#[test]
fn an_admin_stops_no_task_of_another_kind() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, _completer) = register(&root, "task:1");
    let agent: TaskId = "agent:1".parse().unwrap();
    assert_eq!(registry.admin().cancel(1, agent, "no"), None);
}

#[test]
fn a_parent_token_above_may_be_held_by_a_queued_closure() {
    bounded("a token above", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let registry = Registry::builder().limits(Limits::default().running(1)).build();
        let host = CancellationToken::new();
        let session = host.child_token();
        let root = registry.root_scope_under(&session);
        root.spawn(Task::new("", ""), |_| pending()).unwrap();
        let held = host.clone();
        root.spawn(Task::new("queued", ""), move |_| async move {
            held.cancelled().await;
            pending().await
        })
        .unwrap();
        host.cancel();
    });
}

#[tokio::test(start_paused = true)]
async fn a_location_is_that_of_the_panic_that_is_reported() {
    PanicReport::capture_locations();
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = root
        .spawn(Task::new("", ""), |_| async {
            let _inner = support::OnDrop(|| {
                assert!(catch_unwind(|| panic!("inner")).is_err());
            });
            panic!("{}", line!())
        })
        .unwrap();
    root.wait([id]).await.unwrap();
    let Outcome::Panicked(report) = root.claim(id).unwrap().ack().outcome.clone() else { panic!() };
    let expected = format!("{}:{}:", file!(), report.message);
    assert!(report.location.unwrap().starts_with(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_location_is_not_that_of_somebody_elses_panic() {
    PanicReport::capture_locations();
    let registry = Registry::new();
    let root = registry.root_scope();
    let _ = tokio::spawn(async { panic!("somebody else") }).await;
    let id = root
        .spawn(Task::new("", ""), |_| async { std::panic::resume_unwind(Box::new("carried over")) })
        .unwrap();
    root.wait([id]).await.unwrap();
    let Outcome::Panicked(report) = root.claim(id).unwrap().ack().outcome.clone() else { panic!() };
    assert_eq!(report.location, None);
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_does_not_take_away_an_error() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let id = root
        .spawn(Task::new("", ""), |_| {
            let bomb = support::OnDrop(|| panic!("destructor"));
            std::future::poll_fn(move |_| {
                let _held = &bomb;
                Poll::Ready(Err(Failure::new("why").with_partial(Output::text("half"))))
            })
        })
        .unwrap();
    root.wait([id]).await.unwrap();
    let ended = root.claim(id).unwrap().ack();
    assert_eq!(ended.outcome.output().map(|o| &*o.text), Some("half"));
}

#[test]
fn a_sender_in_a_race_with_the_end_is_told_how_it_ended() {
    bounded("race", || {
        for _ in 0..200 {
            let registry = Registry::new();
            let root = registry.root_scope();
            let (id, completer) = register(&root, "");
            let _mailbox = completer.context().mailbox();
            let go = AtomicBool::new(false);
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    go.store(true, Ordering::SeqCst);
                    loop {
                        match root.send(id, "m") {
                            Ok(()) | Err(SendError::Full { .. }) => {}
                            Err(SendError::Ended { status, .. }) => {
                                assert_eq!(status, Status::Cancelled);
                                break;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
                while !go.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                drop(completer);
            });
        }
    });
}

#[test]
fn detach_after_the_caller_left_is_heard() {
    // a listening task
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    rt.block_on(async {
        let registry = Registry::new();
        let root = registry.root_scope();
        let id = root
            .spawn(Task::new("", "").foreground(), |cx| async move {
                cx.token().cancelled().await;
                Ok(Output::text("late"))
            })
            .unwrap();
        tokio::task::yield_now().await;
        drop(root.foreground(id).unwrap());
        assert_eq!(root.detach(id), Ok(true));
        root.wait([id]).await.unwrap();
        assert_eq!(drained(&root), [1]);
    });
}

/// A log subscriber that panics.
struct Panics;
impl tracing::Subscriber for Panics {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("bg_core")
    }
    fn event(&self, _: &tracing::Event<'_>) {
        panic!("a subscriber")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct WakePanics;
impl std::task::Wake for WakePanics {
    fn wake(self: Arc<Self>) {
        panic!("a waker")
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_subscriber_that_panics_stops_no_sweep() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, _completer) = register(&root, "");
    let mut wait = root.wait([id]);
    assert!(poll_with(&mut wait, &Waker::from(Arc::new(WakePanics))).is_pending());
    let _ = catch_unwind(AssertUnwindSafe(|| {
        tracing::subscriber::with_default(Panics, || root.cancel_all("stop"));
    }));
    let (id, _completer) = register(&root, "second");
    root.cancel_all("stop");
    assert_eq!(root.inspect(id).unwrap().status, Status::Cancelled);
}

#[test]
fn growth_never_goes_back() {
    bounded("growth", || {
        for _ in 0..20 {
            let registry = Registry::builder().events_kept(1 << 20).build();
            let root = registry.root_scope();
            let (_, completer) = register(&root, "");
            let mut events = registry.events();
            let log = completer.context().log();
            std::thread::scope(|threads| {
                for _ in 0..3 {
                    threads
                        .spawn(|| (0..2_000).for_each(|_| log.write(Stream::Stdout, &[0; 4096])));
                }
            });
            let mut last = 0;
            while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
                if let EventKind::OutputGrew { total } = event.unwrap().what {
                    assert!(total > last, "{total} after {last}");
                    last = total;
                }
            }
        }
    });
}

#[test]
fn foreground_outcomes_that_nobody_can_claim_count_no_more() {
    let registry = Registry::new();
    let root = registry.root_scope();
    for _ in 0..2_000 {
        let (_, owner) = register(&root, "owner");
        let (_, call) =
            owner.context().scope().register(Task::new("call", "").foreground()).unwrap();
        call.complete(Ok(Output::default()));
        owner.complete(Ok(Output::default()));
        drained(&root);
    }
    assert_eq!(registry.admin().stats().undelivered, 0);
}

#[test]
fn a_view_that_gives_more_than_was_asked_for_is_cut() {
    struct Chatty;
    impl View for Chatty {
        fn total(&self) -> usize {
            99
        }
        fn last(&self, _: usize) -> Vec<Block> {
            (0..99).map(|n| Block::new(BlockKind::Other, n.to_string())).collect()
        }
    }
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "");
    completer.context().attach_view(Arc::new(Chatty));
    let peeked = root.peek(id, Peek::default().blocks(2)).unwrap();
    assert_eq!(peeked.blocks.len(), 2);
    let _ = Flag::default();
}

#[test]
fn a_mailbox_that_is_asked_for_once_more_keeps_no_waker_of_a_finished_receive() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "");
    let mailbox = completer.context().mailbox();
    let mark = Arc::new(Flag::default());
    let mut recv = mailbox.recv();
    assert!(poll_with(&mut recv, &Waker::from(mark.clone())).is_pending());
    root.send(id, "m").unwrap();
    assert!(poll_with(&mut recv, &Waker::from(mark.clone())).is_ready());
    assert_eq!(Arc::strong_count(&mark), 1);
}
