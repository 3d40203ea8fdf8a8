//! How long a session rests, and what it takes from others meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use bg_core::{Kind, Limits, Registry, Status};
use bg_sessions::{ModelError, RunOptions, SessionAnswer, Turn};
use common::{AGENT, agents, end_of, pause, settle, start, toolbox, turns};
use talking::Caller;
use tokio::time::Instant;

fn start_call(ms: u64) -> Turn {
    Turn::call("Start", &format!(r#"{{"ms": {ms}, "text": "found it"}}"#))
}

fn fails() -> Turn {
    Turn::Fail(ModelError::fatal("no"))
}

/// E10: there, a child that was stopped is hidden and keeps its idle session for an hour.
#[tokio::test(start_paused = true)]
async fn a_child_that_was_stopped_keeps_no_session() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let call = Turn::call("Start", r#"{"ms": 7200000, "text": "late"}"#);
    let model = turns([call, Turn::Hang]);
    let caller = Caller::new(&agents(model, toolbox([start()])), &root);
    let task = caller.ask("go");
    pause(1_000).await;
    let answer = caller.command("/stop");
    assert!(matches!(&answer, SessionAnswer::Stopped { dropped, .. } if dropped.len() == 1));
    assert_eq!(caller.reply(task).await.status(), Status::Cancelled);
    settle().await;
    pause(61_000).await;
    assert_eq!(root.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_only_work_is_stopped_stays_for_another_idle_time() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([start_call(1_800_000), Turn::say("started"), Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    caller.talk("first").await;
    pause(600_000).await;
    let answer = caller.command("/stop");
    assert!(matches!(&answer, SessionAnswer::Stopped { dropped, .. } if dropped.len() == 1));
    pause(59_000).await;
    assert_eq!(caller.talk("second").await, "two");
    assert_eq!(model.requests()[2].messages.len(), 5, "the same conversation");
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_after_a_turn_that_has_failed_keeps_a_session_no_longer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let calls = [("Start", r#"{"ms": 1}"#), ("Start", r#"{"ms": 600000}"#)];
    let plan = [Turn::calls(calls), Turn::say("started"), fails(), fails()];
    let caller = Caller::new(&agents(turns(plan), toolbox([start()])), &root);
    caller.talk("first").await;
    let second = caller.ask("second");
    caller.reply(second).await;
    for (more, live) in [(599_000, 1), (60_000, 1), (2_000, 0)] {
        pause(more).await;
        assert_eq!(root.live(), live);
    }
    let all = std::iter::from_fn(|| root.inbox().try_next().map(bg_core::Claim::ack));
    let ended = all.filter(|done| done.id.kind() == Kind::SESSION).last().unwrap();
    assert_eq!(ended.unclaimed().len(), 2, "the results are named: {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_after_a_turn_that_has_failed_keeps_nobody_from_running() {
    let registry = Registry::builder().limits(Limits::default().running(1)).build();
    let root = registry.root_scope();
    let agents = agents(turns([fails(), Turn::say("ran")]), toolbox([]));
    let caller = Caller::new(&agents, &root);
    let task = caller.ask("first");
    caller.reply(task).await;
    let began = Instant::now();
    let run = agents.spawn(&root, AGENT, "go", RunOptions::default()).unwrap();
    assert_eq!(end_of(&root, run).await.status(), Status::Completed);
    assert_eq!(began.elapsed().as_secs(), 0);
}
