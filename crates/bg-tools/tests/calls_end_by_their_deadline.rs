//! However long something takes, and whatever a model says of time-outs, a call ends by its deadline;
//! what a wait waits for, and what a call has begun, goes on.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use async_trait::async_trait;
use bg_core::{
    CancelOutcome, Chunk, Claim, ClaimError, Completer, Message, Outcome, Output, Peek, Peeked,
    ResolveError, SendError, Snapshot, Stream, Task, TaskError, TaskId, WaitFor,
};
use bg_tools::{
    Piece, Seen, TaskBoard, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox,
    task_tools,
};
use serde_json::{Value, json};
use support::{Caller, caller};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MS: Duration = Duration::from_millis(1);

fn task_tools_within(longest: Duration) -> Toolbox {
    Toolbox::new().with_all(task_tools()).unwrap().longest_call(longest)
}

/// Virtual time.
async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// An agent that does not stop when it is told to.
fn stubborn(caller: &Caller) -> (TaskId, Completer) {
    let (id, completer) = caller.agent("slow", "p");
    // Who has asked for the token is given time.
    let _ = completer.context().token();
    completer.context().step(1);
    (id, completer)
}

/// Calls that ask for any time; the task is the caller's first.
fn calls() -> Vec<(&'static str, Value)> {
    let mut calls = vec![
        ("ListBackgroundTasks", json!({})),
        ("ReadTaskOutput", json!({"task_id": 1})),
        ("SendToTask", json!({"task_id": 1, "message": "m"})),
        ("InspectTask", json!({"task_id": 1, "recent_blocks": 9})),
        ("WaitTask", json!({"task_id": 1})),
        ("WaitTasks", json!({"task_ids": [1]})),
        ("CancelTask", json!({"task_id": 1})),
    ];
    for secs in [json!(1), json!(30), json!(301), json!(u64::MAX), json!("1e300"), json!(-1)] {
        calls.push(("WaitTask", json!({"task_id": 1, "timeout_secs": secs})));
        for until in ["any", "all", "first_success"] {
            let args = json!({"task_ids": [1, "agent:1"], "until": until, "timeout_secs": secs});
            calls.push(("WaitTasks", args));
        }
    }
    calls
}

