//! What a model may write instead of the arguments of `SA_<name>`: a text, or data of any other shape.
//! What is meant as arguments is never taken for a prompt.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common;

use bg_core::Registry;
use bg_sessions::{AgentSpec, Agents, Models, Part, Recorded};
use bg_tools::{ToolContext, Toolbox, Wire};
use common::script;
use serde_json::{Value, json};

const TOOL: &str = "SA_worker";

/// Calls a tool; returns its answer and the prompts that agents got.
async fn call(tool: &str, args: &str) -> (Wire, Vec<String>) {
    let model = script("say done");
    let recorded = Recorded::clone(&model);
    let agents = Agents::builder(Models::new("test", model)).agent(AgentSpec::new("worker"));
    let agents = agents.build().unwrap();
    let registry = Registry::new();
    let cx = ToolContext::new(registry.root_scope());
    let tools = Toolbox::new().with_source(agents.tools(true));
    let wire = tools.call(&cx, tool, args).await.into_wire();
    let first = |request: &bg_sessions::ModelRequest| match &request.messages[0].parts[0] {
        Part::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    (wire, recorded.requests().iter().map(first).collect())
}

async fn check(args: &str, prompt: &str) {
    let (wire, prompts) = call(TOOL, args).await;
    assert!(wire.success, "{args}: {}", wire.output);
    let answer: Value = serde_json::from_str(&wire.output).unwrap();
    assert_eq!((&answer["output"], prompts), (&json!("done"), vec![prompt.to_owned()]), "{args}");
}

async fn check_refused(tool: &str, args: &str, begins: &str) {
    let (wire, prompts) = call(tool, args).await;
    assert!(!wire.success && wire.output.starts_with(begins), "{args}: {}", wire.output);
    assert!(prompts.is_empty(), "{args} started an agent");
}

#[tokio::test]
async fn a_text_is_the_prompt() {
    check("map repo", "map repo").await;
    check("- {a}\n- [b]", "- {a}\n- [b]").await;
    check(r#""map \"repo\"""#, "map \"repo\"").await;
}

#[tokio::test]
async fn data_of_another_shape_is_the_prompt() {
    check("[1, 2]", "[1, 2]").await;
    check(r#"{"city": "Bern", "days": [1, 2]}"#, r#"{"city":"Bern","days":[1,2]}"#).await;
    check(r#"{"": {"prompt": "x"}}"#, r#"{"":{"prompt":"x"}}"#).await;
    check(r#""{\"city\": \"Bern\"}""#, r#"{"city":"Bern"}"#).await;
}

#[tokio::test]
async fn an_object_with_one_of_our_names_is_arguments_or_an_error() {
    check(r#"{"prompt": "map", "effort": "low"}"#, "map").await;
    let missing = "SA_worker: missing required field `prompt`";
    let cases = [
        ("{}", missing),
        ("", missing),
        (r#"{"background": true}"#, missing),
        (r#"{"model": "x"}"#, missing),
        (r#"{"effort": "low"}"#, missing),
        (r#"{"effort": "low", "city": "Bern"}"#, "SA_worker: unknown field `city`"),
        (r#"{"prompt": "map", "city": "Bern"}"#, "SA_worker: unknown field `city`"),
        (r#"{"prompt": 7}"#, "SA_worker: `prompt`: invalid type"),
        (r#"{"prompt": " "}"#, "SA_worker: `prompt`: "),
    ];
    for (args, begins) in cases {
        check_refused(TOOL, args, begins).await;
    }
}

#[tokio::test]
async fn every_name_of_the_schema_is_ours() {
    let agents = Agents::builder(Models::new("test", script("say done")));
    let agents = agents.agent(AgentSpec::new("worker")).build().unwrap();
    let tools = Toolbox::new().with_source(agents.tools(true));
    let tool = tools.definitions().into_iter().find(|tool| tool.name == TOOL).unwrap();
    let names = tool.parameters["properties"].as_object().unwrap();
    assert!(names.len() >= 4);
    for name in names.keys() {
        check_refused(TOOL, &json!({name: {}, "x": 1}).to_string(), "SA_worker: ").await;
    }
}

#[tokio::test]
async fn what_is_broken_or_says_nothing_is_an_error() {
    let invalid = "SA_worker: invalid JSON in the arguments: ";
    check_refused(TOOL, r#"{"prompt": "map"#, invalid).await;
    check_refused(TOOL, "{map repo}", invalid).await;
    check_refused(TOOL, r#"{"city": 1, "city": 2}"#, invalid).await;
    check_refused(TOOL, "null", "SA_worker: the arguments must be a JSON object, not null").await;
    check_refused(TOOL, r#""""#, "SA_worker: the arguments must be a JSON object, not a").await;
    check_refused(TOOL, &"x".repeat((1 << 20) + 1), "SA_worker: the arguments are too long").await;
}

#[tokio::test]
async fn the_other_tools_take_arguments_alone() {
    for tool in ["InvokeAgent", "subagents_manager"] {
        let invalid = format!("{tool}: invalid JSON in the arguments: ");
        check_refused(tool, "worker: map repo", &invalid).await;
        let unknown = format!("{tool}: unknown field `city`");
        check_refused(tool, r#"{"city": "Bern"}"#, &unknown).await;
    }
}
