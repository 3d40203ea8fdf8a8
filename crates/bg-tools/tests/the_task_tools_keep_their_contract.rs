//! Names, arguments and answers of the task tools, to the byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_core::{Exit, Failure, Output, Stream, Task};
use bg_tools::{ToolContext, is_tool_name};
use serde_json::{Value, json};
use support::caller;
use tokio::time::Instant;

const LIST: &str = "ListBackgroundTasks";

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_an_empty_array() {
    assert_eq!(caller().answer(LIST, "{}").await, "[]");
    assert_eq!(caller().answer(LIST, "").await, "[]");
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_every_status_ascending_by_number() {
    let caller = caller();
    let (_, running) = caller.agent("explore", "map repo");
    running.context().step(1);
    let (_, _pending) = caller.agent("review", "");
    tokio::time::advance(Duration::from_millis(2_900)).await;
    let (_, failing) = caller.agent("c", "3");
    let (cancelled, _completer) = caller.agent("d", "4");
    caller.root.cancel(cancelled, "").unwrap();
    caller.completed("late");
    failing.complete(Err(Failure::new("no")));
    let expected = [
        r#"{"task_id":"agent:1","task_type":"agent","description":"explore: map repo","status":"running","age_secs":2,"step":1}"#,
        r#"{"task_id":"agent:2","task_type":"agent","description":"review: ","status":"pending","age_secs":2}"#,
        r#"{"task_id":"agent:3","task_type":"agent","description":"c: 3","status":"errored","age_secs":0,"reason":"no"}"#,
        r#"{"task_id":"agent:4","task_type":"agent","description":"d: 4","status":"cancelled","age_secs":0}"#,
        r#"{"task_id":"agent:5","task_type":"agent","description":"explore: map repo","status":"completed","age_secs":0}"#,
    ];
    assert_eq!(caller.answer(LIST, "{}").await, format!("[{}]", expected.join(",")));
    assert_eq!(caller.drained(), [4, 5, 3], "a list consumes nothing");
    let left = caller.json(LIST, r#"{"after":0}"#).await;
    let ids: Vec<_> = left.as_array().unwrap().iter().map(|task| &task["task_id"]).collect();
    assert_eq!(ids, ["agent:1", "agent:2"], "what was delivered is not listed");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panicked_is_listed_with_what_it_said() {
    let caller = caller();
    let broken = Task::agent("a", "p");
    let id = caller.root.spawn(broken, |_| async { panic!("out of cheese") }).unwrap();
    caller.root.wait([id]).await.unwrap();
    let expected = r#"[{"task_id":"agent:1","task_type":"agent","description":"a: p","status":"errored","age_secs":0,"reason":"panicked: out of cheese"}]"#;
    assert_eq!(caller.answer(LIST, "{}").await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_process_is_listed_by_its_command_and_its_exit() {
    let caller = caller();
    let ends = [(Some(5), None), (None, Some(9))];
    for (code, signal) in ends {
        let (_, completer) = caller.root.register(Task::process("sh", "exit 5")).unwrap();
        completer.complete(Ok(Output::exited(Exit { code, signal })));
    }
    let (killed, _completer) = caller.root.register(Task::process("sh", "yes")).unwrap();
    caller.root.cancel(killed, "").unwrap();
    let expected = concat!(
        r#"[{"task_id":"process:1","task_type":"process","description":"exit 5","status":"exited","age_secs":0,"exit_code":5},"#,
        r#"{"task_id":"process:2","task_type":"process","description":"exit 5","status":"exited","age_secs":0,"exit_code":null,"signal":9},"#,
        r#"{"task_id":"process:3","task_type":"process","description":"yes","status":"killed","age_secs":0}]"#,
    );
    assert_eq!(caller.answer(LIST, "{}").await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_long_description_is_cut_with_a_count() {
    let caller = caller();
    let (_, _completer) = caller.agent("explore", &"x".repeat(1 << 20));
    let list = caller.json(LIST, "{}").await;
    let expected = format!("explore: {}... (+{})", "x".repeat(31), (1 << 20) - 31);
    assert_eq!(list[0]["description"], expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_fit_says_how_many_are_missing() {
    let caller = caller();
    let prompt = "\u{1}".repeat(300);
    let _completers: Vec<_> = (0..1000).map(|_| caller.agent("a", &prompt).1).collect();
    let wire = caller.wire(LIST, "{}").await;
    assert_eq!(wire.full_output, None, "it is not cut a second time");
    let list: Vec<Value> = serde_json::from_str(&wire.output).unwrap();
    let (omitted, shown) = list.split_last().unwrap();
    assert_eq!(omitted, &json!({"omitted_tasks": 1000 - shown.len(), "after": shown.len()}));
    assert_eq!((&shown[0]["task_id"], shown.len() > 4), (&json!("agent:1"), true));
    let next = caller.json(LIST, &format!(r#"{{"after":{}}}"#, shown.len())).await;
    assert_eq!(next[0]["task_id"], format!("agent:{}", shown.len() + 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_lists_its_own_tasks_only() {
    let caller = caller();
    let (_, parent) = caller.agent("parent", "");
    let scope = parent.context().scope();
    let (_, _child) = scope.register(Task::agent("child", "")).unwrap();
    let list = caller.json(LIST, "{}").await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    let cx = ToolContext::new(scope);
    let inner = caller.tools.call(&cx, LIST, "{}").await.into_wire().output;
    assert!(inner.contains("agent:2") && !inner.contains("agent:1"), "{inner}");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_idempotent() {
    let caller = caller();
    let (_, _completer) = caller.agent("explore", "");
    let expected = r#"{"task_id":"agent:1","cancelled":true,"status":"cancelled"}"#;
    for _ in 0..3 {
        assert_eq!(caller.answer("CancelTask", r#"{"task_id":"agent:1"}"#).await, expected);
    }
    assert_eq!(caller.drained(), [1]);
    assert_eq!(caller.answer("CancelTask", r#"{"task_id":"agent:1"}"#).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_says_what_the_task_made_of_it() {
    let caller = caller();
    let (_, deaf) = caller.agent("deaf", "");
    deaf.context().step(1);
    let _token = deaf.context().token();
    let begun = Instant::now();
    let expected = r#"{"task_id":"agent:1","cancelled":true,"status":"running"}"#;
    assert_eq!(caller.answer("CancelTask", r#"{"task_id":1}"#).await, expected);
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "it does not wait for the grace");
    deaf.complete(Ok(Output::text("done all the same")));
    let expected = r#"{"task_id":"agent:1","cancelled":false,"status":"completed"}"#;
    assert_eq!(caller.answer("CancelTask", r#"{"task_id":1}"#).await, expected);
    let process = caller.root.register(Task::process("sh", "yes")).unwrap();
    let expected = r#"{"task_id":"process:2","cancelled":true,"status":"killed"}"#;
    assert_eq!(caller.answer("CancelTask", r#"{"task_id":2}"#).await, expected);
    drop(process);
}

#[tokio::test(start_paused = true)]
async fn what_ended_by_itself_was_not_cancelled() {
    let caller = caller();
    caller.completed("done");
    let (_, failing) = caller.agent("b", "");
    failing.complete(Err(Failure::new("no")));
    for (id, status) in [("agent:1", "completed"), ("agent:2", "errored")] {
        let expected = format!(r#"{{"task_id":"{id}","cancelled":false,"status":"{status}"}}"#);
        let args = json!({"task_id": id}).to_string();
        assert_eq!(caller.answer("CancelTask", &args).await, expected);
    }
    assert_eq!(caller.drained(), [1, 2], "it has consumed nothing");
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_call_stops_and_shows_nothing() {
    let caller = caller();
    let (_, parent) = caller.agent("parent", "");
    let (child, completer) = parent.context().scope().register(Task::agent("c", "secret")).unwrap();
    let token = completer.context().token();
    let before = format!("{:?}", parent.context().scope().inspect(child).unwrap());
    for tool in ["CancelTask", "WaitTask", "ReadTaskOutput"] {
        let error = caller.error(tool, r#"{"task_id":"agent:2"}"#).await;
        assert_eq!(error, "task agent:2 is not owned by this caller", "{tool}");
        let error = caller.error(tool, r#"{"task_id":"agent:3"}"#).await;
        assert_eq!(error, "no background task with id agent:3", "{tool}");
    }
    assert!(!token.is_cancelled());
    assert_eq!(format!("{:?}", parent.context().scope().inspect(child).unwrap()), before);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_read_through_the_log_of_a_process() {
    let caller = caller();
    let (_, completer) = caller.root.register(Task::process("sh", "x")).unwrap();
    completer.context().log().write(Stream::Stdout, &[b'x'; 9000]);
    completer.complete(Ok(Output::exited(Exit { code: Some(2), signal: None })));
    let answer = caller.answer("WaitTask", r#"{"task_id":1}"#).await;
    let parsed: Value = serde_json::from_str(&answer).unwrap();
    let text = parsed["output"]["text"].as_str().unwrap();
    let omitted = 9000 - text.len();
    assert_eq!(text, "x".repeat(text.len()));
    let expected = format!(
        r#"{{"task_id":"process:1","status":"exited","exit_code":2,"output":{{"text":"{text}","omitted_bytes":{omitted},"next_cursor":9000}}}}"#
    );
    assert_eq!(answer, expected);
}

#[test]
fn every_schema_is_strict() {
    let definitions = caller().tools.definitions();
    let names: Vec<_> = definitions.iter().map(|tool| tool.name.as_str()).collect();
    let expected = [
        "CancelTask",
        "InspectTask",
        "ListBackgroundTasks",
        "ReadTaskOutput",
        "SendToTask",
        "WaitTask",
        "WaitTasks",
    ];
    assert_eq!(names, expected);
    for tool in definitions {
        assert!(is_tool_name(&tool.name));
        assert!(!tool.description.is_empty() && tool.description.len() < 300, "{}", tool.name);
        assert_eq!(tool.parameters["type"], "object", "{}", tool.name);
        assert_eq!(tool.parameters["additionalProperties"], false, "{}", tool.name);
        let properties = tool.parameters["properties"].as_object().unwrap();
        let required = tool.parameters.get("required").and_then(Value::as_array);
        let needed = ["task_id", "task_ids", "message"].into_iter();
        let needed: Vec<_> = needed.filter(|name| properties.contains_key(*name)).collect();
        let required = required.map_or_else(Vec::new, |names| names.iter().collect());
        assert_eq!(required, needed, "{}", tool.name);
    }
}
