//! Whatever a model answers: the run ends, and every request is one that a provider takes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::time::Duration;

use bg_core::{Registry, Status};
use bg_sessions::{ModelError, ModelReply, Part, Thinking, ToolCall, ToolResult, Turn};
use bg_tools::Resource;
use common::{agents_with_cap, echo, end_of, pause, start, start_worker, toolbox, turns};
use proptest::prelude::*;

fn any_call() -> impl Strategy<Value = ToolCall> {
    let name = prop_oneof![Just("Echo"), Just("Start"), Just("Nope"), Just("")];
    let args = prop_oneof![Just(r#"{"text": "x", "ms": 20}"#), Just("{"), Just(""), Just("[[[")];
    let id = prop_oneof![Just("same"), Just(""), Just("other")];
    (id, name, args).prop_map(|(id, name, args)| ToolCall::new(id, name, args))
}

fn any_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        "[a-z ]{0,3}".prop_map(Part::Text),
        Just(Part::Thinking(Thinking::new("hm"))),
        Just(Part::resource(Resource::new("made up").with_text("x"))),
        any_call().prop_map(Part::ToolCall),
        any_call().prop_map(|call| Part::ToolResult(ToolResult::new(&call, "made up", true))),
    ]
}

/// What a turn is made of; a [`Turn`] itself cannot be cloned.
#[derive(Clone, Debug)]
enum Kind {
    Reply(Vec<Part>),
    Busy,
    Slow(Vec<Part>),
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let parts = || proptest::collection::vec(any_part(), 0..4);
    prop_oneof![
        4 => parts().prop_map(Kind::Reply),
        1 => Just(Kind::Busy),
        1 => parts().prop_map(Kind::Slow),
    ]
}

fn turn(kind: Kind) -> Turn {
    match kind {
        Kind::Reply(parts) => Turn::Reply(ModelReply::new(parts)),
        Kind::Busy => Turn::Fail(ModelError::retryable("busy", None)),
        Kind::Slow(parts) => Turn::Reply(ModelReply::new(parts)).after(Duration::from_millis(100)),
    }
}

/// Runs these turns; stops the run after `stop_ms`, if that comes first.
async fn ends_well(kinds: Vec<Kind>, stop_ms: Option<u64>) -> Result<(), TestCaseError> {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns(kinds.into_iter().map(turn));
    let agents = agents_with_cap(model, toolbox([echo(), start()]), 4);
    let id = start_worker(&agents, &root);
    if let Some(ms) = stop_ms {
        pause(ms).await;
        root.cancel(id, "enough").unwrap();
    }
    let end = tokio::time::timeout(Duration::from_secs(600), end_of(&root, id)).await;
    let finished = end.map_err(|_| TestCaseError::fail("the run did not end"))?;
    // A conversation that no provider takes panics in the recorder.
    prop_assert_ne!(finished.status(), Status::Panicked, "{:?}", finished.outcome);
    if stop_ms.is_none() {
        prop_assert!(finished.unclaimed().is_empty() || finished.status() != Status::Completed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_run_ends_and_leaves_no_call_without_its_result(
        kinds in proptest::collection::vec(any_kind(), 0..8),
        stop_ms in proptest::option::of(0_u64..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(ends_well(kinds, stop_ms))?;
    }
}
