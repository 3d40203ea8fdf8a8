//! `InspectTask` and `SendToTask`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use std::sync::Arc;

use bg_core::{Block, BlockKind, Completer, Message, Output, Phase, RecentBlocks, Stream, Task};
use bg_tools::Budget;
use serde_json::{Value, json};
use support::{caller, check_error};

const INSPECT: &str = "InspectTask";
const SEND: &str = "SendToTask";

/// Attaches a conversation of so many blocks.
fn talk(completer: &Completer, blocks: usize) {
    let recent = Arc::new(RecentBlocks::new(1000));
    completer.context().attach_view(recent.clone());
    for number in 0..blocks {
        recent.push(Block::new(BlockKind::Assistant, format!("thought {number}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_shown_with_what_it_was_asked_and_what_it_does() {
    let caller = caller();
    let prompt = "map the repo, ".repeat(20);
    let (_, completer) = caller.agent("explore", &prompt);
    completer.context().step(4);
    completer.context().phase(Phase::WaitingForTool);
    completer.context().trace("Grep unwrap");
    completer.context().log().write(Stream::Stdout, b"12345");
    talk(&completer, 12);
    let expected = json!({
        "task_id": "agent:1", "task_type": "agent", "description": format!("explore: {prompt}"),
        "status": "running", "age_secs": 0, "step": 4, "phase": "waiting_for_tool",
        "last_event": "Grep unwrap", "output_bytes": 5, "total_blocks": 12,
    });
    assert_eq!(caller.json(INSPECT, r#"{"task_id":1}"#).await, expected);
    let seen = caller.json(INSPECT, r#"{"task_id":1,"recent_blocks":"2"}"#).await;
    let blocks = json!([
        {"kind": "assistant", "text": "thought 10"},
        {"kind": "assistant", "text": "thought 11"},
    ]);
    assert_eq!(seen["blocks"], blocks);
}

#[tokio::test(start_paused = true)]
async fn a_look_changes_nothing() {
    let caller = caller();
    caller.completed("x");
    let first = caller.answer(INSPECT, r#"{"task_id":1}"#).await;
    assert_eq!(caller.answer(INSPECT, r#"{"task_id":1}"#).await, first);
    assert_eq!(caller.drained(), [1]);
    let kept = caller.json(INSPECT, r#"{"task_id":1}"#).await;
    assert_eq!(kept["status"], "completed", "one that is kept can be looked at");
}

#[tokio::test(start_paused = true)]
async fn a_long_conversation_is_shown_as_far_as_it_fits() {
    let caller = caller();
    let (_, completer) = caller.agent("a", &"asked ".repeat(100_000));
    let recent = Arc::new(RecentBlocks::new(100));
    completer.context().attach_view(recent.clone());
    (0..60).for_each(|_| recent.push(Block::new(BlockKind::User, "said ".repeat(10_000))));
    let answer = caller.answer(INSPECT, r#"{"task_id":1,"recent_blocks":1000}"#).await;
    assert!(Budget::default().fits(&answer));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let blocks = answer["blocks"].as_array().unwrap();
    assert_eq!((blocks.len(), &answer["total_blocks"]), (50, &json!(60)));
    assert!(blocks[0]["text"].as_str().unwrap().contains("more bytes"));
    assert!(answer["description"].as_str().unwrap().starts_with("a: asked"));
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives() {
    let caller = caller();
    let (_, completer) = caller.agent("a", "p");
    let mailbox = completer.context().mailbox();
    let answer = caller.answer(SEND, r#"{"task_id":1,"message":"look at b.rs\n too"}"#).await;
    assert_eq!(answer, r#"{"task_id":"agent:1","sent":true}"#);
    assert_eq!(mailbox.try_recv(), Some(Message::from("look at b.rs\n too")));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_reads_is_an_error() {
    let caller = caller();
    let (_, completer) = caller.agent("a", "p");
    let error = caller.error(SEND, r#"{"task_id":1,"message":"x"}"#).await;
    assert_eq!(error, "not sent: task agent:1 takes no messages");
    completer.complete(Ok(Output::text("x")));
    let error = caller.error(SEND, r#"{"task_id":1,"message":"x"}"#).await;
    assert_eq!(error, "not sent: task agent:1 is completed");
    let (_, full) = caller.agent("b", "p");
    let _mailbox = full.context().mailbox();
    let args = json!({"task_id": 2, "message": "x".repeat(1 << 19)}).to_string();
    for _ in 0..100 {
        let wire = caller.wire(SEND, &args).await;
        if !wire.success {
            check_error(&wire.output);
            assert!(wire.output.starts_with("not sent: the mailbox of task agent:2 is full ("));
            return;
        }
    }
    panic!("a mailbox takes everything");
}

#[tokio::test(start_paused = true)]
async fn a_task_of_somebody_else_is_not_told_anything() {
    let caller = caller();
    let (_, parent) = caller.agent("parent", "");
    let scope = parent.context().scope();
    let (_, child) = scope.register(Task::agent("child", "")).unwrap();
    let mailbox = child.context().mailbox();
    let error = caller.error(SEND, r#"{"task_id":2,"message":"x"}"#).await;
    assert_eq!(error, "task 2 is not owned by this caller");
    assert_eq!(mailbox.try_recv(), None);
}
