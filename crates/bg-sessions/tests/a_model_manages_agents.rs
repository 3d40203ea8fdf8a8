//! `subagents_manager` and `SA_<name>`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common;

use std::path::Path;

use bg_core::{Registry, Scope};
use bg_sessions::{AgentSpec, Agents, Effort, Model, Models, Part, Recorded, ScriptModel, Turn};
use bg_tools::{Resource, ToolContext, Toolbox, Wire};
use common::{echo, script, toolbox, turns};
use serde_json::{Value, json};

const MANAGER: &str = "subagents_manager";

/// A host whose model manages its agents.
struct Host {
    agents: Agents,
    tools: Toolbox,
    cx: ToolContext,
    root: Scope,
    _registry: Registry,
}

fn host(model: impl Model, folder: Option<&Path>) -> Host {
    let models =
        Models::new("primary", model).with("quick", ScriptModel::new("say q".parse().unwrap()));
    let builder = Agents::builder(models.unwrap()).toolbox(toolbox([echo()]));
    let builder = match folder {
        Some(folder) => builder.folder(folder),
        None => builder,
    };
    let agents = builder.build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let tools = Toolbox::new().with_source(agents.tools(true));
    Host { tools, cx: ToolContext::new(root.clone()), root, agents, _registry: registry }
}

impl Host {
    async fn wire(&self, tool: &str, args: Value) -> Wire {
        self.tools.call(&self.cx, tool, &args.to_string()).await.into_wire()
    }

    async fn json(&self, tool: &str, args: Value) -> Value {
        let wire = self.wire(tool, args).await;
        assert!(wire.success, "{}", wire.output);
        serde_json::from_str(&wire.output).unwrap()
    }

    async fn error(&self, args: Value) -> String {
        let wire = self.wire(MANAGER, args).await;
        assert!(!wire.success, "{}", wire.output);
        wire.output
    }

    fn tool_names(&self) -> Vec<String> {
        self.tools.definitions().into_iter().map(|tool| tool.name).collect()
    }
}

