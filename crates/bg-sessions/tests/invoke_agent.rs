//! `InvokeAgent`: a model runs agents.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::sync::Arc;
use std::time::Duration;

use bg_core::{Registry, Scope, Status};
use bg_sessions::{AgentSpec, Agents, InvokeAgent, Model, ModelError, Models, Turn};
use bg_tools::{Tool, ToolContext, Toolbox, WaitTask};
use common::{agents, completed, end_of, script, settle, texts, toolbox, turns};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The agent `worker` of this model, and a host's toolbox that can invoke it.
fn host(model: impl Model) -> Toolbox {
    Toolbox::new().with(InvokeAgent::new(agents(model, Toolbox::new()))).unwrap()
}

async fn call(root: &Scope, toolbox: &Toolbox, args: Value) -> bg_tools::Called {
    toolbox.call(&ToolContext::new(root.clone()), "InvokeAgent", &args.to_string()).await
}

fn json_of(called: bg_tools::Called) -> Value {
    let wire = called.into_wire();
    assert!(wire.success, "{}", wire.output);
    serde_json::from_str(&wire.output).unwrap()
}

#[tokio::test]
async fn a_blocking_call_answers_with_the_output_and_delivers_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = json!({"agent_name": " Worker ", "prompt": "map"});
    let called = call(&root, &host(script("say 3 crates")), args).await;
    let answer = r#"{"task_id":"agent:1","status":"completed","output":"3 crates"}"#;
    assert_eq!(called.to_wire().output, answer);
    drop(called);
    assert_eq!(root.snapshot().len(), 1, "not committed: the outcome is given back");
    assert_eq!(root.inbox().drain().count(), 1);
}

#[tokio::test]
async fn a_committed_answer_is_not_delivered_again() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = json!({"agent_name": "worker", "prompt": "map", "background": false});
    json_of(call(&root, &host(script("say x")), args).await);
    assert_eq!(root.inbox().drain().count(), 0);
}

#[tokio::test]
async fn an_agent_that_fails_is_an_answer_with_its_reason() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = json!({"agent_name": "worker", "prompt": "map"});
    let answer = json_of(call(&root, &host(script("fail no key")), args).await);
    let reason = "the model failed: no key";
    let expected =
        json!({"task_id": "agent:1", "status": "errored", "output": "", "reason": reason});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_long_output_is_cut_and_says_where_to_read_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = json!({"agent_name": "worker", "prompt": "map"});
    let model = turns([Turn::say("x".repeat(9000))]);
    let answer = json_of(call(&root, &host(model), args).await);
    let shown = answer["output"].as_str().unwrap().len();
    assert_eq!(answer["next_cursor"], json!(shown));
    assert_eq!(answer["omitted_bytes"], json!(9000 - shown));
}

#[tokio::test]
async fn a_background_call_answers_at_once_and_the_outcome_comes_to_the_inbox() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = json!({"agent_name": "worker", "prompt": "map", "background": true});
    let called = call(&root, &host(script("say later")), args).await;
    let answer = called.into_wire().output;
    assert_eq!(
        answer,
        r#"{"task_id":"agent:1","status":"running","note":"its result will arrive by itself"}"#
    );
    let claim = root.inbox().next().await.unwrap();
    assert_eq!(claim.outcome.output().unwrap().text, "later");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_outlives_the_patience_goes_on_in_the_background() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("at last").after(Duration::from_secs(500))]);
    let begin = Instant::now();
    let args = json!({"agent_name": "worker", "prompt": "map"});
    let answer = json_of(call(&root, &host(model), args).await);
    assert_eq!(begin.elapsed().as_secs(), 100);
    assert_eq!((&answer["task_id"], &answer["status"]), (&json!("agent:1"), &json!("running")));
    assert!(answer["note"].as_str().unwrap().contains("will arrive by itself"), "{answer}");
    let claim = root.inbox().next().await.unwrap();
    assert_eq!(claim.outcome.output().unwrap().text, "at last");
}

