//! The loop of a run: turns, calls, the cap.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bg_core::{Outcome, Registry};
use bg_sessions::{ModelReply, Part, Role, Thinking, Turn};
use bg_tools::ToolOutput;
use common::{
    AGENT, agents, agents_with_cap, completed, echo, end_of, hang, results, run, script, slow_echo,
    start_worker, tool, toolbox, turns,
};
use tokio::sync::Barrier;

#[tokio::test]
async fn a_script_drives_a_run_with_real_tools() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = script(
        "call Echo {\"text\": \"one {{2}}\"}\nalso Echo {\"text\": \"two\"}\ncall Echo {\"text\": \"three\"}\n\
         say {{1}}, {{2}}\nand {{3}}",
    );
    let finished = run(&root, model.clone(), toolbox([echo()])).await;
    let output = completed(&finished);
    assert_eq!(output.text, "one {{2}}, two\nand three");
    assert_eq!((output.usage().requests, output.usage().tool_calls), (3, 3));
    assert_eq!(output.model(), Some("script"));
    assert_eq!((finished.steps(), finished.label(), finished.prompt()), (3, AGENT, "go"));
    let trace = ["one {{2}}", "two", "three"].map(|text| format!("Echo {{\"text\": \"{text}\"}}"));
    assert_eq!(finished.trace(), trace);
    assert!(model.requests().iter().all(|request| &*request.instructions == "Work."));
}

#[tokio::test]
async fn a_conversation_alternates_and_ends_with_what_is_new() {
    let registry = Registry::new();
    let model = script("call Echo {\"text\": \"x\"}\nsay done");
    run(&registry.root_scope(), model.clone(), toolbox([echo()])).await;
    let requests = model.requests();
    let roles: Vec<Role> = requests[1].messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(requests[0].messages.len(), 1, "a request is not changed afterwards");
    assert_eq!(results(&requests[1])[0].output, "x");
}

