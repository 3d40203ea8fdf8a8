//! What background work costs in a model's context, in tokens of the o200k vocabulary.
//!
//! `cargo xtask context` runs these tests and shows what they print.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use bg_agents::core::{Completer, Exit, Output, Task, TaskId};
use bg_agents::sessions::{AgentSpec, Models, ScriptModel};
use bg_agents::tools::ToolDefinition;
use bg_agents::{Background, ToolContext};
use serde::Deserialize;
use serde_json::{Value, json};
use tiktoken_rs::{CoreBPE, o200k_base_singleton};

/// Most tokens of the three tools for tasks, and of all tools.
const THREE_TOOLS: usize = 450;
const ALL_TOOLS: usize = 1800;

/// Most tokens of the tool that manages agents, and of the tool for one agent.
const MANAGER: usize = 700;
const ONE_AGENT: usize = 150;

/// The answers may have half the tokens of those of another system.
const SHARE: (usize, usize) = (1, 2);

fn vocabulary() -> &'static CoreBPE {
    o200k_base_singleton()
}

fn tokens(text: &str) -> usize {
    vocabulary().encode_ordinary(text).len()
}

/// A life of some tasks: who they are, what a model asks about them and in which order.
#[derive(Deserialize)]
struct Life {
    about: String,
    tasks: Vec<TaskOfLife>,
    script: Vec<Step>,
}

#[derive(Deserialize)]
struct TaskOfLife {
    n: u64,
    kind: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    trace: Vec<String>,
    #[serde(default)]
    output: String,
    #[serde(default)]
    command: String,
    exit_code: Option<i32>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Step {
    List,
    Wait { task: u64, answer: String },
}

impl Life {
    fn read() -> Self {
        serde_json::from_str(include_str!("data/ten-task-life.json")).unwrap()
    }

    /// The tokens of the other system's answers, as its measurer has written them down.
    fn theirs(&self) -> usize {
        let (_, figure) = self.about.split_once("uncapped: ").unwrap();
        figure.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }
}

impl TaskOfLife {
    fn spec(&self) -> Task {
        match &*self.kind {
            "process" => Task::process("sh", self.command.clone()),
            _ => Task::agent(self.label.clone(), self.prompt.clone()),
        }
    }

    fn end(&self, completer: Completer) {
        let exited = |code| Output::exited(Exit { code: Some(code), signal: None });
        let output = self.exit_code.map_or_else(|| Output::text(&*self.output), exited);
        completer.complete(Ok(output));
    }
}

/// A host whose model asks about the tasks of a life.
struct Host {
    background: Background,
    cx: ToolContext,
    completers: BTreeMap<u64, Completer>,
    life: Life,
}

impl Host {
    fn new() -> Self {
        let background = Background::builder().build().unwrap();
        let life = Life::read();
        let root = background.root_scope();
        let mut completers = BTreeMap::new();
        for task in &life.tasks {
            let (id, completer) = root.register(task.spec()).unwrap();
            assert_eq!(id.number(), task.n);
            if task.kind == "agent" {
                completer.context().step(1);
            }
            task.trace.iter().for_each(|line| completer.context().trace(line.as_str()));
            completers.insert(task.n, completer);
        }
        let cx = background.context(&root);
        Self { background, cx, completers, life }
    }

    async fn call(&self, tool: &str, args: Value) -> String {
        let called = self.background.toolbox().call(&self.cx, tool, &args.to_string()).await;
        let wire = called.into_wire();
        assert!(wire.success && wire.full_output.is_none(), "{}", wire.output);
        wire.output
    }

    fn task(&self, number: u64) -> &TaskOfLife {
        self.life.tasks.iter().find(|task| task.n == number).unwrap()
    }

    /// Plays a step; returns what the model reads.
    async fn play(&mut self, step: &Step) -> String {
        let Step::Wait { task, answer } = step else {
            return self.call("ListBackgroundTasks", json!({})).await;
        };
        if answer != "timed_out"
            && let Some(completer) = self.completers.remove(task)
        {
            self.task(*task).end(completer);
        }
        let id: TaskId = self.id(*task);
        let read = self.call("WaitTask", json!({"task_id": id.to_string()})).await;
        let status = &serde_json::from_str::<Value>(&read).unwrap()["status"];
        assert_eq!(status, answer);
        read
    }

