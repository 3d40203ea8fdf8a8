//! What sessions of other systems get wrong with what they have started, and what holds here instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Kind, Output, Registry, Task};
use bg_sessions::{
    AgentHook, AgentSpec, Agents, BoxError, Hooks, ModelRequest, Models, RunInfo, RunInput,
    RunOptions, SessionAnswer, Turn,
};
use bg_tools::{Tool, ToolOutput, WaitTask};
use common::{
    AGENT, agents, completed, pause, results, settle, start, texts, tool, toolbox, turns,
};
use talking::{Answering, Caller};
use tokio::time::Instant;

fn start_call(ms: u64) -> Turn {
    Turn::call("Start", &format!(r#"{{"ms": {ms}, "text": "found it"}}"#))
}

async fn ticks(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// How many results of background work a request tells.
fn told(request: &ModelRequest) -> usize {
    texts(request).concat().matches("completed]").count()
}

/// E2: there, the 43rd child that ends while the session is in a model call waits for it, for ever.
#[tokio::test(start_paused = true)]
async fn any_number_of_children_end_while_their_session_is_in_a_model_call() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let calls: Vec<_> = (0..100).map(|_| ("Start", r#"{"ms": 100, "text": "found it"}"#)).collect();
    let model = turns([
        Turn::calls(calls),
        Turn::say("started").after(Duration::from_secs(30)),
        Turn::say("all are in"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    let task = caller.ask("go");
    pause(1_000).await;
    let [session] = &agents_children(&caller)[..] else { panic!("not one session") };
    assert_eq!(session, &0, "none of them is live");
    assert_eq!(caller.text(task).await, "started");
    settle().await;
    assert_eq!(told(&model.requests()[2]), 100);
}

/// How many children of each session have not ended.
fn agents_children(caller: &Caller) -> Vec<usize> {
    let sessions = caller.agents.sessions_of(&caller.scope, None);
    let live = |session: &bg_sessions::SessionStatus| {
        session.children.iter().filter(|child| !child.status.is_terminal()).count()
    };
    sessions.iter().map(live).collect()
}

/// Asks a session of the caller's that is named, and waits for the reply.
fn ask_tool(callers: Arc<OnceLock<Caller>>) -> Arc<dyn Tool> {
    tool("Ask", move |_, args| {
        let session = if args["session"] == "a" { "a" } else { "b" };
        let caller = Caller { session, ..callers.get().unwrap().clone() };
        async move {
            let reply = caller.talk(args["text"].as_str().unwrap_or_default()).await;
            Ok(ToolOutput::text(reply))
        }
    })
}

/// Does what it was told to: `ask X: TEXT` asks X, all else is heard.
fn obeys(request: &ModelRequest) -> Turn {
    let last = texts(request).last().cloned().unwrap_or_default();
    match last.strip_prefix("ask ").and_then(|rest| rest.split_once(": ")) {
        _ if !results(request).is_empty() => Turn::say("asked"),
        Some((whom, text)) => {
            Turn::call("Ask", &serde_json::json!({ "session": whom, "text": text }).to_string())
        }
        None => Turn::say("heard"),
    }
}

/// E2: there, two that wait for each other do so for ever, with everybody else who tells them things.
#[tokio::test(start_paused = true)]
async fn two_sessions_that_wait_for_each_other_both_come_to_their_replies() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let callers: Arc<OnceLock<Caller>> = Arc::default();
    let agents = agents(Answering(obeys), toolbox([ask_tool(callers.clone())]));
    let a = Caller { session: "a", ..Caller::new(&agents, &root) };
    callers.get_or_init(|| a.clone());
    let began = Instant::now();
    assert_eq!(a.talk("ask b: ask a: ask b: hello").await, "asked");
    assert_eq!(began.elapsed().as_secs(), 60, "as long as a call is waited for");
    pause(600_000).await;
    assert_eq!(root.live(), 0);
    assert!(agents.sessions_of(&root, None).is_empty());
}

/// E3, E27: there, an empty word of a child is told as its end, and each word costs a turn.
#[tokio::test(start_paused = true)]
async fn a_session_is_told_of_a_child_once_and_when_it_has_ended() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let chatty = tool("Start", async |cx, _| {
        let id = cx.scope().spawn(Task::new("child", ""), |cx| async move {
            for step in 1..100 {
                cx.step(step);
                cx.trace(if step % 2 == 0 { "" } else { "still at it" });
                pause(100).await;
            }
            Ok(Output::text("found it"))
        })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    let model = turns([Turn::call("Start", "{}"), Turn::say("started"), Turn::say("read")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([chatty])), &root);
    caller.talk("go").await;
    pause(9_000).await;
    assert_eq!(model.requests().len(), 2);
    pause(600_000).await;
    assert_eq!((model.requests().len(), told(&model.requests()[2])), (3, 1));
}

/// E4: there, an end that is told twice brings its text and its whole cost twice.
#[tokio::test(start_paused = true)]
async fn a_child_that_was_waited_for_is_not_told_again_and_costs_once() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let wait: Arc<dyn Tool> = Arc::new(WaitTask);
    let child = tool("Start", async |cx, _| {
        let mut output = Output::text("found it");
        output.usage_mut().input_tokens = 100;
        let id = cx.scope().spawn(Task::new("child", ""), |_| async { Ok(output) })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    let model = turns([
        Turn::call("Start", "{}"),
        Turn::call("WaitTask", r#"{"task_id": "task:3"}"#),
        Turn::call("WaitTask", r#"{"task_id": "task:3"}"#),
        Turn::say("one"),
        Turn::say("two"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([child, wait])), &root);
    let task = caller.ask("go");
    let done = caller.reply(task).await;
    assert_eq!(completed(&done).usage().input_tokens, 4 * 10 + 100);
    pause(30_000).await;
    assert_eq!(model.requests().len(), 4, "no turn about what was read");
    caller.talk("and?").await;
    assert_eq!(texts(&model.requests()[4]), ["and?"]);
    assert_eq!(agents_children(&caller), [0]);
    let SessionAnswer::Status(status) = caller.command("/status") else { panic!("no status") };
    assert_eq!((status.usage.input_tokens, status.children_total), (150, 0));
}

/// D14: there, a wake that came too late begins an empty turn, and a prompt meanwhile is refused.
#[tokio::test(start_paused = true)]
async fn a_result_that_a_turn_has_taken_begins_no_other_turn() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let wait: Arc<dyn Tool> = Arc::new(WaitTask);
    let slow_wait = Turn::call("WaitTask", r#"{"task_id": "task:3"}"#);
    let model = turns([
        start_call(1_000),
        Turn::say("started"),
        // It ends meanwhile, which whoever listens hears; then the turn takes it.
        slow_wait.after(Duration::from_secs(2)),
        Turn::say("read"),
        Turn::say("three"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start(), wait])), &root);
    caller.talk("first").await;
    assert_eq!(caller.talk("second").await, "read");
    assert_eq!(caller.talk("third").await, "three", "in that moment");
    pause(30_000).await;
    let requests = model.requests();
    assert_eq!((requests.len(), requests.iter().map(told).sum::<usize>()), (5, 0));
    assert_eq!(texts(&requests[4]), ["third"]);
}

/// Refuses the turns that it is told to.
struct Refuses(&'static str);

#[async_trait]
impl AgentHook for Refuses {
    async fn before_run(&self, _: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        if input.prompt.contains(self.0) { Err("no".into()) } else { Ok(()) }
    }
}

/// D2, D16: there, a turn that a hook refuses loses the results that were taken out for it.
#[tokio::test(start_paused = true)]
async fn results_that_a_refused_turn_was_to_read_come_with_the_next_input() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let slow = Turn::say("slow").after(Duration::from_secs(3));
    let model = turns([start_call(1_000), Turn::say("started"), slow, Turn::say("I see")]);
    let spec = AgentSpec::new(AGENT).with_tools(["Start"]);
    let agents = Agents::builder(Models::new("test", model.clone()))
        .toolbox(toolbox([start()]))
        .agent(spec)
        .hooks(Hooks::new().with(Refuses("secret")))
        .build()
        .unwrap();
    let caller = Caller::new(&agents, &root);
    caller.talk("first").await;
    caller.ask("second");
    pause(100).await;
    // The child ends before its turn.
    let refused = caller.ask("the secret");
    let failed = caller.reply(refused).await;
    assert_eq!(failed.outcome.reason().unwrap(), "a hook refused the run: no");
    pause(1_000).await;
    assert_eq!(caller.talk("third").await, "I see");
    let requests = model.requests();
    assert_eq!((requests.len(), told(&requests[3])), (4, 1));
    assert!(!talking::heard(&requests[3]).contains(&"the secret".to_owned()));
}

/// E25: there, a turn that is dropped while its tools run loses calls and results.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_stopped_at_any_poll_has_a_whole_history_and_goes_on() {
    for count in 0..40 {
        let registry = Registry::new();
        let root = registry.root_scope();
        let halting = |text: &'static str| {
            tool(text, move |_, _| async move {
                ticks(3).await;
                Ok(ToolOutput::text(text))
            })
        };
        let says = |request: &ModelRequest| match request.messages.len() {
            1 => Turn::calls([("One", "{}"), ("Two", "{}")]),
            3 => Turn::call("Two", "{}"),
            _ => Turn::say("done"),
        };
        let model = bg_sessions::Recorded::new(Answering(says));
        let agents = agents(model.clone(), toolbox([halting("One"), halting("Two")]));
        let caller = Caller::new(&agents, &root);
        let first = caller.ask("first");
        ticks(count).await;
        caller.command("/stop");
        let ended = caller.reply(first);
        let ended = tokio::time::timeout(Duration::from_secs(1), ended).await;
        assert!(ended.is_ok(), "after {count} ticks");
        // The recorder refuses a history with an open call.
        caller.talk("second").await;
        assert_eq!(root.live(), 1, "after {count} ticks");
    }
}

/// E1: there, a stop reaches what is there in that moment; what the turn starts before it ends stays.
#[tokio::test(start_paused = true)]
async fn what_a_stopped_turn_starts_before_it_ends_is_stopped_too() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let callers: Arc<OnceLock<Caller>> = Arc::default();
    let stopping = callers.clone();
    let late = tool("Late", move |cx, _| {
        stopping.get().unwrap().command("/stop");
        async move {
            cx.scope().spawn(Task::new("late", ""), |_| async {
                pause(5_000).await;
                Ok(Output::text("found it"))
            })?;
            std::future::pending().await
        }
    });
    let model = turns([Turn::call("Late", "{}"), Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([late])), &root);
    callers.get_or_init(|| caller.clone());
    let first = caller.ask("first");
    assert_eq!(caller.reply(first).await.status(), bg_core::Status::Cancelled);
    assert_eq!(agents_children(&caller), [0]);
    assert_eq!(caller.talk("second").await, "two");
    pause(30_000).await;
    assert_eq!(model.requests().len(), 2, "no turn about it");
}

/// E10: there, what a stopped child has cost and left is neither told nor counted.
#[tokio::test(start_paused = true)]
async fn what_a_dropped_child_has_cost_is_told_at_the_end_of_the_session() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let child = tool("Start", async |cx, _| {
        let mut output = Output::text("found it");
        output.usage_mut().input_tokens = 100;
        let id = cx.scope().spawn(Task::new("child", ""), |_| async { Ok(output) })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    let model = turns([Turn::call("Start", "{}"), Turn::Hang]);
    let caller = Caller::new(&agents(model, toolbox([child])), &root);
    let task = caller.ask("first");
    pause(100).await;
    caller.command("/stop");
    caller.reply(task).await;
    let ended = root.inbox().next().await.unwrap().ack();
    let output = completed(&ended);
    assert_eq!(output.usage().input_tokens, 100, "the reply has told of the rest");
    assert_eq!(output.data().unwrap()["usage_in_all"]["input_tokens"], 110);
    assert!(ended.unclaimed().is_empty(), "{ended:?}");
}

/// E13: there, a tool that panics leaves a parent that waits for ever.
#[tokio::test(start_paused = true)]
async fn a_session_outlives_the_panics_of_its_tools_and_of_its_children() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let bad = tool("Bad", async |_, _| panic!("a tool of a test"));
    let child = tool("Start", async |cx, _| {
        let id = cx.scope().spawn(Task::new("child", ""), |_| async { panic!("a child") })?;
        Ok(ToolOutput::text(id.to_string()))
    });
    let calls = Turn::calls([("Bad", "{}"), ("Start", "{}")]);
    let model = turns([calls, Turn::say("started"), Turn::say("I see")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([bad, child])), &root);
    caller.talk("go").await;
    let told = root.inbox().next().await.unwrap().ack();
    assert_eq!((told.id.kind(), completed(&told).text.as_str()), (Kind::AGENT, "I see"));
    assert!(!results(&model.requests()[1])[0].success);
    assert!(texts(&model.requests()[2]).concat().contains("panicked"));
}

/// E5: there, the parent of a session is whoever has called last.
#[tokio::test(start_paused = true)]
async fn a_session_ends_with_the_one_who_has_started_it_and_with_nobody_else() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let says = |request: &ModelRequest| match talking::heard(request).concat().as_str() {
        "go" => Turn::call("SA_helper", r#"{"prompt": "help", "session": "s1"}"#),
        "help" => Turn::say("helped"),
        _ => Turn::say("done"),
    };
    let model =
        Answering(
            move |request: &ModelRequest| {
                if results(request).is_empty() { says(request) } else { Turn::say("done") }
            },
        );
    let agents = Agents::builder(Models::new("test", model))
        .agents([AgentSpec::new("helper"), AgentSpec::new(AGENT).with_tools(["SA_helper"])])
        .build()
        .unwrap();
    let ours = bg_sessions::SessionCommand::Prompt("help".to_owned());
    agents.prompt(&root, "helper", "s1", ours, RunOptions::default()).unwrap();
    settle().await;
    agents.run(&root, AGENT, "go").await.unwrap();
    settle().await;
    let [left] = &agents.sessions_of(&root, None)[..] else { panic!("not one session") };
    assert_eq!((left.agent.as_str(), left.turns), ("helper", 1), "the run had one of its own");
    assert_eq!(root.live(), 1);
}