#[tokio::test(start_paused = true)]
async fn two_calls_of_one_turn_run_at_the_same_time() {
    let registry = Registry::new();
    let barrier = Arc::new(Barrier::new(2));
    let meet = tool("Meet", move |_, _| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(ToolOutput::text("met"))
        }
    });
    let model = script("call Meet {}\nalso Meet {}\nsay {{1}} {{2}}");
    let finished = run(&registry.root_scope(), model, toolbox([meet])).await;
    assert_eq!(completed(&finished).text, "met met");
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_calls() {
    let registry = Registry::new();
    let model = turns([
        Turn::calls([
            ("SlowEcho", r#"{"ms": 30, "text": "a"}"#),
            ("SlowEcho", r#"{"ms": 10, "text": "b"}"#),
            ("SlowEcho", r#"{"ms": 20, "text": "c"}"#),
        ]),
        Turn::say("done"),
    ]);
    run(&registry.root_scope(), model.clone(), toolbox([slow_echo()])).await;
    let outputs: Vec<String> =
        results(&model.requests()[1]).into_iter().map(|result| result.output).collect();
    assert_eq!(outputs, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn at_most_eight_calls_of_a_turn_run_at_the_same_time() {
    let registry = Registry::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let count = tool("Count", move |_, args| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            common::pause(args["ms"].as_u64().unwrap()).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(ToolOutput::text("counted"))
        }
    });
    // The first one is slow: those behind it must not wait for its answer.
    let slow = ("Count", r#"{"ms": 1000}"#);
    let calls = std::iter::once(slow).chain(std::iter::repeat_n(("Count", r#"{"ms": 10}"#), 20));
    let model = turns([Turn::calls(calls), Turn::say("done")]);
    let begin = tokio::time::Instant::now();
    let finished = run(&registry.root_scope(), model, toolbox([count])).await;
    assert_eq!(completed(&finished).usage().tool_calls, 21);
    assert_eq!(seen.load(Ordering::Relaxed), 8);
    assert!(begin.elapsed().as_millis() < 1010, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_wrong_is_a_result_and_not_an_end() {
    let registry = Registry::new();
    let breaks = tool("Break", async |_, _| panic!("broken"));
    let model = turns([
        Turn::calls([
            ("Nope", "{}"),
            ("Echo", r#"{"text": "#),
            ("Break", "{}"),
            ("", "\u{0}"),
            ("Echo", r#"{"text": "fine"}"#),
        ]),
        Turn::say("done"),
    ]);
    let tools = toolbox([echo(), breaks]);
    let finished = run(&registry.root_scope(), model.clone(), tools).await;
    let results = results(&model.requests()[1]);
    let expected = [
        "unknown tool \"Nope\"; the tools are: Break, Echo",
        "Echo: invalid JSON",
        "Break broke: broken",
        "unknown tool",
        "fine",
    ];
    for (result, text) in results.iter().zip(expected) {
        assert!(result.output.contains(text), "{result:?}");
        assert_eq!(result.success, text == "fine", "{result:?}");
    }
    assert!(finished.trace().contains(&"Break failed: Break broke: broken".to_owned()));
    assert_eq!(completed(&finished).text, "done");
}

/// After a minute the model goes on; after two the call is over, and the model is told.
#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_goes_on_in_the_background() {
    let registry = Registry::new();
    let model = turns([
        Turn::calls([("Hang", "{}"), ("SlowEcho", r#"{"ms": 90000, "text": "late"}"#)]),
        Turn::say("I wait"),
        Turn::say("I wait"),
        Turn::say("done"),
    ]);
    let begin = tokio::time::Instant::now();
    let tools = toolbox([hang(), slow_echo()]);
    let finished = run(&registry.root_scope(), model.clone(), tools).await;
    assert_eq!(completed(&finished).text, "done");
    assert_eq!(begin.elapsed().as_secs(), 120);
    let requests = model.requests();
    let told: Vec<_> = results(&requests[1]).into_iter().map(|result| result.output).collect();
    assert!(told[0].starts_with(r#"{"task_id":"task:2","status":"running""#), "{told:?}");
    assert!(told[1].starts_with(r#"{"task_id":"task:3","status":"running""#), "{told:?}");
    let [late] = &common::texts(&requests[2])[..] else { panic!("{:#?}", requests[2]) };
    assert!(late.contains("task:3 \"SlowEcho\": completed]\n~~~~\nlate"), "{late}");
    let [.., failed] = &common::texts(&requests[3])[..] else { panic!("{:#?}", requests[3]) };
    assert!(failed.contains("task:2 \"Hang\": errored"), "{failed}");
    assert!(failed.contains("did not answer within 120 s"), "{failed}");
}

#[tokio::test]
async fn a_trace_line_is_short_and_one_line() {
    let registry = Registry::new();
    let args = format!("{{\"text\":\n\"{}\"}}", "x".repeat(500));
    let model = turns([Turn::call("Echo", &args), Turn::say("done")]);
    let finished = run(&registry.root_scope(), model, toolbox([echo()])).await;
    let line = &finished.trace()[0];
    assert!(line.starts_with("Echo {\"text\": \"xxx"), "{line}");
    assert!(line.ends_with("more bytes)") && line.len() < 110, "{line}");
}

#[tokio::test]
async fn past_the_step_cap_one_last_step_without_tools_answers() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let text = "call Echo {\"text\": \"1\"}\ncall Echo {\"text\": \"2\"}\ncall Echo {}\nsay {{1}} {{2}} {{3}}";
    let model = script(text);
    let agents = agents_with_cap(model.clone(), toolbox([echo()]), 2);
    let finished = agents.run(&root, AGENT, "go").await.unwrap();
    assert_eq!(completed(&finished).text, "1 2 (no result)");
    assert_eq!(finished.steps(), 3);
    assert_eq!(finished.trace().last().unwrap(), "step cap of 2 reached");
    let with_tools: Vec<bool> = model.requests().iter().map(|request| request.may_call).collect();
    assert_eq!(with_tools, [true, true, false]);
}

#[tokio::test]
async fn thirty_steps_are_the_cap_of_a_spec_without_one() {
    let registry = Registry::new();
    let calls = (0..100).map(|_| Turn::call("Echo", r#"{"text": "x"}"#));
    let model = turns(calls);
    let finished = run(&registry.root_scope(), model.clone(), toolbox([echo()])).await;
    // This model goes on calling: its calls are left out, and there is no text.
    assert_eq!(completed(&finished).text, "");
    assert_eq!((finished.steps(), model.requests().len()), (31, 31));
    assert_eq!(finished.trace().last().unwrap(), "step cap of 30 reached");
}

#[tokio::test]
async fn a_silent_last_turn_does_not_hide_an_earlier_text() {
    let registry = Registry::new();
    let call = bg_sessions::ToolCall::new("1", "Echo", "{}");
    let speaking = ModelReply::new(vec![
        Part::Thinking(Thinking::new("hm")),
        Part::text("I look"),
        Part::ToolCall(call),
    ]);
    let model = turns([Turn::Reply(speaking), Turn::Reply(ModelReply::default())]);
    let finished = run(&registry.root_scope(), model, toolbox([echo()])).await;
    let output = completed(&finished);
    assert_eq!((&*output.text, output.thoughts()), ("I look", Some("hm")));
}

#[tokio::test]
async fn a_panic_in_a_model_ends_its_run_and_the_others_go_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let broken = agents(turns([Turn::Panic("out of ideas")]), toolbox([]));
    let fine = agents(turns([Turn::say("fine")]), toolbox([]));
    let (a, b) = (start_worker(&broken, &root), start_worker(&fine, &root));
    let (a, b) = (end_of(&root, a).await, end_of(&root, b).await);
    assert!(matches!(&a.outcome, Outcome::Panicked(report) if report.message == "out of ideas"));
    assert_eq!(completed(&b).text, "fine");
}

/// One that was asked for JSON is asked once more; the second answer counts.
#[tokio::test]
async fn an_answer_that_is_no_json_may_be_given_once_more() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let schema = serde_json::json!({"type": "object"});
    let spec = bg_sessions::AgentSpec::new(AGENT).with_output_schema(schema);
    let run = async |answers: &[&str]| {
        let model = turns(answers.iter().map(|answer| Turn::say(*answer)));
        let models = bg_sessions::Models::new("test", model.clone());
        let agents = bg_sessions::Agents::builder(models).agent(spec.clone()).build().unwrap();
        (agents.run(&root, AGENT, "go").await.unwrap(), model.requests())
    };
    let (finished, requests) = run(&["```json\n{\"n\": 1}\n```"]).await;
    assert_eq!(completed(&finished).data().unwrap()["n"], 1);
    assert_eq!(requests.len(), 1);
    let (finished, requests) = run(&["it is 1", "{\"n\": 1}"]).await;
    assert_eq!(completed(&finished).data().unwrap()["n"], 1);
    assert!(common::texts(&requests[1])[0].contains("it is not JSON: expected value at line 1"));
    let (finished, requests) = run(&["it is 1", "I said 1"]).await;
    let why = finished.outcome.reason().unwrap();
    assert!(why.starts_with("the answer is not what was asked for: it is not JSON"), "{why}");
    assert_eq!(finished.outcome.output().unwrap().text, "I said 1");
    assert_eq!(requests.len(), 2);
}

/// An answer without its end is not taken for a whole one.
#[tokio::test]
async fn an_answer_that_was_cut_says_so() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let cut = |text| Turn::Reply(ModelReply::say(text).cut());
    let finished = run(&root, turns([cut("once upon")]), toolbox([])).await;
    let told = "once upon\n[cut here: the model reached its limit of output tokens]";
    assert_eq!(completed(&finished).text, told);
    // It is about the last text alone.
    let call = bg_sessions::ToolCall::new("1", "Echo", "{}");
    let first = ModelReply::new(vec![Part::text("I look"), Part::ToolCall(call)]).cut();
    let model = turns([Turn::Reply(first), Turn::say("whole")]);
    let finished = run(&root, model, toolbox([echo()])).await;
    assert_eq!(completed(&finished).text, "whole");
    let schema = serde_json::json!({"type": "object"});
    let spec = bg_sessions::AgentSpec::new(AGENT).with_output_schema(schema);
    let model = turns([cut("{\"n\": "), cut("{\"n\": 1}")]);
    let models = bg_sessions::Models::new("test", model.clone());
    let agents = bg_sessions::Agents::builder(models).agent(spec).build().unwrap();
    let finished = agents.run(&root, AGENT, "go").await.unwrap();
    assert_eq!(completed(&finished).text, "{\"n\": 1}", "it is whole as JSON");
    let asked = &common::texts(&model.requests()[1])[0];
    assert!(asked.contains("; it reached the limit of output tokens. Answer again."), "{asked}");
}