    fn id(&self, number: u64) -> TaskId {
        format!("{}:{number}", self.task(number).kind).parse().unwrap()
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_life_of_ten_tasks_costs_at_most_half_of_what_it_costs_elsewhere() {
    let mut host = Host::new();
    let script = std::mem::take(&mut host.life.script);
    let mut ours = 0;
    println!("{:<24} {:>6}", "answer", "tokens");
    for step in &script {
        let read = host.play(step).await;
        let count = tokens(&read);
        ours += count;
        let name = match step {
            Step::List => "list".to_owned(),
            Step::Wait { task, answer } => format!("wait {} {answer}", host.id(*task)),
        };
        println!("{name:<24} {count:>6}");
    }
    let theirs = host.life.theirs();
    let most = theirs * SHARE.0 / SHARE.1;
    println!("{:<24} {ours:>6}", "all");
    println!("{:<24} {theirs:>6}", "koda 0.2.22");
    println!("{:<24} {most:>6}", "bound");
    assert!(ours <= most, "{ours} tokens, at most {most}");
}

/// Everything that the answers left out is in the answer to a call that asks for it.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn nothing_of_a_life_is_out_of_reach() {
    let mut host = Host::new();
    let script = std::mem::take(&mut host.life.script);
    for step in &script {
        host.play(step).await;
    }
    for task in &host.life.tasks {
        let id = host.id(task.n).to_string();
        let read = host.call("ReadTaskOutput", json!({"task_id": id, "cursor": 0})).await;
        let read: Value = serde_json::from_str(&read).unwrap();
        assert_eq!((&read["text"], &read["eof"]), (&json!(task.output), &json!(true)));
        let seen = host.call("InspectTask", json!({"task_id": id})).await;
        let seen: Value = serde_json::from_str(&seen).unwrap();
        let asked = seen["description"].as_str().unwrap();
        let expected = match &*task.kind {
            "process" => task.command.clone(),
            _ => format!("{}: {}", task.label, task.prompt),
        };
        assert_eq!(asked, expected);
    }
}

fn all_definitions() -> Vec<ToolDefinition> {
    let model = ScriptModel::new("say x".parse().unwrap());
    let builder = Background::builder().folder(".").models(Models::new("script", model));
    let background = builder.agents([AgentSpec::new("explore")]).build().unwrap();
    background.toolbox().definitions()
}

#[test]
fn definitions_are_short() {
    let count = |tool: &ToolDefinition| tokens(&serde_json::to_string(tool).unwrap());
    let three = ["CancelTask", "ListBackgroundTasks", "WaitTask"];
    let definitions = all_definitions();
    let mut sums = [0, 0];
    println!("{:<24} {:>6}", "definition", "tokens");
    for tool in &definitions {
        let count = count(tool);
        println!("{:<24} {count:>6}", tool.name);
        sums[0] += if three.contains(&tool.name.as_str()) { count } else { 0 };
        sums[1] += count;
    }
    println!(
        "{:<24} {:>6} (at most {THREE_TOOLS}, koda 0.2.22: 901)",
        "the three for tasks", sums[0]
    );
    println!("{:<24} {:>6} (at most {ALL_TOOLS})", "all", sums[1]);
    assert_eq!(definitions.len(), 9);
    assert!(sums[0] <= THREE_TOOLS, "{} tokens", sums[0]);
    assert!(sums[1] <= ALL_TOOLS, "{} tokens", sums[1]);
}

#[test]
fn definitions_of_agents_are_short() {
    let model = || ScriptModel::new("say x".parse().unwrap());
    let models = Models::new("primary", model()).with("quick", model()).unwrap();
    let tools = ["Bash", "ListBackgroundTasks", "WaitTask", "ReadTaskOutput", "SendToTask"];
    let spec = AgentSpec::new("test_writer")
        .with_description("Writes tests for a function that it is given, runs them, and reports.")
        .with_tools(tools)
        .with_tags(["rust", "tests"])
        .with_model("quick");
    let builder = Background::builder().folder(".").models(models).agents([spec]);
    let background = builder.manage_agents().build().unwrap();
    let mut counted = 0;
    for tool in background.toolbox().definitions() {
        let most = match tool.name.as_str() {
            "subagents_manager" => MANAGER,
            name if name.starts_with("SA_") => ONE_AGENT,
            _ => continue,
        };
        let count = tokens(&serde_json::to_string(&tool).unwrap());
        println!("{:<24} {count:>6} (at most {most})", tool.name);
        assert!(count <= most, "{}: {count} tokens", tool.name);
        counted += 1;
    }
    assert_eq!(counted, 2);
}
