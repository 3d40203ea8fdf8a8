//! Definitions, what they name, and what is kept of conversations.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::num::NonZeroU32;

use bg_core::Registry;
use bg_sessions::{
    AgentSpec, Agents, AgentsError, InvokeAgent, InvokeError, Message, Models, ModelsError, Part,
    RunOptions, ScriptModel, SpecError, Thinking, ToolCall, ToolResult, is_agent_name,
};
use bg_tools::{Resource, Toolbox, select_resources};
use common::{AGENT, agents, completed, echo, end_of, script, toolbox};
use serde_json::json;

#[test]
fn a_name_is_lower_case_snake_with_a_letter_first_and_at_most_61_bytes() {
    for name in ["a", "explore", "test_writer", "a1_", &"a".repeat(61)] {
        assert!(is_agent_name(name), "{name}");
    }
    for name in ["", "A", "1a", "_a", "a-b", "a b", "\u{e4}", "a\n", &"a".repeat(62)] {
        assert!(!is_agent_name(name), "{name}");
        let expected = Err(SpecError::Name(name.to_owned()));
        assert_eq!(AgentSpec::new(name).check(), expected);
    }
}

#[test]
fn a_spec_survives_storage_and_leaves_out_what_is_not_said() {
    let spec = AgentSpec::new("explore")
        .with_description("Maps.")
        .with_instructions("Look.")
        .with_tools(["Read"])
        .with_tags(["code"])
        .with_model("quick")
        .with_step_cap(NonZeroU32::MIN);
    let stored = serde_json::to_value(&spec).unwrap();
    assert_eq!(stored["step_cap"], 1);
    assert_eq!(serde_json::from_value::<AgentSpec>(stored).unwrap(), spec);
    let bare = json!({"name": "explore"});
    assert_eq!(serde_json::to_value(AgentSpec::new("explore")).unwrap(), bare);
    assert_eq!(serde_json::from_value::<AgentSpec>(bare).unwrap(), AgentSpec::new("explore"));
    let misspelt = json!({"name": "explore", "tool": ["Read"]});
    assert!(serde_json::from_value::<AgentSpec>(misspelt).is_err());
}

#[test]
fn a_blank_description_is_replaced_where_it_is_shown() {
    let summary = |text: &str| AgentSpec::new("a").with_description(text).summary().to_owned();
    assert_eq!(summary(" \n"), "Delegated subagent worker.");
    assert_eq!(summary(" Digs. "), "Digs.");
}

#[track_caller]
fn build_error(specs: impl IntoIterator<Item = AgentSpec>) -> (AgentsError, String) {
    let models = Models::new("primary", script("say x"));
    let built = Agents::builder(models).toolbox(toolbox([echo()])).agents(specs).build();
    let error = built.unwrap_err();
    let chain = bg_core::Failure::from(error.clone()).to_string();
    (error, chain)
}

#[test]
fn agents_that_cannot_run_are_refused_when_they_are_put_together() {
    let spec = || AgentSpec::new("explore");
    let (error, _) = build_error([AgentSpec::new("Explore")]);
    assert_eq!(error, AgentsError::Spec(SpecError::Name("Explore".to_owned())));
    let (error, _) = build_error([spec(), spec()]);
    assert_eq!(error, AgentsError::Duplicate("explore".to_owned()));
    let (_, chain) = build_error([spec().with_tools(["Echo", "Nope"])]);
    let text =
        "agent \"explore\" names a tool that is not there: there is no tool with the name \"Nope\"";
    assert_eq!(chain, text);
    let (_, chain) = build_error([spec().with_model("huge")]);
    let text = "agent \"explore\" names a model that is not there: there is no model \"huge\"; the models are: primary";
    assert_eq!(chain, text);
}

#[test]
fn invoke_agent_may_be_named_though_no_toolbox_has_it() {
    let models = Models::new("primary", script("say x"));
    let spec = AgentSpec::new("explore").with_tools([InvokeAgent::NAME]);
    assert!(Agents::builder(models).agent(spec).build().is_ok());
}

