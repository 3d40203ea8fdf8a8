//! What a registry keeps after its end, and a root after its last task.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use bg_core::{Output, Registry};
use support::{poll, register};

use crate::support;

#[test]
fn an_outcome_that_only_a_wait_had_seen_is_freed_with_the_registry() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let (id, completer) = register(&root, "one");
    let mut wait = root.wait([id]);
    assert!(poll(&mut wait).is_pending());
    completer.complete(Ok(Output::default()));
    let outcome = Arc::downgrade(&root.outcome(id).unwrap());
    drop(registry);
    drop(wait);
    assert_eq!(outcome.strong_count(), 0);
}

#[test]
fn a_root_that_keeps_nothing_is_forgotten_with_its_last_task() {
    let registry = Registry::builder().finished_kept(0).build();
    let root = registry.root_scope();
    let (_, owner) = register(&root, "owner");
    let below = owner.context().scope();
    let (id, child) = register(&below, "child");
    child.complete(Ok(Output::default()));
    let _claim = below.claim(id).unwrap();
    drop(root);
    owner.complete(Ok(Output::default()));
    assert!(below.inspect(id).is_err());
}
