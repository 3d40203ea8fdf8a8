//! What is many is not slow: the square of these numbers takes longer than the limit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::task::Poll;
use std::time::Duration;

use bg_core::{Completer, Failure, Limits, Output, Registry, Scope, TaskId, WaitFor};
use support::{bounded, drained, ended_many, poll, register};

use crate::support;

const MANY: usize = 50_000;

fn live(root: &Scope) -> (Vec<TaskId>, Vec<Completer>) {
    (0..MANY).map(|_| register(root, "")).unzip()
}

#[test]
fn a_wait_for_many_failures_is_not_quadratic() {
    bounded("a wait for many failures", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (ids, completers) = live(&root);
        let mut wait = root.wait(ids).until(WaitFor::FirstSuccess);
        assert!(poll(&mut wait).is_pending());
        for completer in completers {
            completer.complete(Err(Failure::new("failed")));
        }
        let Poll::Ready(Ok(waited)) = poll(&mut wait) else { panic!("the wait is not over") };
        assert_eq!(waited.ended.len(), MANY);
    });
}

#[test]
fn a_wait_that_leaves_many_pending_is_not_quadratic() {
    bounded("a wait that leaves many pending", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (ids, mut completers) = live(&root);
        for completer in completers.drain(MANY / 2..) {
            completer.complete(Ok(Output::default()));
        }
        let mut wait = root.wait(ids).until(WaitFor::Any);
        let Poll::Ready(Ok(waited)) = poll(&mut wait) else { panic!("the wait is not over") };
        assert_eq!((waited.ended.len(), waited.pending.len()), (MANY / 2, MANY / 2));
    });
}

#[test]
fn a_close_of_many_is_not_quadratic() {
    bounded("a close of many", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = Registry::new();
        let root = registry.root_scope();
        let (_, _completers) = live(&root);
        let report = runtime.block_on(root.close(Duration::ZERO));
        assert_eq!((report.ended.len(), report.unresponsive.len()), (MANY, 0));
    });
}

#[test]
fn a_stop_of_a_long_chain_of_owners_is_not_quadratic() {
    bounded("a stop of a long chain of owners", || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let mut completers = vec![register(&root, "first").1];
        while let Some(owner) = completers.last().filter(|_| completers.len() < MANY) {
            completers.push(register(&owner.context().scope(), "below").1);
        }
        assert_eq!(root.cancel_all("all"), 1);
        assert!(completers.iter().all(|completer| completer.context().token().is_cancelled()));
    });
}

#[test]
fn a_drain_and_a_list_of_many_is_not_quadratic() {
    bounded("a drain and a list of many", || {
        let limits = Limits::default().undelivered(MANY, u64::MAX);
        let registry = Registry::builder().limits(limits).build();
        let root = registry.root_scope();
        ended_many(&root, MANY);
        let held: Vec<_> = std::iter::from_fn(|| root.inbox().try_next()).collect();
        assert_eq!(root.snapshot().len(), MANY);
        drop(held);
        assert_eq!(drained(&root).len(), MANY);
        assert!(root.snapshot().is_empty());
    });
}