#[test]
fn labels_of_models_are_read_in_any_case() {
    let models = Models::new("Primary", script("say x")).with("quick", script("say y")).unwrap();
    assert_eq!(models.labels().collect::<Vec<_>>(), ["primary", "quick"]);
    assert!(models.get(" QUICK ").is_ok());
    let again = models.clone().with("Quick", script("say z")).unwrap_err();
    assert_eq!(again, ModelsError::Duplicate("quick".to_owned()));
    assert!(matches!(models.get(""), Err(ModelsError::Unknown { .. })));
}

#[tokio::test]
async fn a_run_can_have_another_model_and_another_label() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(script("say usual"), toolbox([]));
    let options = RunOptions::default().with_model(script("say special")).with_label("special run");
    let id = agents.spawn(&root, AGENT, "go", options).unwrap();
    let finished = end_of(&root, id).await;
    assert_eq!((finished.label(), &*completed(&finished).text), ("special run", "special"));
}

#[tokio::test]
async fn a_run_that_cannot_begin_is_an_error_and_no_task() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(script("say x"), toolbox([]));
    let error = agents.run(&root, "nobody", "go").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no agent \"nobody\"; the agents are: worker");
    let error = agents.run(&root, AGENT, " ").await.unwrap_err();
    assert!(matches!(error, InvokeError::EmptyPrompt));
    assert!(root.snapshot().is_empty());
}

#[test]
fn an_agent_takes_the_resources_that_its_tags_select() {
    let all: Vec<Resource> = [&["image"][..], &["Text", "code"], &[], &[" * "]]
        .map(|tags| Resource::new("a").with_text("x").with_tags(tags.iter().copied()))
        .into();
    for tags in [&[][..], &["IMAGE "], &["code", "image"], &["x", "*"], &[""]] {
        let spec = AgentSpec::new("a").with_tags(tags.iter().copied());
        let taken: Vec<Resource> = all.iter().filter(|one| spec.takes(one)).cloned().collect();
        assert_eq!(taken, select_resources(&mut all.clone(), &spec.tags), "{tags:?}");
    }
}

#[test]
fn a_prompt_with_a_resource_survives_storage() {
    let chart = Resource::new("chart.png").with_mime("image/png").with_bytes([1, 2, 3]);
    let prompt = Message::user(vec![Part::text("look"), Part::resource(chart)]);
    let stored = serde_json::to_value(&prompt).unwrap();
    let resource = json!({"name": "chart.png", "mime": "image/png", "content": {"bytes": "AQID"}});
    assert_eq!(stored["parts"][1], json!({"resource": resource}));
    assert_eq!(serde_json::from_value::<Message>(stored).unwrap(), prompt);
}

#[test]
fn a_message_survives_storage() {
    let call = ToolCall::new("1", "Read", "{\"path\": ");
    let result = ToolResult::new(&call, "invalid JSON", false);
    let parts = vec![
        Part::Thinking(Thinking::new("hm")),
        Part::text("so"),
        Part::ToolCall(call),
        Part::ToolResult(result),
    ];
    let stored = serde_json::to_value(Message::assistant(parts.clone())).unwrap();
    let expected = json!({"role": "assistant", "parts": [
        {"thinking": {"text": "hm"}},
        {"text": "so"},
        {"tool_call": {"id": "1", "name": "Read", "args": "{\"path\": "}},
        {"tool_result": {"call_id": "1", "name": "Read", "output": "invalid JSON", "success": false}},
    ]});
    assert_eq!(stored, expected);
    let read: Message = serde_json::from_value(stored).unwrap();
    assert_eq!(read, Message::assistant(parts));
}

#[test]
fn several_sets_of_agents_serve_one_model() {
    let set = |names: [&str; 2]| {
        let models = Models::new("script", ScriptModel::new("say x".parse().unwrap()));
        Agents::builder(models).agents(names.map(AgentSpec::new)).build().unwrap()
    };
    let (house, guests) = (set(["explore", "plan"]), set(["plan", "write"]));
    let tools = Toolbox::new().with_source(house.tools(false)).with_source(guests.tools(false));
    let names: Vec<_> = tools.definitions().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["InvokeAgent", "SA_explore", "SA_plan", "SA_write"]);
    assert!(tools.contains("sa_WRITE"));
    assert!(house.get("Explore").is_some() && house.get("write").is_none());
}