#[tokio::test]
async fn an_agent_that_was_defined_is_a_tool() {
    let host = host(script("say 3 crates"), None);
    assert_eq!(host.tool_names(), ["InvokeAgent", MANAGER]);
    let answer = host.json(MANAGER, json!({"name": "Explore", "tools": ["Echo"]})).await;
    let expected = json!({
        "result": "created", "name": "explore", "callable": "SA_explore", "persisted": false,
        "model": null, "effort": null, "active_sessions": 0,
        "hint": "it is new; call it as SA_explore",
    });
    assert_eq!(answer, expected);
    assert_eq!(host.tool_names(), ["InvokeAgent", "SA_explore", MANAGER]);
    let answer = host.json("SA_explore", json!({"prompt": "map"})).await;
    assert_eq!(answer["output"], "3 crates");
    let answer = host.json("sa_Explore", json!({"prompt": "map"})).await;
    assert_eq!(answer["output"], "3 crates", "models write names in any case");
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name() {
    let host = host(script("say x"), None);
    let first = json!({"name": "a", "instructions": "Look.", "effort": "high", "model": "quick", "tags": ["t"]});
    host.json(MANAGER, first).await;
    let change = json!({"operation": "UPDATE", "name": "a", "model": "", "effort": null, "description": "New."});
    let answer = host.json(MANAGER, change).await;
    assert_eq!(answer["hint"], "it was changed; call it as SA_a");
    let expected = AgentSpec::new("a").with_instructions("Look.").with_tags(["t"]);
    let expected = expected.with_description("New.").with_effort(Effort::High);
    assert_eq!(host.agents.get("a"), Some(expected), "an empty model is the default");
}

#[tokio::test]
async fn a_schema_may_be_an_object_or_its_text() {
    let host = host(script(r#"say {"n": 3}"#), None);
    let schema = json!({"type": "object"});
    for written in [schema.clone(), json!(schema.to_string())] {
        host.json(MANAGER, json!({"name": "a", "output_schema": written})).await;
        assert_eq!(host.agents.get("a").unwrap().output_schema, Some(schema.clone()));
    }
    let run = host.agents.run(&host.root, "a", "count").await.unwrap();
    assert_eq!(run.outcome.output().unwrap().data(), Some(&json!({"n": 3})));
    host.json(MANAGER, json!({"name": "a", "output_schema": ""})).await;
    assert_eq!(host.agents.get("a").unwrap().output_schema, None);
    let error = host.error(json!({"name": "a", "output_schema": "[1]"})).await;
    assert!(
        error.starts_with("subagents_manager: `output_schema`: expected a JSON Schema"),
        "{error}"
    );
}

#[tokio::test]
async fn a_model_and_an_effort_can_be_chosen_for_a_call() {
    let model = script("say primary");
    let recorded = Recorded::clone(&model);
    let host = host(model, None);
    host.json(MANAGER, json!({"name": "a", "effort": "low"})).await;
    host.json("SA_a", json!({"prompt": "p"})).await;
    host.json("SA_a", json!({"prompt": "p", "effort": "max", "model": ""})).await;
    let efforts: Vec<_> = recorded.requests().iter().map(|request| request.effort).collect();
    assert_eq!(efforts, [Some(Effort::Low), Some(Effort::Max)]);
    let answer = host.json("SA_a", json!({"prompt": "p", "model": "Quick"})).await;
    assert_eq!(answer["output"], "q");
    let wire = host.wire("SA_a", json!({"prompt": "p", "model": "slow"})).await;
    assert_eq!(
        wire.output,
        "SA_a: `model`: there is no model \"slow\"; the models are: primary, quick"
    );
    let wire = host.wire("SA_a", json!({"prompt": "p", "effort": "extreme"})).await;
    assert!(wire.output.starts_with("SA_a: `effort`: expected minimal, low,"), "{}", wire.output);
}

#[tokio::test]
async fn a_task_runs_at_once_and_its_answer_comes_along() {
    let host = host(script("say 3 crates"), None);
    let answer = host.json(MANAGER, json!({"name": "a", "task": "map repo"})).await;
    assert_eq!(answer["subagent"]["callable"], "SA_a");
    assert_eq!(
        (&answer["output"]["task_id"], &answer["output"]["output"]),
        (&json!("agent:1"), &json!("3 crates"))
    );
    assert_eq!(host.root.inbox().drain().count(), 0, "the answer delivered it");
}

#[tokio::test]
async fn a_task_that_fails_leaves_the_agent() {
    let host = host(turns([]), None);
    let answer = host.json(MANAGER, json!({"name": "a", "task": "map repo"})).await;
    assert_eq!(answer["output"]["status"], "errored");
    host.root.close(std::time::Duration::ZERO).await;
    let answer = host.json(MANAGER, json!({"name": "b", "task": "map repo"})).await;
    assert_eq!(answer["failed_reason"], "could not start: the scope is closed");
    assert_eq!(host.agents.specs().len(), 2);
}

#[tokio::test]
async fn a_list_is_filtered_and_fits_its_budget() {
    let host = host(script("say x"), None);
    for number in 0..100 {
        host.agents.upsert(AgentSpec::new(format!("agent_{number}")), false).await.unwrap();
    }
    let list = host.json(MANAGER, json!({"operation": "catalog"})).await;
    let shown = list["subagents"].as_array().unwrap().len();
    assert_eq!((&list["result"], &list["count"]), (&json!("listed"), &json!(100)));
    assert!((10..100).contains(&shown), "{shown}");
    assert_eq!(list["hint"], format!("{} more: list with a part of the name", 100 - shown));
    let some = host.json(MANAGER, json!({"operation": "list", "name": "_9"})).await;
    assert_eq!((&some["count"], &some["hint"]), (&json!(11), &json!("call one by its callable")));
    assert_eq!(some["subagents"][0]["callable"], "SA_agent_9");
}

#[tokio::test]
async fn one_can_be_shown_and_removed() {
    let host = host(script("say x"), None);
    host.json(MANAGER, json!({"name": "a", "instructions": "Look."})).await;
    let shown = host.json(MANAGER, json!({"operation": "get", "name": "A"})).await;
    assert_eq!((&shown["result"], &shown["instructions"]), (&json!("found"), &json!("Look.")));
    let removed = host.json(MANAGER, json!({"operation": "remove", "name": "a"})).await;
    assert_eq!(removed, json!({"result": "removed", "name": "a"}));
    for operation in ["get", "remove"] {
        let error = host.error(json!({"operation": operation, "name": "a"})).await;
        assert_eq!(error, "subagents_manager: `name`: there is no agent \"a\"");
    }
    let wire = host.wire("SA_a", json!({"prompt": "p"})).await;
    assert!(wire.output.starts_with("unknown tool \"SA_a\""), "{}", wire.output);
}

#[tokio::test]
async fn what_is_wrong_is_an_error_that_names_its_field_and_changes_nothing() {
    let host = host(script("say x"), None);
    let cases = [
        (json!({}), "missing required field `name`"),
        (json!({"name": "2nd"}), "`name`: \"2nd\" cannot be the name of an agent"),
        (
            json!({"name": "a", "tools": ["Fly"]}),
            "`tools`: agent \"a\" names a tool that is not there: there is no tool with the name \"Fly\"",
        ),
        (
            json!({"name": "a", "model": "slow"}),
            "`model`: agent \"a\" names a model that is not there: there is no model",
        ),
        (json!({"name": "a", "persist": true}), "`persist`: the host keeps no definitions"),
        (
            json!({"name": "a", "operation": "destroy"}),
            "`operation`: expected upsert, list, get or remove",
        ),
        (json!({"name": "a", "effort": "extreme"}), "`effort`: expected minimal"),
        (json!({"name": "a", "colour": "red"}), "unknown field `colour`"),
    ];
    for (args, expected) in cases {
        let error = host.error(args).await;
        let expected = format!("subagents_manager: {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(host.agents.specs(), []);
}

#[tokio::test]
async fn a_run_keeps_what_its_agent_was() {
    let model = turns([
        bg_sessions::Turn::call("subagents_manager", r#"{"name":"a","instructions":"Other."}"#),
        bg_sessions::Turn::say("done"),
    ]);
    let recorded = Recorded::clone(&model);
    let models = Models::new("primary", model);
    let spec = AgentSpec::new("a").with_instructions("First.").with_tools([MANAGER]);
    let agents = Agents::builder(models).agent(spec).build().unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    agents.run(&root, "a", "go").await.unwrap();
    let told: Vec<_> = recorded.requests().iter().map(|r| r.instructions.to_string()).collect();
    assert_eq!(told, ["First.", "First."]);
    assert_eq!(agents.get("a").unwrap().instructions, "Other.");
}

#[tokio::test]
async fn there_are_no_more_agents_than_there_may_be() {
    let host = host(script("say x"), None);
    for number in 0..Agents::MAX_AGENTS {
        host.agents.upsert(AgentSpec::new(format!("a{number}")), false).await.unwrap();
    }
    let error = host.error(json!({"name": "one_more"})).await;
    assert_eq!(error, "there are 256 agents, which is as many as there may be");
    host.json(MANAGER, json!({"name": "a0", "description": "A change is none."})).await;
}

#[tokio::test]
async fn an_empty_word_is_the_default() {
    let model = script("say primary");
    let recorded = Recorded::clone(&model);
    let host = host(model, None);
    host.json(MANAGER, json!({"name": "a", "model": "", "effort": ""})).await;
    let spec = host.agents.get("a").unwrap();
    assert_eq!((spec.model, spec.effort), (None, None));
    host.json("SA_a", json!({"prompt": "p", "model": " ", "effort": ""})).await;
    assert_eq!(recorded.requests()[0].effort, None);
}

#[tokio::test]
async fn a_description_names_eight_and_counts_the_others() {
    let names = |what: &str| (0..11).map(|number| format!("{what}{number}")).collect::<Vec<_>>();
    let spec = AgentSpec::new("a").with_tools(names("T")).with_tags(names("t"));
    let shown = spec.with_output_schema(json!({})).with_model("quick").routing();
    let expected = "Delegated subagent worker. Tags: t0, t1, t2, t3, t4, t5, t6, t7 and 3 more. \
                    Tools: T0, T1, T2, T3, T4, T5, T6, T7 and 3 more. Returns structured output. \
                    Model: quick.";
    assert_eq!(shown, expected);
    assert_eq!(AgentSpec::new("a").with_description(" Looks. ").routing(), "Looks.");
}

#[tokio::test(start_paused = true)]
async fn a_task_can_begin_a_session_which_the_status_shows() {
    let host = host(turns(["one", "two"].map(Turn::say)), None);
    let args =
        json!({"name": "explore", "task": "map repo", "session": "Main", "idle_timeout": 90});
    let began = host.json(MANAGER, args).await;
    assert_eq!(began["output"]["output"], "one");
    let more = json!({"prompt": "and now?", "session": "main"});
    assert_eq!(host.json("SA_explore", more).await["output"], "two");
    let changed = json!({"name": "explore", "description": "Looks around."});
    assert_eq!(host.json(MANAGER, changed).await["active_sessions"], 1);
    let status = host.json(MANAGER, json!({"operation": "status"})).await;
    let explore = &status["subagents"][0];
    assert_eq!(explore["active_sessions"], 1);
    assert_eq!(explore["idle_timeout"], 90);
    let session = &explore["sessions"][0];
    assert_eq!((&session["session"], &session["turns"]), (&json!("main"), &json!(2)));
    assert_eq!(session["last_progress"], "two");
    assert_eq!(session["models"]["turns"]["requests"], 2);
    let asked = host.json("SA_explore", json!({"prompt": "/status", "session": "main"})).await;
    assert_eq!((&asked["result"], &asked["turns"]), (&json!("status"), &json!(2)));
    let ended = host.json("SA_explore", json!({"prompt": "/cancel", "session": "main"})).await;
    assert_eq!(ended["result"], "cancelled");
    let status = host.json(MANAGER, json!({"operation": "list"})).await;
    assert_eq!(status["subagents"][0]["active_sessions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_receives_what_is_attached_to_the_call() {
    let model = Recorded::new(turns([Turn::say("seen")]));
    let mut host = host(model.clone(), None);
    let chart = Resource::new("chart.png").with_bytes([1, 2, 3]).with_tags(["image"]);
    let notes = Resource::new("notes.md").with_text("# Notes").with_tags(["text"]);
    host.cx = host.cx.with_resources(vec![chart.clone(), notes]);
    let args = json!({"name": "see", "tags": ["image"], "task": "look"});
    host.json(MANAGER, args).await;
    let parts = model.requests()[0].messages[0].parts.clone();
    assert_eq!(parts, [Part::text("look"), Part::resource(chart)]);
}