#[tokio::test(start_paused = true)]
async fn the_patience_outranks_the_deadline_of_the_toolbox() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("there").after(Duration::from_secs(50))]);
    let impatient = host(model).deadline(Duration::from_secs(1));
    let args = json!({"agent_name": "worker", "prompt": "map"});
    assert_eq!(json_of(call(&root, &impatient, args).await)["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_stops_its_agent() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let host = host(turns([Turn::Hang]));
    let call = call(&root, &host, json!({"agent_name": "worker", "prompt": "map"}));
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    let agent = "agent:1".parse().unwrap();
    assert_eq!(root.wait([agent]).await.unwrap().ended[0].status(), Status::Cancelled);
    assert_eq!(root.inbox().drain().count(), 0, "nobody is left to hear of it");
}

#[track_caller]
fn check_refused(called: bg_tools::Called, text: &str) {
    let wire = called.into_wire();
    assert!(!wire.success);
    assert_eq!(wire.output, text);
}

#[tokio::test]
async fn arguments_that_name_no_agent_or_say_nothing_start_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let host = host(script("say x"));
    let unknown = call(&root, &host, json!({"agent_name": "nobody\n", "prompt": "map"})).await;
    let text = "InvokeAgent: `agent_name`: there is no agent \"nobody\\n\"; the agents are: worker";
    check_refused(unknown, text);
    let silent = call(&root, &host, json!({"agent_name": "worker", "prompt": " \n"})).await;
    check_refused(silent, "InvokeAgent: `prompt`: the prompt is empty");
    let nameless = call(&root, &host, json!({"prompt": "map"})).await;
    check_refused(nameless, "InvokeAgent: missing required field `agent_name`");
    assert!(root.snapshot().is_empty());
}

#[test]
fn the_description_names_eight_agents_and_counts_the_rest() {
    let specs = (0..10).map(|n| AgentSpec::new(format!("agent{n}")).with_description("Digs."));
    let models = Models::new("script", script("say x"));
    let agents = Agents::builder(models).agents(specs).build().unwrap();
    let definition = InvokeAgent::new(agents).definition();
    assert!(definition.description.ends_with("agent6: Digs.; agent7: Digs.; and 2 more"));
    assert_eq!(definition.parameters["required"], json!(["agent_name", "prompt"]));
}

/// An agent `boss` with this model and `InvokeAgent`, and an agent `digger` with that one.
fn boss_and_digger(boss: impl Model, digger: impl Model) -> Agents {
    let models = Models::new("boss", boss).with("digger", digger).unwrap();
    let wait: Arc<dyn Tool> = Arc::new(WaitTask);
    Agents::builder(models)
        .toolbox(toolbox([wait]))
        .agent(AgentSpec::new("boss").with_tools([InvokeAgent::NAME, "WaitTask"]))
        .agent(AgentSpec::new("digger").with_model("Digger"))
        .build()
        .unwrap()
}

#[tokio::test]
async fn only_an_agent_whose_spec_lists_the_tool_has_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let boss =
        script("call InvokeAgent {\"agent_name\": \"digger\", \"prompt\": \"dig\"}\nsay {{1}}");
    let digger = turns([
        Turn::call("InvokeAgent", r#"{"agent_name": "digger", "prompt": "dig"}"#),
        Turn::say("alone"),
    ]);
    let agents = boss_and_digger(boss.clone(), digger.clone());
    let finished = agents.run(&root, "boss", "go").await.unwrap();
    let answer = r#"{"task_id":"agent:2","status":"completed","output":"alone"}"#;
    assert_eq!(completed(&finished).text, answer);
    // 2 requests of its own, 2 of its child; the script counts no tokens.
    let usage = completed(&finished).usage();
    assert_eq!((usage.requests, usage.input_tokens, usage.tool_calls), (4, 20, 2));
    let names = |tools: &[bg_tools::ToolDefinition]| {
        tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&boss.requests()[0].tools), ["InvokeAgent", "WaitTask"]);
    assert!(digger.requests()[0].tools.is_empty());
    assert!(common::results(&digger.requests()[1])[0].output.contains("unknown tool"));
}

