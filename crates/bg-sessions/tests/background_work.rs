//! Background work of a run: it is told to the model, once, before the run ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use bg_core::{Outcome, Output, Registry, Status, Task, Usage};
use bg_sessions::{Turn, TurnsModel, WithSummaries};
use bg_tools::{ToolOutput, WaitTask};
use common::{
    AGENT, agents, agents_with_cap, completed, echo, end_of, hang, pause, run, settle, slow_echo,
    start, start_worker, texts, tool, toolbox, turns,
};
use std::sync::Arc;

fn start_call(ms: u64, text: &'static str) -> (&'static str, String) {
    ("Start", format!(r#"{{"ms": {ms}, "text": "{text}"}}"#))
}

fn starting(calls: &[(&'static str, String)]) -> Turn {
    Turn::calls(calls.iter().map(|(tool, args)| (*tool, args.as_str())))
}

#[tokio::test(start_paused = true)]
async fn a_final_answer_waits_for_background_work_and_gets_what_has_ended_in_one_turn() {
    let registry = Registry::new();
    let model = turns([
        starting(&[start_call(50, "a"), start_call(50, "b"), start_call(90, "c")]),
        Turn::say("waiting"),
        Turn::say("two are there"),
        Turn::say("all are there"),
    ]);
    let finished = run(&registry.root_scope(), model.clone(), toolbox([start()])).await;
    assert_eq!(completed(&finished).text, "all are there");
    assert!(finished.unclaimed().is_empty());
    let requests = model.requests();
    assert_eq!(requests.len(), 4);
    let burst = texts(&requests[2]);
    assert_eq!(
        burst,
        ["[background task task:2 \"child\": completed]\n~~~~\na\n~~~~\n\
         [background task task:3 \"child\": completed]\n~~~~\nb\n~~~~\n"]
    );
    assert!(texts(&requests[3])[0].contains("task:4 \"child\": completed]\n~~~~\nc\n"));
}

#[tokio::test(start_paused = true)]
async fn work_that_has_ended_and_was_not_waited_for_is_told_as_well() {
    let registry = Registry::new();
    let model = turns([
        starting(&[start_call(1, "early")]),
        Turn::say("done").after(std::time::Duration::from_secs(1)),
        Turn::say("it was early"),
    ]);
    let finished = run(&registry.root_scope(), model, toolbox([start()])).await;
    assert_eq!(completed(&finished).text, "it was early");
}

#[tokio::test(start_paused = true)]
async fn past_the_step_cap_background_work_is_still_told() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        starting(&[start_call(50, "late")]),
        starting(&[start_call(50, "never started")]),
        Turn::say("with it"),
    ]);
    let agents = agents_with_cap(model.clone(), toolbox([start()]), 1);
    let finished = agents.run(&root, AGENT, "go").await.unwrap();
    assert_eq!(completed(&finished).text, "with it");
    let marks = finished.trace().iter().filter(|line| *line == "step cap of 1 reached");
    assert_eq!(marks.count(), 1);
    let requests = model.requests();
    assert!(requests[1..].iter().all(|request| !request.may_call));
    assert!(texts(&requests[2]).concat().contains("late"), "{:?}", requests[2]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_somebody_else_claims_does_not_keep_the_run_waiting() {
    let registry = Registry::new();
    let steal = tool("Steal", async |cx, _| {
        let scope = cx.scope().clone();
        let id = scope.spawn(Task::new("child", ""), |_| async {
            pause(50).await;
            Ok(Output::text("stolen"))
        })?;
        tokio::spawn(async move {
            scope.wait([id]).await.unwrap();
            scope.claim(id).map(bg_core::Claim::ack)
        });
        Ok(ToolOutput::text("on it"))
    });
    let model = turns([Turn::call("Steal", "{}"), Turn::say("done"), Turn::say("and told")]);
    let finished = run(&registry.root_scope(), model, toolbox([steal])).await;
    assert_eq!(finished.status(), Status::Completed);
}

/// The child has ended and one call has its outcome in hand while another call still works: the
/// turn is not in the history yet.
#[tokio::test(start_paused = true)]
async fn an_outcome_is_not_acknowledged_before_the_history_has_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let wait: Arc<dyn bg_tools::Tool> = Arc::new(WaitTask);
    let model = turns([
        starting(&[start_call(10, "found")]),
        Turn::calls([("WaitTask", r#"{"task_id": "task:2"}"#), ("Hang", "{}")]),
    ]);
    let agents = agents(model, toolbox([start(), wait, hang()]));
    let id = start_worker(&agents, &root);
    pause(100).await;
    settle().await;
    root.cancel(id, "enough").unwrap();
    let finished = end_of(&root, id).await;
    assert!(matches!(finished.outcome, Outcome::Cancelled(_)));
    let [unclaimed] = finished.unclaimed() else { panic!("{:?}", finished.unclaimed()) };
    assert_eq!((unclaimed.id.number(), unclaimed.status), (2, Status::Completed));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_a_tool_delivered_is_not_told_again() {
    let registry = Registry::new();
    let wait: Arc<dyn bg_tools::Tool> = Arc::new(WaitTask);
    let model = turns([
        starting(&[start_call(10, "found")]),
        Turn::call("WaitTask", r#"{"task_id": "task:2"}"#),
        Turn::say("done"),
    ]);
    let finished = run(&registry.root_scope(), model.clone(), toolbox([start(), wait])).await;
    assert_eq!(completed(&finished).text, "done");
    assert!(finished.unclaimed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_children_cost_is_added_once_however_it_is_delivered() {
    let registry = Registry::new();
    let spend = tool("Spend", async |cx, args| {
        let mut usage = Usage::default();
        usage.input_tokens = args["tokens"].as_u64().unwrap();
        let id = cx.scope().spawn(Task::new("child", ""), move |_| async move {
            pause(10).await;
            Ok(Output::text("spent").with_usage(usage))
        })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    let wait: Arc<dyn bg_tools::Tool> = Arc::new(WaitTask);
    let model = turns([
        Turn::calls([("Spend", r#"{"tokens": 1000}"#), ("Spend", r#"{"tokens": 200}"#)]),
        Turn::calls([
            ("WaitTask", r#"{"task_id": "task:2"}"#),
            ("WaitTask", r#"{"task_id": "task:2"}"#),
        ]),
        Turn::say("one is left"),
        Turn::say("done"),
    ]);
    let finished = run(&registry.root_scope(), model, toolbox([spend, wait])).await;
    let usage = completed(&finished).usage();
    assert_eq!(usage.input_tokens, 1000 + 200 + 4 * 10);
    assert_eq!((usage.requests, usage.tool_calls), (4, 4));
}

/// Children end while the run looks whether any are left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_no_outcome_is_missed() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let quick = tool("Quick", async |cx, args| {
        let spins = args["spins"].as_u64().unwrap();
        let id = cx.scope().spawn(Task::new("child", ""), move |_| async move {
            (0..spins).for_each(|_| std::hint::spin_loop());
            Ok(Output::text("told"))
        })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    for round in 0..2000_u64 {
        let args = format!("{{\"spins\": {}}}", round * 7 % 1500);
        let answers = (0..4).map(|_| Turn::say("and?"));
        let calls = Turn::calls(std::iter::repeat_n(("Quick", args.as_str()), 3));
        let model = turns(std::iter::once(calls).chain(answers));
        let finished = run(&root, model.clone(), toolbox([quick.clone()])).await;
        assert!(finished.unclaimed().is_empty(), "{finished:?}");
        let told: String = model.requests().iter().flat_map(texts).collect();
        assert_eq!(told.matches("completed]").count(), 3, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_without_background_work_ends_with_its_first_answer() {
    let registry = Registry::new();
    let model = turns([Turn::say("done"), Turn::say("again")]);
    run(&registry.root_scope(), model.clone(), toolbox([echo(), slow_echo()])).await;
    assert_eq!(model.requests().len(), 1);
}

/// What a child has made is told with the outcome of the run that it was a child of, also when the
/// conversation about it is gone.
#[tokio::test(start_paused = true)]
async fn what_children_have_made_is_carried_on() {
    let registry = Registry::new();
    let make = tool("Make", async |cx, args| {
        let name = args["name"].as_str().unwrap_or_default().to_owned();
        let artifact = bg_core::Artifact::new(name, "file:///tmp/report.pdf");
        cx.scope().spawn(Task::new("child", ""), move |_| async move {
            Ok(Output::text("made").with_artifact(artifact))
        })?;
        Ok(ToolOutput::text("on it"))
    });
    let making = |name: &str| Turn::call("Make", &format!("{{\"name\": \"{name}\"}}"));
    let long = || Turn::say_uncounted("x".repeat(8000));
    let work = TurnsModel::new([making("a"), long(), making("b"), long(), Turn::say("done")]);
    let summaries = TurnsModel::new([Turn::say("so far"), Turn::say("so far")]);
    let model = WithSummaries::new(work.with_context_window(5000), summaries);
    let finished = run(&registry.root_scope(), model, toolbox([make])).await;
    let output = completed(&finished);
    let names: Vec<_> = output.artifacts().iter().map(|made| made.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(finished.trace().iter().any(|line| line.starts_with("compacted")), "{finished:?}");
}
