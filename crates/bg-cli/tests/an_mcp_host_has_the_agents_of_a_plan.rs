//! `bg mcp --plan`: the agents of a plan for an MCP host, and others that it defines itself.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use serde_json::json;
use support::mcp::Client;
use support::server::{Reply, Server};
use support::{Folder, bg, stderr};

const TEAM: &str = r#"
[[agent]]
name = "explore"
description = "Looks around."
tools = ["ListFiles"]
"#;

#[test]
fn its_agents_are_called_and_new_ones_are_defined() {
    let model = Server::new(|nth, _| match nth {
        0 => Reply::Call("ListFiles", "{}", 10, 1),
        _ => Reply::Say("one file", 10, 1),
    });
    let folder = Folder::new().with("a.txt", "a");
    let plan = folder.plan(TEAM);
    let plan = plan.to_str().unwrap();
    let more = ["--plan", plan, "--model", "openai:m", "--base-url", &model.base_url];
    let mut client = Client::handshaken(&folder, &more);
    let names = |client: &mut Client| -> Vec<String> {
        let tools = client.ask("tools/list", json!({}));
        let tools = tools["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let before = names(&mut client);
    for name in ["Bash", "InvokeAgent", "SA_explore", "subagents_manager", "WaitTask"] {
        assert!(before.iter().any(|other| other == name), "{name} is not in {before:?}");
    }
    // Those are for agents: a host has its own.
    assert!(!before.iter().any(|name| name == "ReadFile"), "{before:?}");
    let said = client.does("SA_explore", json!({"prompt": "look"}));
    assert_eq!((&said["status"], &said["output"]), (&json!("completed"), &json!("one file")));
    let args = json!({"agent_name": "explore", "prompt": "look", "background": true});
    let started = client.does("InvokeAgent", args);
    let waited = client.does("WaitTask", json!({"task_id": started["task_id"]}));
    assert_eq!(waited["output"], "one file", "{waited}");
    client.does("subagents_manager", json!({"name": "write", "description": "Writes."}));
    assert!(names(&mut client).iter().any(|name| name == "SA_write"));
}

#[test]
fn agents_that_nothing_plays_are_refused_before_anything_is_served() {
    let folder = Folder::new();
    let plan = folder.plan(TEAM);
    let output = bg(&["mcp", "--plan", plan.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("add --model") || stderr(&output).contains("Add --model"));
    assert!(output.stdout.is_empty());
}
