//! `WaitTasks`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_core::{Exit, Failure, Output, Task};
use bg_tools::{Budget, ToolContext};
use serde_json::{Value, json};
use support::{Caller, caller, check_error};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const WAIT: &str = "WaitTasks";

impl Caller {
    async fn waited(&self, args: Value) -> Value {
        self.json(WAIT, &args.to_string()).await
    }
}

/// What an answer says of each task.
fn statuses(answer: &Value) -> Vec<(&str, &str)> {
    let tasks = answer["tasks"].as_array().unwrap().iter();
    let words = tasks.map(|task| (task["task_id"].as_str(), task["status"].as_str()));
    words.map(|(id, status)| (id.unwrap(), status.unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn all_kinds_are_told_in_the_order_of_the_ids() {
    let caller = caller();
    caller.completed("3 crates");
    let (_, failing) = caller.agent("b", "p");
    let (_, process) = caller.root.register(Task::process("sh", "exit 5")).unwrap();
    failing.complete(Err(Failure::new("no")));
    process.complete(Ok(Output::exited(Exit { code: Some(5), signal: None })));
    let answer = caller.waited(json!({"task_ids": ["process:3", 1, " agent:2 "]})).await;
    let expected = [("process:3", "exited"), ("agent:1", "completed"), ("agent:2", "errored")];
    assert_eq!(statuses(&answer), expected);
    assert_eq!(answer["summary"], json!({"total": 3, "exited": 1, "completed": 1, "errored": 1}));
    assert_eq!(answer["tasks"][0]["exit_code"], 5);
    assert_eq!(answer["tasks"][1]["output"], "3 crates");
    assert_eq!(caller.drained(), [0; 0], "the answer delivered them");
}

#[tokio::test(start_paused = true)]
async fn an_id_given_twice_counts_once() {
    let caller = caller();
    caller.completed("x");
    let answer = caller.waited(json!({"task_ids": ["agent:1", 1, "1"]})).await;
    assert_eq!(statuses(&answer), [("agent:1", "completed")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_id_is_told_in_its_place_and_the_others_are_waited_for() {
    let caller = caller();
    let (_, parent) = caller.agent("parent", "");
    let scope = parent.context().scope();
    let (_, _child) = scope.register(Task::agent("child", "")).unwrap();
    parent.complete(Ok(Output::text("x")));
    let ids = json!({"task_ids": ["agent:9", "agent:1", "mcp:1", "agent:2"]});
    let answer = caller.waited(ids).await;
    let expected = [
        ("agent:9", "not_found"),
        ("agent:1", "completed"),
        ("mcp:1", "parse_error"),
        ("agent:2", "forbidden"),
    ];
    assert_eq!(statuses(&answer), expected);
    let none = caller.waited(json!({"task_ids": ["x"]})).await;
    assert_eq!(statuses(&none), [("x", "parse_error")], "and nothing to wait for");
}

#[tokio::test(start_paused = true)]
async fn any_answers_with_the_first_and_leaves_the_others() {
    let caller = caller();
    let (_, first) = caller.agent("a", "p");
    let (_, _second) = caller.agent("b", "p");
    let end = async { first.complete(Err(Failure::new("no"))) };
    let ids = json!({"task_ids": [2, 1], "until": "any"});
    let (answer, ()) = tokio::join!(biased; caller.waited(ids), end);
    assert_eq!(statuses(&answer), [("agent:2", "pending"), ("agent:1", "errored")]);
    assert_eq!(answer["tasks"][0]["current"]["description"], "b: p");
    assert_eq!(caller.root.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_success_passes_over_failures() {
    let caller = caller();
    let tasks: Vec<_> = (0..3).map(|_| caller.agent("a", "p").1).collect();
    let mut tasks = tasks.into_iter();
    let end = async {
        tasks.next().unwrap().complete(Err(Failure::new("no")));
        tokio::time::advance(Duration::from_secs(1)).await;
        tasks.next().unwrap().complete(Ok(Output::text("yes")));
    };
    let ids = json!({"task_ids": [1, 2, 3], "until": "first_success"});
    let (answer, ()) = tokio::join!(biased; caller.waited(ids), end);
    let expected = [("agent:1", "errored"), ("agent:2", "completed"), ("agent:3", "pending")];
    assert_eq!(statuses(&answer), expected);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_delivers_what_has_ended_and_no_more() {
    let caller = caller();
    let (_, late) = caller.agent("late", "p");
    caller.completed("x");
    let begun = Instant::now();
    let answer = caller.waited(json!({"task_ids": [1, 2], "timeout_secs": "7"})).await;
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert_eq!(statuses(&answer), [("agent:1", "timed_out"), ("agent:2", "completed")]);
    late.complete(Ok(Output::text("y")));
    assert_eq!(caller.drained(), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_wait_delivers_what_has_ended_and_leaves_the_others_alone() {
    let caller = caller();
    let (_, late) = caller.agent("late", "p");
    caller.completed("x");
    let token = CancellationToken::new();
    let cx = caller.cx.clone().with_token(token.clone());
    let interrupt = async { token.cancel() };
    let args = r#"{"task_ids":[1,2]}"#;
    let (reply, ()) = tokio::join!(biased; caller.tools.call(&cx, WAIT, args), interrupt);
    let answer: Value = serde_json::from_str(&reply.into_wire().output).unwrap();
    assert_eq!(statuses(&answer), [("agent:1", "interrupted"), ("agent:2", "completed")]);
    assert!(!late.context().token().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_time_out_says_what_each_of_them_did_last() {
    let caller = caller();
    let work = ["read a.rs", "wrote b.rs"].map(|event| {
        let (_, completer) = caller.agent("a", "p");
        completer.context().trace(event);
        (event, completer)
    });
    let answer = caller.json(WAIT, r#"{"task_ids":[1,2],"timeout_secs":1}"#).await;
    for (at, (event, _)) in work.iter().enumerate() {
        assert_eq!(answer["tasks"][at]["current"]["last_event"], *event);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_fails_gets_all_of_them_back() {
    let caller = caller();
    for _ in 0..3 {
        caller.completed("x");
    }
    let reply = caller.tools.call(&caller.cx, WAIT, r#"{"task_ids":[1,2,3]}"#).await;
    assert_eq!(reply.claims.outcomes().len(), 3);
    drop(reply);
    assert_eq!(caller.drained(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared() {
    let caller = caller();
    for _ in 0..20 {
        caller.completed(&"many words ".repeat(2000));
    }
    let ids: Vec<u64> = (1..=20).collect();
    let answer = caller.answer(WAIT, &json!({"task_ids": ids}).to_string()).await;
    assert!(Budget::default().fits(&answer));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    for task in answer["tasks"].as_array().unwrap() {
        let shown = task["output"].as_str().unwrap().len() as u64;
        assert!(shown > 20, "{shown}");
        assert_eq!(task["omitted_bytes"], 22_000 - shown);
        assert_eq!(task["next_cursor"], shown);
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_ids_are_taken_as_fit_the_budget() {
    let caller = caller();
    for (tokens, most) in [(2000, 20), (300, 3)] {
        let tools = caller.tools.clone().budget(Budget::new(tokens));
        let cx = ToolContext::new(caller.root.clone());
        for count in [0, most + 1] {
            let ids = vec!["agent:1"; count];
            let args = json!({"task_ids": ids}).to_string();
            let wire = tools.call(&cx, WAIT, &args).await.into_wire();
            check_error(&wire.output);
            let expected = format!("WaitTasks: `task_ids`: expected 1 to {most} ids, not {count}");
            assert_eq!(wire.output, expected);
        }
    }
}