#[tokio::test]
async fn an_agent_can_invoke_itself_if_it_lists_the_tool() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let again = r#"{"agent_name": "boss", "prompt": "again"}"#;
    let boss = turns([
        Turn::call("InvokeAgent", again),
        Turn::call("InvokeAgent", again),
        Turn::say("innermost"),
        Turn::say("inner"),
        Turn::say("outer"),
    ]);
    let agents = boss_and_digger(boss, turns([]));
    let finished = agents.run(&root, "boss", "go").await.unwrap();
    assert_eq!(completed(&finished).text, "outer");
    assert_eq!(completed(&finished).usage().requests, 5);
}

#[tokio::test(start_paused = true)]
async fn a_background_agent_of_an_agent_is_told_before_the_run_ends() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = r#"{"agent_name": "digger", "prompt": "dig", "background": true}"#;
    let boss = turns([Turn::call("InvokeAgent", args), Turn::say("digging"), Turn::say("dug")]);
    let digger = turns([Turn::say("gold").after(Duration::from_secs(60))]);
    let agents = boss_and_digger(boss.clone(), digger);
    let finished = agents.run(&root, "boss", "go").await.unwrap();
    assert_eq!(completed(&finished).text, "dug");
    let told = texts(&boss.requests()[2]).concat();
    assert_eq!(told, "[background task agent:2 \"digger\": completed]\n~~~~\ngold\n~~~~\n");
    assert_eq!(completed(&finished).usage().requests, 4);
}

#[tokio::test(start_paused = true)]
async fn two_calls_that_wait_for_one_agent_both_have_its_output() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let boss = turns([
        Turn::calls([
            ("InvokeAgent", r#"{"agent_name": "digger", "prompt": "dig"}"#),
            ("WaitTask", r#"{"task_id": "agent:2"}"#),
        ]),
        Turn::say("done"),
    ]);
    let digger = turns([Turn::say("gold").after(Duration::from_secs(1))]);
    let agents = boss_and_digger(boss.clone(), digger);
    let finished = agents.run(&root, "boss", "go").await.unwrap();
    let results = common::results(&boss.requests()[1]);
    assert!(results.iter().all(|result| result.output.contains("gold")), "{results:?}");
    let second = results.iter().filter(|result| result.output.contains("already_delivered"));
    assert_eq!(second.count(), 1);
    assert_eq!(completed(&finished).usage().requests, 3);
}

#[tokio::test(start_paused = true)]
async fn stopping_an_agent_stops_those_it_invoked() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let args = r#"{"agent_name": "digger", "prompt": "dig"}"#;
    let agents = boss_and_digger(turns([Turn::call("InvokeAgent", args)]), turns([Turn::Hang]));
    let mut events = registry.events();
    let id = agents.spawn(&root, "boss", "go", bg_sessions::RunOptions::default()).unwrap();
    settle().await;
    root.cancel(id, "enough").unwrap();
    assert_eq!(end_of(&root, id).await.status(), Status::Cancelled);
    let mut ended = 0;
    while ended < 2 {
        let event = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
        let event = event.expect("both are stopped").unwrap().unwrap();
        ended += usize::from(event.what == bg_core::EventKind::Status(Status::Cancelled));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_child_does_not_end_its_parent() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let busy = || Turn::Fail(ModelError::retryable("busy", None));
    let args = r#"{"agent_name": "digger", "prompt": "dig"}"#;
    let boss = turns([Turn::call("InvokeAgent", args), Turn::say("it failed")]);
    let agents = boss_and_digger(boss, turns([busy(), busy(), busy(), busy()]));
    let finished = agents.run(&root, "boss", "go").await.unwrap();
    assert_eq!(completed(&finished).text, "it failed");
}
