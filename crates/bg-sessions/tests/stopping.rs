//! A stop wins at once and keeps what had been reached.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::time::Duration;

use bg_core::{Outcome, Reason, Registry, Scope, Status, TaskId};
use bg_sessions::{ModelError, ModelReply, Part, ToolCall, Turn};
use bg_tools::Toolbox;
use common::{
    AGENT, agents, echo, end_of, hang, settle, slow_echo, start, start_worker, toolbox, turns,
};
use tokio::time::Instant;

/// Stops a run that is under way; returns how it ended.
async fn stop(root: &Scope, id: TaskId) -> std::sync::Arc<bg_core::Finished> {
    settle().await;
    let begin = Instant::now();
    root.cancel(id, "enough").unwrap();
    let finished = end_of(root, id).await;
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    finished
}

async fn check_stop(turn: Turn, tools: Toolbox) {
    let registry = Registry::new();
    let root = registry.root_scope();
    let first = ModelReply::new(vec![
        Part::text("I begin"),
        Part::ToolCall(ToolCall::new("1", "Echo", r#"{"text": "x"}"#)),
    ]);
    let mut usage = bg_core::Usage::default();
    usage.input_tokens = 7;
    let model = turns([Turn::Reply(first.with_usage(usage)), turn]);
    let agents = agents(model, tools);
    let id = start_worker(&agents, &root);
    let finished = stop(&root, id).await;
    let Outcome::Cancelled(cancellation) = &finished.outcome else {
        panic!("{:?}", finished.outcome)
    };
    assert_eq!(cancellation.reason, Reason::Requested("enough".into()));
    let error = cancellation.error.as_ref().unwrap();
    assert_eq!(error.message, "stopped");
    let partial = error.partial.as_ref().unwrap();
    assert_eq!(partial.text, "I begin");
    assert!(partial.usage().input_tokens >= 7 && partial.usage().tool_calls >= 1, "{partial:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_model_call_is_stopped_at_once() {
    check_stop(Turn::Hang, toolbox([echo()])).await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_tool_is_stopped_at_once() {
    check_stop(Turn::call("Hang", "{}"), toolbox([echo(), hang()])).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_before_the_next_attempt_is_stopped_at_once() {
    let error = ModelError::retryable("busy", Some(Duration::from_secs(20)));
    check_stop(Turn::Fail(error), toolbox([echo()])).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_background_work_is_stopped_at_once_and_the_work_with_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::call("Start", r#"{"ms": 9999999}"#), Turn::say("soon")]);
    let agents = agents(model, toolbox([start()]));
    let id = start_worker(&agents, &root);
    let mut events = registry.events();
    let finished = stop(&root, id).await;
    let failure = finished.outcome.failure().unwrap();
    assert_eq!(failure.message, "stopped");
    assert_eq!(failure.partial.as_ref().unwrap().text, "soon");
    let stopped = async {
        while let Some(Ok(event)) = events.next().await {
            let is_end = event.what == bg_core::EventKind::Status(Status::Cancelled);
            if is_end && event.task != id {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), stopped).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_poll_asks_no_model() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("too late")]);
    let agents = agents(model.clone(), toolbox([]));
    let id = start_worker(&agents, &root);
    root.cancel(id, "enough").unwrap();
    assert_eq!(end_of(&root, id).await.status(), Status::Cancelled);
    assert!(model.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_blocking_run_stops_the_agent() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents =
        agents(turns([Turn::call("SlowEcho", r#"{"ms": 60000}"#)]), toolbox([slow_echo()]));
    let run = agents.run(&root, AGENT, "go");
    assert!(tokio::time::timeout(Duration::from_secs(1), run).await.is_err());
    let agent = "agent:1".parse().unwrap();
    assert_eq!(root.wait([agent]).await.unwrap().ended[0].status(), Status::Cancelled);
}

#[tokio::test]
async fn a_run_whose_registry_is_gone_says_so() {
    let registry = Registry::new();
    let root = registry.root_scope();
    drop(registry);
    let agents = agents(turns([]), toolbox([]));
    let error = agents.run(&root, AGENT, "go").await.unwrap_err();
    assert!(matches!(error, bg_sessions::InvokeError::Spawn(bg_core::SpawnError::Closed)));
}
