//! What a model reads, to the letter: the definitions of the tools, errors, answers.
//!
//! A change of these texts changes what models do. It shows in `tests/snapshots` and is accepted with
//! `INSTA_UPDATE=always cargo test --all-features -p bg-agents --test what_models_read`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bg_agents::core::{
    Block, BlockKind, Completer, Exit, Failure, Limits, Mailbox, Output, Phase, RecentBlocks,
    Stream, Task,
};
use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::{ToolDefinition, ToolError, ToolOutput};
use bg_agents::{Background, Scope, Tool, ToolContext};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A host with all tools, two more that misbehave, and what its model has read so far.
struct Host {
    background: Background,
    root: Scope,
    cx: ToolContext,
    read: String,
}

impl Host {
    fn new() -> Self {
        Self::saying("say 3 crates")
    }

    /// Its agents follow this script.
    fn saying(script: &str) -> Self {
        let model = ScriptModel::new(script.parse().unwrap());
        let waits = AgentSpec::new("explore").with_description("Reads code.");
        let background = Background::builder()
            .limits(Limits::default().running(4).queued(4))
            .folder(".")
            .models(Models::new("script", model))
            .agents([waits.with_tools(["Hang"])])
            .tools([Arc::new(Hang) as Arc<dyn Tool>, Arc::new(Break)])
            .build()
            .unwrap();
        let root = background.root_scope();
        let cx = background.context(&root);
        Self { background, root, cx, read: String::new() }
    }

    /// Calls a tool, and notes call and answer under a title.
    async fn call(&mut self, title: &str, tool: &str, args: &str) {
        let called = self.background.toolbox().call(&self.cx, tool, args).await.into_wire();
        let shown = if args.len() > 200 { "(long)" } else { args };
        let word = if called.success { "answer" } else { "error" };
        let output = called.output;
        writeln!(self.read, "# {title}\n{tool} {shown}\n{word}: {output}\n").unwrap();
    }

    fn agent(&self, label: &'static str, prompt: &'static str) -> Completer {
        self.root.register(Task::agent(label, prompt)).unwrap().1
    }

    fn process(&self, command: &'static str) -> Completer {
        let completer = self.root.register(Task::process("sh", command)).unwrap().1;
        completer.context().step(0);
        completer
    }
}

/// Never answers.
struct Hang;

/// Panics.
struct Break;

#[async_trait::async_trait]
impl Tool for Hang {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Value>("Hang", "Hangs.")
    }

    async fn call(&self, _: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        pending().await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_secs(1000))
    }
}

#[async_trait::async_trait]
impl Tool for Break {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Value>("Break", "Breaks.")
    }

    async fn call(&self, _: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        panic!("index 3 out of range")
    }
}

fn say(completer: &Completer, text: &str) {
    completer.context().log().write(Stream::Stdout, text.as_bytes());
}

fn exit(completer: Completer, code: i32) {
    completer.context().log().close();
    completer.complete(Ok(Output::exited(Exit { code: Some(code), signal: None })));
}

/// Ends a process that was stopped as the supervisor of a real one does.
fn killed(completer: Completer) {
    let receipt = json!({
        "requested": {"grace_ms": 5000}, "signals": ["SIGTERM"], "exit_code": null, "signal": 15,
        "containment": "cgroup", "survivors": [], "unattributed": [], "verdict": "gone",
    });
    let exited = Output::exited(Exit { code: None, signal: Some(15) });
    let partial = exited.with_data(json!({ "receipt": receipt }));
    completer.context().log().close();
    completer.complete(Err(Failure::new("stopped; ended by signal 15").with_partial(partial)));
}

fn definitions() -> Vec<ToolDefinition> {
    let all = Host::new().background.toolbox().definitions();
    all.into_iter().filter(|tool| !["Hang", "Break"].contains(&tool.name.as_str())).collect()
}

fn pretty(definitions: &[ToolDefinition]) -> String {
    assert_eq!(definitions.len(), 9);
    serde_json::to_string_pretty(definitions).unwrap()
}

