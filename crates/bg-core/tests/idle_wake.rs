//! Whoever listens for results learns that there are some, whenever they came and however many
//! listen, and takes nothing away.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bg_core::{Limits, Output, Ready, Registry, Scope, Task};
use support::{Flag, drained, ended, poll, poll_with, register};

use crate::support;

/// Somebody who listens, and whether they were woken.
struct Listener(Ready, Arc<Flag>);

impl Listener {
    /// Begins to listen where there is nothing yet.
    #[track_caller]
    fn new(scope: &Scope) -> Self {
        let mut listener = Self(scope.inbox().ready(), Arc::new(Flag::default()));
        assert_eq!(listener.poll(), Poll::Pending);
        listener
    }

    fn poll(&mut self) -> Poll<bool> {
        poll_with(&mut self.0, &Waker::from(self.1.clone()))
    }

    /// Checks that it is woken, and what it finds then.
    #[track_caller]
    fn check_woken(&mut self, found: Poll<bool>) {
        assert!(self.1.is_set(), "nobody woke the listener");
        self.1.clear();
        assert_eq!(self.poll(), found);
    }

    #[track_caller]
    fn check_asleep(&mut self) {
        assert!(!self.1.is_set(), "woken for nothing");
        assert_eq!(self.poll(), Poll::Pending);
    }
}

#[track_caller]
fn check_now(scope: &Scope, found: Poll<bool>) {
    assert_eq!(poll(&mut scope.inbox().ready()), found);
}

#[test]
fn what_came_earlier_is_found_at_once_and_stays() {
    let registry = Registry::new();
    let root = registry.root_scope();
    ended(&root, "one");
    for _ in 0..3 {
        check_now(&root, Poll::Ready(true));
    }
    assert_eq!(drained(&root), [1]);
    check_now(&root, Poll::Pending);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_nobody_listens_is_found_by_the_next_who_does() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut first = Listener::new(&root);
    root.spawn(Task::new("one", ""), |_| ready(Ok(Output::default()))).unwrap();
    assert!(root.inbox().ready().await);
    first.check_woken(Poll::Ready(true));
    drop(first);
    root.spawn(Task::new("two", ""), |_| ready(Ok(Output::default()))).unwrap();
    root.wait(["task:2".parse().unwrap()]).await.unwrap();
    assert!(root.inbox().ready().await);
    assert_eq!(drained(&root), [1, 2]);
}

#[test]
fn any_number_of_listeners_wake() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listeners: Vec<_> = (0..100).map(|_| Listener::new(&root)).collect();
    ended(&root, "one");
    for listener in &mut listeners {
        listener.check_woken(Poll::Ready(true));
    }
    assert_eq!(drained(&root), [1], "none of them took it");
}

#[test]
fn a_listener_that_comes_second_goes_on_listening() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listener = Listener::new(&root);
    for number in 1..=3 {
        ended(&root, "one");
        assert_eq!(drained(&root), [number]);
        listener.check_woken(Poll::Pending);
    }
    ended(&root, "last");
    listener.check_woken(Poll::Ready(true));
}

#[test]
fn who_claims_and_who_looks_wake_together() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listener = Listener::new(&root);
    let (mut next, woken) = (root.inbox().next(), Arc::new(Flag::default()));
    assert!(poll_with(&mut next, &Waker::from(woken.clone())).is_pending());
    ended(&root, "one");
    assert!(woken.is_set());
    let Poll::Ready(Some(claim)) = poll(&mut next) else { panic!("nothing to claim") };
    listener.check_woken(Poll::Pending);
    drop(claim);
    listener.check_woken(Poll::Ready(true));
}

#[test]
fn only_what_is_claimable_wakes() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listener = Listener::new(&root);
    let (_, owner) = register(&root, "owner");
    let (call, completer) = root.register(Task::new("call", "").foreground()).unwrap();
    owner.context().step(1);
    ended(&owner.context().scope(), "child");
    completer.complete(Ok(Output::default()));
    listener.check_asleep();
    assert_eq!(root.detach(call), Ok(true));
    listener.check_woken(Poll::Ready(true));
}

#[test]
fn a_listener_that_is_dropped_leaves_nothing_behind() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut other = Listener::new(&root);
    let Listener(dropped, flag) = Listener::new(&root);
    assert!(Arc::strong_count(&flag) > 1);
    drop(dropped);
    assert_eq!(Arc::strong_count(&flag), 1);
    ended(&root, "one");
    assert!(!flag.is_set());
    other.check_woken(Poll::Ready(true));
    assert_eq!(Arc::strong_count(&other.1), 1, "nor does one that is done");
}

#[test]
fn a_listener_keeps_its_latest_waker_only() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let Listener(mut listener, first) = Listener::new(&root);
    let second = Arc::new(Flag::default());
    assert!(poll_with(&mut listener, &Waker::from(second.clone())).is_pending());
    assert_eq!(Arc::strong_count(&first), 1);
    ended(&root, "one");
    assert!(second.is_set() && !first.is_set());
}

#[tokio::test(start_paused = true)]
async fn in_a_closed_scope_it_ends_when_everything_is_delivered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, _completer) = register(&root, "one");
    let (mut first, mut second) = (Listener::new(&root), Listener::new(&root));
    root.close(Duration::ZERO).await;
    first.check_woken(Poll::Ready(true));
    let claim = root.inbox().try_next().unwrap();
    second.check_woken(Poll::Pending);
    claim.ack();
    second.check_woken(Poll::Ready(false));
    check_now(&root, Poll::Ready(false));
}

#[tokio::test(start_paused = true)]
async fn in_an_empty_scope_it_ends_when_that_is_closed() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listener = Listener::new(&root);
    root.close(Duration::ZERO).await;
    listener.check_woken(Poll::Ready(false));
}

#[test]
fn it_ends_with_the_task_that_owns_the_scope() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let below = owner.context().scope();
    let mut listener = Listener::new(&below);
    owner.complete(Ok(Output::default()));
    listener.check_woken(Poll::Ready(false));
    check_now(&below, Poll::Ready(false));
}

#[test]
fn it_ends_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut listener = Listener::new(&root);
    drop(registry);
    listener.check_woken(Poll::Ready(false));
    check_now(&root, Poll::Ready(false));
}

#[test]
fn a_root_stays_open_while_somebody_listens() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (_, completer) = register(&root, "one");
    let mut listener = Listener::new(&root);
    drop(root);
    completer.complete(Ok(Output::default()));
    listener.check_woken(Poll::Ready(true));
    assert_eq!(registry.admin().stats().undelivered, 1);
    drop(listener);
    assert_eq!(registry.admin().stats().roots, 0);
}

#[tokio::test(start_paused = true)]
async fn a_result_makes_room_only_when_it_is_taken() {
    let registry = Registry::builder().limits(Limits::default().undelivered(1, u64::MAX)).build();
    let root = registry.root_scope();
    ended(&root, "one");
    assert!(root.inbox().ready().await);
    assert!(root.register(Task::new("two", "")).is_err());
}