/// The time that a wait would take by itself.
fn asked_for(args: &Value) -> Duration {
    let secs = match &args["timeout_secs"] {
        Value::Null => 30,
        Value::String(_) => 300,
        number => number.as_u64().map_or(1, |secs| secs.clamp(1, 300)),
    };
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn every_task_tool_answers_by_the_longest_call_whatever_is_asked_for() {
    for ms in [0, 1, 40, 999, 5000, 29_999, 120_000, 500_000] {
        let longest = Duration::from_millis(ms);
        for (tool, args) in calls() {
            let caller = caller();
            let (id, completer) = stubborn(&caller);
            let _mailbox = completer.context().mailbox();
            let begun = Instant::now();
            let reply = task_tools_within(longest).call(&caller.cx, tool, &args.to_string()).await;
            let (took, wire) = (begun.elapsed(), reply.into_wire());
            assert!(took <= longest + Toolbox::SLACK, "{tool} {args}: {took:?} of {longest:?}");
            assert!(wire.success, "{tool} {args}: {}", wire.output);
            let answer: Value = serde_json::from_str(&wire.output).unwrap();
            let waits = tool.starts_with("Wait");
            let status = if tool == "WaitTasks" { &answer["tasks"][0] } else { &answer };
            if waits {
                assert_eq!(status["status"], "timed_out", "{tool} {args} {longest:?}");
                assert_eq!(took, asked_for(&args).min(longest), "{tool} {args} {longest:?}");
            }
            assert!(!caller.root.inspect(id).unwrap().status.is_terminal());
            completer.complete(Ok(Output::text("done")));
            assert_eq!(caller.drained(), [1], "{tool} {args} delivered nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_at_the_last_moment_is_delivered() {
    let longest = Duration::from_secs(5);
    for (ms, status) in [(4999, "completed"), (5001, "timed_out")] {
        let after = Duration::from_millis(ms);
        let caller = caller();
        let (_, completer) = stubborn(&caller);
        let tools = task_tools_within(longest);
        let (reply, ()) =
            tokio::join!(tools.call(&caller.cx, "WaitTask", r#"{"task_id":1}"#), async {
                pass(after).await;
                completer.complete(Ok(Output::text("done")));
            });
        let answer: Value = serde_json::from_str(&reply.into_wire().output).unwrap();
        assert_eq!(answer["status"], status);
        assert_eq!(caller.drained().len(), usize::from(status == "timed_out"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_whose_caller_is_stopped_answers_at_once_and_leaves_the_task_alone() {
    for (tool, args) in [("WaitTask", r#"{"task_id":1}"#), ("WaitTasks", r#"{"task_ids":[1]}"#)] {
        for after in [Duration::ZERO, Duration::from_millis(3210)] {
            let caller = caller();
            let (id, completer) = stubborn(&caller);
            let stop = CancellationToken::new();
            let cx = caller.cx.clone().with_token(stop.clone());
            let begun = Instant::now();
            let wait = caller.tools.call(&cx, tool, args);
            let (reply, ()) = tokio::join!(wait, async {
                tokio::time::advance(after).await;
                stop.cancel();
            });
            assert_eq!(begun.elapsed(), after, "{tool}");
            let answer = reply.into_wire().output;
            assert!(answer.contains(r#""status":"interrupted""#), "{tool} {answer}");
            assert!(!completer.context().token().is_cancelled());
            assert!(!caller.root.inspect(id).unwrap().status.is_terminal());
            completer.complete(Ok(Output::text("done")));
            assert_eq!(caller.drained(), [1]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_told_to_a_caller_that_is_being_stopped() {
    let caller = caller();
    caller.completed("one");
    let (_, _completer) = stubborn(&caller);
    let stop = CancellationToken::new();
    stop.cancel();
    let cx = caller.cx.clone().with_token(stop);
    let args = r#"{"task_ids":[1,2],"until":"any"}"#;
    let reply = caller.tools.call(&cx, "WaitTasks", args).await;
    let answer: Value = serde_json::from_str(&reply.to_wire().output).unwrap();
    assert_eq!(answer["summary"], json!({"completed": 1, "running": 1, "total": 2}));
    drop(reply);
    let wire = caller.tools.call(&cx, "WaitTask", r#"{"task_id":1}"#).await.into_wire();
    assert!(wire.output.contains("\"one\""), "{}", wire.output);
}

/// A board from which no answer comes.
struct Silent;

#[async_trait]
impl TaskBoard for Silent {
    async fn resolve(&self, written: &str) -> Result<TaskId, ResolveError> {
        // Some task has to be found, or nothing else is asked.
        let number = written.trim_start_matches("agent:");
        Ok(format!("agent:{number}").parse().unwrap())
    }

    async fn list(&self, _: u64, _: usize) -> Result<Vec<Snapshot>, TaskError> {
        std::future::pending().await
    }

    async fn inspect(&self, _: TaskId) -> Result<Snapshot, TaskError> {
        std::future::pending().await
    }

    async fn peek(&self, _: TaskId, _: Peek) -> Result<Peeked, TaskError> {
        std::future::pending().await
    }

    async fn wait(&self, _: &[TaskId], _: WaitFor, _: Duration) -> Result<Seen, TaskError> {
        std::future::pending().await
    }

    async fn claim(&self, _: TaskId) -> Result<Claim, ClaimError> {
        std::future::pending().await
    }

    async fn cancel(&self, _: TaskId, _: &str) -> Result<CancelOutcome, TaskError> {
        std::future::pending().await
    }

    async fn read(&self, _: TaskId, _: Piece) -> Result<Chunk, TaskError> {
        std::future::pending().await
    }

    async fn send(&self, _: TaskId, _: Message) -> Result<(), SendError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_does_not_answer_is_given_up_a_moment_after_the_deadline() {
    let caller = caller();
    for longest in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(60)] {
        for stopped in [false, true] {
            let token = CancellationToken::new();
            if stopped {
                token.cancel();
            }
            let cx = caller.cx.clone().with_board(Silent).with_token(token);
            for (tool, args) in calls() {
                let begun = Instant::now();
                let reply = task_tools_within(longest).call(&cx, tool, &args.to_string()).await;
                let (took, wire) = (begun.elapsed(), reply.into_wire());
                assert_eq!(took, longest + Toolbox::SLACK, "{tool} {args}");
                let secs = longest.as_secs_f64();
                let expected = format!("{tool} did not answer within {secs} s and was given up");
                assert_eq!((wire.success, wire.output), (false, expected));
            }
        }
    }
}

/// A tool that takes its time, and then waits for a task of its own in the foreground.
struct Slow {
    before: Duration,
    patience: Option<Duration>,
    task: Duration,
}

#[async_trait]
impl Tool for Slow {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<()>("Slow", "Takes its time.")
    }

    async fn call(&self, cx: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        pass(self.before).await;
        let Some(patience) = self.patience else { return std::future::pending().await };
        let takes = self.task;
        let work = move |cx: bg_core::TaskContext| async move {
            cx.log().write(Stream::Stdout, b"begun");
            pass(takes).await;
            Ok(Output::text("done"))
        };
        let task = cx.scope().spawn(Task::agent("own", "p").foreground(), work)?;
        cx.foreground(task, patience).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_secs(900))
    }
}

fn slow(slow: Slow, longest: Duration) -> Toolbox {
    Toolbox::new().with(slow).unwrap().longest_call(longest)
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_given_up_a_moment_after_the_longest_call() {
    let caller = caller();
    for longest in [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(20)] {
        let hangs = Slow { before: Duration::ZERO, patience: None, task: Duration::ZERO };
        let begun = Instant::now();
        let wire = slow(hangs, longest).call(&caller.cx, "Slow", "{}").await.into_wire();
        assert_eq!(begun.elapsed(), longest + Toolbox::SLACK);
        assert!(!wire.success && wire.output.contains("was given up"), "{}", wire.output);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_in_the_foreground_goes_on_in_the_background_at_the_deadline() {
    let secs = Duration::from_secs;
    for (before, patience, longest, answered) in [
        (secs(0), secs(3600), secs(5), secs(5)),
        (secs(2), secs(3600), secs(5), secs(5)),
        (secs(2), secs(1), secs(5), secs(3)),
        (secs(5) + 50 * MS, secs(3600), secs(5), secs(5) + 50 * MS),
        (secs(0), secs(3600), 80 * MS, 80 * MS),
    ] {
        let caller = caller();
        let tool = Slow { before, patience: Some(patience), task: secs(60) };
        let begun = Instant::now();
        let reply = slow(tool, longest).call(&caller.cx, "Slow", "{}").await;
        assert_eq!(begun.elapsed(), answered);
        assert!(reply.claims.is_empty());
        let answer: Value = serde_json::from_str(&reply.into_wire().output).unwrap();
        assert_eq!((&answer["task_id"], &answer["status"]), (&json!("agent:1"), &json!("running")));
        let note = answer["note"].as_str().unwrap();
        assert!(note.contains("goes on in the background"), "{note}");
        assert_eq!(caller.json("ListBackgroundTasks", "{}").await[0]["task_id"], "agent:1");
        let arrived = caller.root.inbox().next().await.unwrap().ack();
        assert!(matches!(&arrived.outcome, Outcome::Completed(output) if output.text == "done"));
        assert_eq!(begun.elapsed(), before + secs(60), "it went on all the time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_in_the_foreground_that_is_quick_is_answered_and_never_listed() {
    let caller = caller();
    let (before, patience) = (Duration::ZERO, Some(Duration::from_secs(30)));
    let tool = Slow { before, patience, task: Duration::from_secs(4) };
    let reply = slow(tool, Duration::from_secs(5)).call(&caller.cx, "Slow", "{}").await;
    let wire = reply.into_wire();
    assert!(wire.output.contains(r#""output":"done""#), "{}", wire.output);
    assert_eq!(caller.answer("ListBackgroundTasks", "{}").await, "[]");
    assert_eq!(caller.drained(), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_stops_its_own_task_and_no_task_that_it_waits_for() {
    let caller = caller();
    let (waited_for, completer) = stubborn(&caller);
    for (tool, args) in [("WaitTask", r#"{"task_id":1}"#), ("WaitTasks", r#"{"task_ids":[1]}"#)] {
        let call = caller.tools.call(&caller.cx, tool, args);
        assert!(tokio::time::timeout(Duration::from_secs(2), call).await.is_err());
        assert!(!completer.context().token().is_cancelled(), "{tool}");
        assert!(!caller.root.inspect(waited_for).unwrap().status.is_terminal(), "{tool}");
    }
    let (before, patience) = (Duration::ZERO, Some(Duration::from_secs(30)));
    let tools =
        slow(Slow { before, patience, task: Duration::from_secs(60) }, Duration::from_secs(90));
    let call = tools.call(&caller.cx, "Slow", "{}");
    assert!(tokio::time::timeout(Duration::from_secs(2), call).await.is_err());
    tokio::task::yield_now().await;
    let own = caller.registry.admin().snapshot();
    assert!(own.iter().all(|task| task.task.id == waited_for), "its own task is gone: {own:?}");
    let told = caller.root.inbox();
    assert!(told.is_empty(), "and nobody is told of it");
    completer.complete(Ok(Output::text("done")));
    assert_eq!(caller.drained(), [1]);
}