#[test]
fn definitions_are_as_they_were_read_by_somebody() {
    insta::assert_snapshot!("definitions", pretty(&definitions()));
}

#[test]
fn strict_definitions_are_as_they_were_read_by_somebody() {
    let strict: Vec<_> = definitions().iter().map(ToolDefinition::strict).collect();
    insta::assert_snapshot!("strict_definitions", pretty(&strict));
}

/// Calls that are wrong by themselves, whatever tasks there are.
const BAD_ARGUMENTS: &[(&str, &str, &str)] = &[
    ("unknown tool", "WaitForTask", "{}"),
    ("not JSON", "WaitTask", r#"{"task_id": agent:1}"#),
    ("JSON that was cut", "WaitTask", r#"{"task_id": "agent:1""#),
    ("a key that is there twice", "CancelTask", r#"{"task_id": 1, "task_id": 2}"#),
    ("no object", "WaitTask", r#"["agent:1"]"#),
    ("missing", "WaitTask", "{}"),
    ("missing in another tool", "Bash", r#"{"background": true}"#),
    ("unknown field", "WaitTask", r#"{"task_id": 1, "timeout": 5}"#),
    ("a field where there are none but one", "ListBackgroundTasks", r#"{"status": "running"}"#),
    ("wrong type of an id", "WaitTask", r#"{"task_id": ["agent:1"]}"#),
    ("wrong type of a time", "WaitTask", r#"{"task_id": 1, "timeout_secs": "soon"}"#),
    ("wrong type of a count", "ReadTaskOutput", r#"{"task_id": 1, "cursor": -1}"#),
    ("wrong type of a flag", "Bash", r#"{"command": "true", "background": 1}"#),
    ("wrong type of a text", "SendToTask", r#"{"task_id": 1, "message": 7}"#),
    ("wrong word", "WaitTasks", r#"{"task_ids": [1], "until": "one"}"#),
    ("wrong stream", "ReadTaskOutput", r#"{"task_id": 1, "stream": "stdin"}"#),
    ("wrong type in a list", "WaitTasks", r#"{"task_ids": [1, null]}"#),
    ("an empty list", "WaitTasks", r#"{"task_ids": []}"#),
    ("bad id", "WaitTask", r#"{"task_id": "t_1"}"#),
    ("bad number", "WaitTask", r#"{"task_id": 7.5}"#),
    ("hidden characters in an id", "CancelTask", r#"{"task_id": "agent:1\n\u202Estop"}"#),
    ("not found", "WaitTask", r#"{"task_id": "agent:99"}"#),
    ("no such agent", "InvokeAgent", r#"{"agent_name": "plan", "prompt": "x"}"#),
    ("no prompt", "InvokeAgent", r#"{"agent_name": "explore", "prompt": " "}"#),
    ("deadline", "Hang", "{}"),
    ("panic", "Break", "{}"),
];

#[tokio::test(start_paused = true)]
async fn errors_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    for (title, tool, args) in BAD_ARGUMENTS {
        host.call(title, tool, args).await;
    }
    let long = json!({"task_id": "x".repeat(1 << 20)}).to_string();
    host.call("too big", "WaitTask", &long).await;
    let deep = format!(r#"{{"task_id":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    host.call("too deep", "WaitTask", &deep).await;
    let many = json!({"task_ids": vec!["agent:1"; 21]}).to_string();
    host.call("too many ids", "WaitTasks", &many).await;
    errors_of_tasks(&mut host).await;
    insta::assert_snapshot!("errors", host.read);
}

/// Calls that are wrong for the tasks that there are.
async fn errors_of_tasks(host: &mut Host) {
    let parent = host.agent("parent", "p");
    let child = parent.context().scope().register(Task::agent("child", "p"));
    let message = |task: u64| json!({"task_id": task, "message": "x"}).to_string();
    host.call("not the right kind", "WaitTask", r#"{"task_id": "process:1"}"#).await;
    host.call("forbidden", "CancelTask", r#"{"task_id": "agent:2"}"#).await;
    host.call("takes no messages", "SendToTask", &message(1)).await;
    drop(child);
    let full = host.agent("full", "p");
    let _mailbox: Mailbox = full.context().mailbox();
    let id = full.context().id();
    while host.root.send(id, "x").is_ok() {}
    host.call("full of messages", "SendToTask", &message(id.number())).await;
    full.complete(Ok(Output::text("done")));
    host.call("messages for what has ended", "SendToTask", &message(id.number())).await;
    let args = r#"{"agent_name": "explore", "prompt": "x", "background": true}"#;
    for _ in 0..8 {
        host.root.spawn(Task::agent("busy", "p"), |_| pending()).unwrap();
    }
    host.call("too many tasks", "InvokeAgent", args).await;
    let stopped = parent.context().scope();
    stopped.close(Duration::ZERO).await;
    host.cx = host.background.context(&stopped);
    host.call("a caller that has ended", "InvokeAgent", args).await;
}

#[tokio::test(start_paused = true)]
async fn answers_about_agents_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    host.call("list of nothing", "ListBackgroundTasks", "{}").await;
    let first = host.agent("explore", "map the repo and tell what each crate is for");
    let second = host.agent("review", "read the last commit");
    first.context().step(2);
    first.context().phase(Phase::WaitingForTool);
    first.context().trace("Read src/lib.rs");
    let recent = Arc::new(RecentBlocks::new(10));
    first.context().attach_view(recent.clone());
    recent.push(Block::new(BlockKind::User, "map the repo and tell what each crate is for"));
    recent.push(Block::new(BlockKind::Assistant, "I begin with the manifest."));
    let _mailbox: Mailbox = first.context().mailbox();
    host.call("wait, timed out", "WaitTask", r#"{"task_id": "agent:1"}"#).await;
    host.call("wait, and nothing new", "WaitTask", r#"{"task_id": 1, "timeout_secs": 900}"#).await;
    let token = CancellationToken::new();
    token.cancel();
    let cx = host.cx.clone();
    host.cx = cx.clone().with_token(token);
    host.call("wait, interrupted", "WaitTask", r#"{"task_id": 1}"#).await;
    host.cx = cx;
    let args = r#"{"task_id": 1, "recent_blocks": 2}"#;
    host.call("inspect", "InspectTask", args).await;
    let args = r#"{"task_id": 1, "message": "leave out the tests"}"#;
    host.call("send", "SendToTask", args).await;
    first.context().trace("Read src/main.rs");
    first.complete(Ok(Output::text("3 crates")));
    host.call("wait, completed", "WaitTask", r#"{"task_id": 1}"#).await;
    host.call("wait, again", "WaitTask", r#"{"task_id": 1}"#).await;
    host.call("read", "ReadTaskOutput", r#"{"task_id": 1, "cursor": 0}"#).await;
    second.complete(Err(Failure::new("no key").with_partial(Output::text("half of it"))));
    host.call("wait, errored", "WaitTask", r#"{"task_id": 2}"#).await;
    let _third = host.agent("explore", "x");
    host.call("cancel", "CancelTask", r#"{"task_id": 3}"#).await;
    host.call("cancel, again", "CancelTask", r#"{"task_id": 3}"#).await;
    host.call("wait, cancelled", "WaitTask", r#"{"task_id": 3}"#).await;
    host.call("cancel of what ended by itself", "CancelTask", r#"{"task_id": 1}"#).await;
    insta::assert_snapshot!("answers_about_agents", host.read);
}

#[tokio::test(start_paused = true)]
async fn answers_about_processes_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    let build = host.process("cargo build");
    say(&build, "Compiling a\n");
    host.call("wait, timed out", "WaitTask", r#"{"task_id": "process:1"}"#).await;
    say(&build, "Compiling b\n");
    host.call("read, what is new", "ReadTaskOutput", r#"{"task_id": 1}"#).await;
    say(&build, "error: no such crate\n");
    exit(build, 101);
    host.call("wait, exited", "WaitTask", r#"{"task_id": 1}"#).await;
    let long = host.process("yes");
    say(&long, &"y\n".repeat(40));
    let args = r#"{"task_id": 2, "cursor": 0, "max_bytes": 20}"#;
    host.call("read, a piece", "ReadTaskOutput", args).await;
    let token = long.context().token();
    let stopped = async move {
        token.cancelled().await;
        killed(long);
    };
    let ((), ()) = tokio::join!(host.call("cancel", "CancelTask", r#"{"task_id": 2}"#), stopped);
    host.call("wait, killed", "WaitTask", r#"{"task_id": 2}"#).await;
    let crashed = host.process("./crash");
    crashed.complete(Ok(Output::exited(Exit { code: None, signal: Some(11) })));
    host.call("wait, ended by a signal", "WaitTask", r#"{"task_id": 3}"#).await;
    insta::assert_snapshot!("answers_about_processes", host.read);
}

#[tokio::test(start_paused = true)]
async fn answers_about_several_tasks_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    let running = host.agent("explore", "map the repo");
    running.context().step(3);
    let tests = host.process("cargo test");
    let failing = host.agent("review", "read the last commit");
    let stopped = host.agent("explore", "x");
    let _waiting = host.agent("explore", "y");
    let panics = Task::agent("broken", "z");
    let broken = host.root.spawn(panics, |_| async { panic!("out of cheese") }).unwrap();
    exit(tests, 0);
    failing.complete(Err(Failure::new("no key")));
    host.root.cancel(stopped.context().id(), "the user said so").unwrap();
    host.root.wait([broken]).await.unwrap();
    host.call("list, every status", "ListBackgroundTasks", "{}").await;
    host.call("list, nothing new", "ListBackgroundTasks", "{}").await;
    let args = r#"{"task_ids": [1, "process:2", "agent:3", 4, 6, "agent:99", "x"]}"#;
    host.call("wait for all", "WaitTasks", args).await;
    let args = r#"{"task_ids": [1, 2], "until": "any"}"#;
    host.call("wait for any", "WaitTasks", args).await;
    let token = CancellationToken::new();
    token.cancel();
    host.cx = host.cx.clone().with_token(token);
    host.call("wait for all, interrupted", "WaitTasks", r#"{"task_ids": [1, 2]}"#).await;
    insta::assert_snapshot!("answers_about_several_tasks", host.read);
}

#[tokio::test(start_paused = true)]
async fn answers_of_sub_agents_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    let args = r#"{"agent_name": "explore", "prompt": "map the repo"}"#;
    host.call("in the foreground", "InvokeAgent", args).await;
    let args = r#"{"agent_name": "explore", "prompt": "map the repo", "background": true}"#;
    host.call("in the background", "InvokeAgent", args).await;
    let mut host = Host { read: host.read, ..Host::saying("call Hang {}\nsay done") };
    let args = r#"{"agent_name": "explore", "prompt": "map the repo"}"#;
    host.call("slower than the patience", "InvokeAgent", args).await;
    insta::assert_snapshot!("answers_of_sub_agents", host.read);
}

/// Real processes need a real clock.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_of_commands_are_as_they_were_read_by_somebody() {
    let mut host = Host::new();
    host.call("in the foreground", "Bash", r#"{"command": "echo 3 crates; exit 4"}"#).await;
    let args = r#"{"command": "exec sleep 1000", "background": true}"#;
    host.call("in the background", "Bash", args).await;
    let args = r#"{"command": "exec sleep 1000", "timeout_secs": 1}"#;
    host.call("slower than its time", "Bash", args).await;
    let args = r#"{"command": "true", "cwd": "/no/such/folder"}"#;
    host.call("what cannot start", "Bash", args).await;
    insta::assert_snapshot!("answers_of_commands", host.read);
}
