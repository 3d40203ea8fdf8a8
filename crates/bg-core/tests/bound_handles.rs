//! Work of tokio's that was bound to a task goes with it, however much of it there is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::{Arc, Weak};

use bg_core::{Completer, Output, Registry, Task};
use support::{elapse, register};

use crate::support;

/// So many tasks of tokio's; each tells when it was aborted.
fn bound(completer: &Completer, count: usize) -> Vec<Weak<()>> {
    let bind = |_| {
        let alive = Arc::new(());
        let told = Arc::downgrade(&alive);
        let work = tokio::spawn(async move {
            pending::<()>().await;
            drop(alive);
        });
        completer.bind(work.abort_handle());
        told
    };
    (0..count).map(bind).collect()
}

async fn gone(told: &[Weak<()>]) -> usize {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    told.iter().filter(|alive| alive.strong_count() == 0).count()
}

#[tokio::test(start_paused = true)]
async fn every_handle_that_was_bound_is_aborted_with_the_task() {
    let registry = Registry::new();
    let root = registry.root_scope();

    let (id, completer) = register(&root, "deaf");
    let told = bound(&completer, 5);
    root.cancel(id, "stop").unwrap();
    assert_eq!(gone(&told).await, 5);
    assert_eq!(gone(&bound(&completer, 2)).await, 2, "bound after the end");

    let (id, completer) = register(&root, "listens");
    let (told, _token) = (bound(&completer, 3), completer.context().token());
    root.cancel(id, "stop").unwrap();
    assert_eq!(gone(&told).await, 0, "the grace has begun");
    let late = bound(&completer, 2);
    assert_eq!(gone(&late).await, 0);
    elapse(Task::DEFAULT_GRACE).await;
    assert_eq!((gone(&told).await, gone(&late).await), (3, 2));

    let (_, completer) = register(&root, "completes");
    let told = bound(&completer, 3);
    completer.complete(Ok(Output::default()));
    assert_eq!(gone(&told).await, 0, "work that is over is not stopped");

    let (_, completer) = register(&root, "closed");
    let told = bound(&completer, 4);
    drop(registry);
    assert_eq!(gone(&told).await, 4);
    assert_eq!(gone(&bound(&completer, 1)).await, 1, "bound after the registry");
}
