//! Whatever goes away first, the registry, the scope or the runtime: its processes end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::time::Duration;

use bg_core::Status;
use support::fixture::{FENCES, Fenced, nobody_left};

in_every_containment!(
    dropping_the_registry_ends_its_processes,
    dropping_one_registry_leaves_the_processes_of_another,
    closing_without_a_grace_ends_its_processes,
    processes_that_have_not_begun_end_with_their_registry,
);

const SOON: Duration = Duration::from_secs(1);

const FAMILIES: &[&str] =
    &["stubborn", "stop-self", "fork-tree depth=2 fan=3", "leave-group", "sleep", "deaf"];

async fn dropping_the_registry_ends_its_processes(fenced: Fenced) {
    for words in FAMILIES {
        fenced.begun(words).await;
    }
    let traces = fenced.traces();
    drop(fenced);
    nobody_left(&traces, SOON).await;
}

async fn dropping_one_registry_leaves_the_processes_of_another(fenced: Fenced) {
    let Some(second) = Fenced::new(fenced.fence).await else { return };
    let kept = second.begun("stubborn").await;
    fenced.begun("fork-tree depth=1 fan=3").await;
    let traces = fenced.traces();
    drop(fenced);
    nobody_left(&traces, SOON).await;
    let status = second.host.root.inspect(kept).unwrap().status;
    assert!(matches!(status, Status::Running { .. }), "{status:?}");
    assert_eq!(second.traces().find().len(), 1);
    second.stop(kept).await;
    second.nobody_left(SOON).await;
}

async fn closing_without_a_grace_ends_its_processes(fenced: Fenced) {
    for words in FAMILIES {
        fenced.begun(words).await;
    }
    fenced.host.root.close(Duration::ZERO).await;
    fenced.nobody_left(SOON).await;
}

/// The drop comes at any moment of the start.
async fn processes_that_have_not_begun_end_with_their_registry(fenced: Fenced) {
    for polls in 0..40 {
        let fenced = Fenced::new(fenced.fence).await.unwrap();
        fenced.start("stubborn");
        fenced.start("fork-tree depth=1 fan=2");
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        let traces = fenced.traces();
        drop(fenced);
        nobody_left(&traces, SOON).await;
    }
}

#[test]
fn the_end_of_the_runtime_ends_every_process() {
    for fence in FENCES {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let fenced = runtime.block_on(async {
            let fenced = Fenced::new(*fence).await?;
            for words in FAMILIES {
                fenced.begun(words).await;
            }
            Some(fenced)
        });
        let Some(fenced) = fenced else { continue };
        drop(runtime);
        let left = fenced.traces().extinct(SOON);
        assert!(left.is_ok(), "{fence:?}: {left:?}");
    }
}
