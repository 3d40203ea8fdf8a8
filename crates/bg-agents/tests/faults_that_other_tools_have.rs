//! What the tools of another system get wrong about commands and agents together, and what holds
//! here instead.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use bg_agents::core::{Limits, TaskId};
use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::Wire;
use bg_agents::{Background, Scope, ToolContext};
use serde_json::{Value, json};

struct Host {
    background: Background,
    root: Scope,
    cx: ToolContext,
}

fn host(limits: Limits) -> Host {
    let model = ScriptModel::new("say 3 crates".parse().unwrap());
    let builder = Background::builder().folder("/").models(Models::new("script", model));
    let background = builder.agents([AgentSpec::new("explore")]).limits(limits).build().unwrap();
    let root = background.root_scope();
    let cx = background.context(&root);
    Host { background, root, cx }
}

impl Host {
    async fn call(&self, tool: &str, args: Value) -> Wire {
        self.background.toolbox().call(&self.cx, tool, &args.to_string()).await.into_wire()
    }

    async fn answer(&self, tool: &str, args: Value) -> Value {
        let wire = self.call(tool, args).await;
        assert!(wire.success, "{}", wire.output);
        serde_json::from_str(&wire.output).unwrap()
    }

    /// Waits until a command has written its first bytes.
    async fn has_begun(&self, command: &Value) {
        let id: TaskId = command["task_id"].as_str().unwrap().parse().unwrap();
        let log = loop {
            if let Some(log) = self.root.log(id).unwrap() {
                break log;
            }
            tokio::task::yield_now().await;
        };
        log.follow(0).next(1).await.expect("it writes something");
    }
}

fn command(command: &str) -> Value {
    json!({"command": command, "background": true})
}

// There, the description promises SIGTERM and an exit code, and a stop is SIGKILL without one.
#[tokio::test]
async fn a_stop_asks_first_and_the_exit_code_is_told() {
    let host = host(Limits::default());
    let stubborn = "trap 'echo asked; exit 7' TERM; echo begun; while :; do sleep 1000; done";
    let started = host.answer("Bash", command(stubborn)).await;
    host.has_begun(&started).await;
    let id = &started["task_id"];
    let stopped = host.answer("CancelTask", json!({"task_id": id})).await;
    assert_eq!((&stopped["cancelled"], &stopped["status"]), (&json!(true), &json!("killed")));
    assert_eq!(stopped["receipt"]["signals"], json!(["SIGTERM"]));
    let waited = host.answer("WaitTask", json!({"task_id": id})).await;
    assert_eq!((&waited["status"], &waited["exit_code"]), (&json!("killed"), &json!(7)));
    let text = waited["output"]["text"].as_str().unwrap();
    assert!(text.starts_with("begun\n") && text.contains("asked\n"), "{text}");
    for tool in host.background.toolbox().definitions() {
        let told = tool.description.to_ascii_lowercase();
        assert!(!told.contains("sig") && !told.contains("pid"), "{told}");
    }
}

// There, agents and commands are in two tables, each with its own ids, order and limits.
#[tokio::test]
async fn agents_and_commands_are_in_one_table_with_one_order_and_one_limit() {
    let host = host(Limits::default().running(2).queued(1));
    let slow = host.answer("Bash", command("exec sleep 1000")).await;
    let invoke = json!({"agent_name": "explore", "prompt": "x", "background": true});
    let agent = host.answer("InvokeAgent", invoke.clone()).await;
    let quick = host.answer("Bash", command("exit 5")).await;
    let ids = [&slow, &agent, &quick].map(|started| &started["task_id"]);
    assert_eq!(ids, ["process:1", "agent:2", "process:3"]);
    let list = host.answer("ListBackgroundTasks", json!({})).await;
    let listed: Vec<_> = list.as_array().unwrap().iter().map(|task| &task["task_id"]).collect();
    assert_eq!(listed, ids);
    let args = json!({"task_ids": ["process:1", "agent:2"], "until": "any"});
    let first = host.answer("WaitTasks", args).await;
    assert_eq!(first["tasks"][0]["status"], "running");
    assert_eq!(first["tasks"][1]["output"], "3 crates");
    let quick = host.answer("WaitTask", json!({"task_id": 3})).await;
    assert_eq!(quick["exit_code"], 5);
    host.answer("Bash", command("exec sleep 1000")).await;
    host.answer("Bash", command("exec sleep 1000")).await;
    let refused = host.call("InvokeAgent", invoke).await;
    let expected = "could not start: the limit of 1 queued tasks is reached";
    assert_eq!((refused.success, &*refused.output), (false, expected));
}
