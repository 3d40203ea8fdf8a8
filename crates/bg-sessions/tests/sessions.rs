//! Sessions: prompts, replies, and what waits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use std::time::Duration;

use bg_core::{Kind, Limits, Registry, Status};
use bg_sessions::{
    AgentSpec, Agents, InvokeError, ModelError, ModelRequest, Models, Part, Prompted, Role,
    RunOptions, SessionAnswer, SessionCommand, Turn,
};
use bg_tools::Resource;
use common::{AGENT, agents, completed, pause, settle, start, texts, toolbox, turns};
use talking::{Caller, SESSION};
use tokio::time::Instant;

/// The texts of a request, message by message, each with its speaker.
fn said(request: &ModelRequest) -> Vec<(Role, String)> {
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    };
    let messages = request.messages.iter();
    messages
        .map(|message| (message.role, message.parts.iter().filter_map(text).collect()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_remembers_what_was_said() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("3 crates"), Turn::say("the middle one")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    assert_eq!(caller.talk("map repo").await, "3 crates");
    pause(30_000).await;
    assert_eq!(caller.talk("the largest?").await, "the middle one");
    let heard = said(&model.requests()[1]);
    let expected =
        [(Role::User, "map repo"), (Role::Assistant, "3 crates"), (Role::User, "the largest?")];
    assert_eq!(heard, expected.map(|(role, text)| (role, text.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_session_and_its_prompts_are_tasks_of_the_caller() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("done").after(Duration::from_secs(5))]);
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    let task = caller.ask("go");
    settle().await;
    let listed: Vec<_> = root.snapshot().iter().map(|task| (task.id, task.status)).collect();
    let running = Status::Running { step: 1 };
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!((listed[0].0.kind(), listed[0].1), (Kind::SESSION, running));
    assert_eq!(listed[1], (task, running));
    let done = caller.reply(task).await;
    assert_eq!((done.label(), done.prompt()), (AGENT, "go"));
    assert_eq!(completed(&done).usage().input_tokens, 10);
    assert_eq!(completed(&done).model(), Some("turns"));
}

#[tokio::test(start_paused = true)]
async fn ids_are_compared_without_case_and_every_agent_and_scope_has_its_own() {
    let registry = Registry::new();
    let (one, other) = (registry.root_scope(), registry.root_scope());
    let model = turns((0..4).map(|number| Turn::say(number.to_string())));
    let agents = Agents::builder(Models::new("test", model.clone()))
        .agents([AgentSpec::new(AGENT), AgentSpec::new("second")])
        .build()
        .unwrap();
    let say = |scope, agent, session| {
        let prompt = SessionCommand::Prompt("go".to_owned());
        agents.prompt(scope, agent, session, prompt, RunOptions::default()).unwrap()
    };
    for (scope, agent, session) in [
        (&one, AGENT, "Main"),
        (&one, AGENT, " mAIN "),
        (&one, "second", "main"),
        (&other, AGENT, "main"),
    ] {
        let Prompted::Queued { task } = say(scope, agent, session) else { panic!("a command") };
        scope.wait([task]).await.unwrap();
    }
    let lengths: Vec<_> = model.requests().iter().map(|request| request.messages.len()).collect();
    assert_eq!(lengths, [1, 3, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn prompts_that_wait_together_are_one_turn_and_the_last_has_the_reply() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one").after(Duration::from_secs(1)), Turn::say("all")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    let first = caller.ask("first");
    settle().await;
    let waiting = ["a", "b", "c"].map(|text| caller.ask(text));
    assert_eq!(caller.text(first).await, "one");
    let [a, b, c] = waiting;
    assert_eq!(caller.text(c).await, "all");
    for earlier in [a, b] {
        let done = caller.reply(earlier).await;
        let output = completed(&done);
        assert!(output.text.contains(&c.to_string()), "{}", output.text);
        assert_eq!(output.data().unwrap()["answered_by"], c.to_string());
        assert_eq!(output.usage().requests, 0, "the turn is booked once");
    }
    assert_eq!(texts(&model.requests()[1]), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_was_stopped_while_it_waited_is_not_processed() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one").after(Duration::from_secs(1)), Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.ask("first");
    settle().await;
    let (stopped, kept) = (caller.ask("never mind"), caller.ask("second"));
    root.cancel(stopped, "changed my mind").unwrap();
    assert_eq!(caller.text(kept).await, "two");
    assert_eq!(texts(&model.requests()[1]), ["second"]);
    assert_eq!(caller.reply(stopped).await.status(), Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_what_it_took_is_answered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one").after(Duration::from_secs(1)), Turn::say("all")]);
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    caller.ask("first");
    settle().await;
    let waiting: Vec<_> = (0..64).map(|number| caller.ask(&number.to_string())).collect();
    let refused = caller.say("one too many").unwrap_err();
    assert!(matches!(refused, InvokeError::SessionFull { prompts: 64, .. }), "{refused}");
    for task in waiting {
        assert_eq!(caller.reply(task).await.status(), Status::Completed);
    }
    assert_eq!(root.live(), 1, "nothing is left of the one that was refused");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_after_its_idle_time_and_another_one_can_have_its_id() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.talk("first").await;
    let began = Instant::now();
    let ended = root.inbox().next().await.unwrap().ack();
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(ended.id.kind(), Kind::SESSION);
    let output = completed(&ended);
    assert!(output.text.contains("is over after 1 turns"), "{}", output.text);
    assert_eq!(output.usage().requests, 0, "the reply has told of it");
    assert_eq!(output.data().unwrap()["usage_in_all"]["requests"], 1);
    caller.talk("second").await;
    assert_eq!(texts(&model.requests()[1]), ["second"]);
    assert_eq!(model.requests()[1].messages.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ping_keeps_a_session_and_starts_none() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let caller = Caller::new(&agents(turns([Turn::say("one")]), toolbox([])), &root);
    assert!(matches!(caller.command("/ping"), SessionAnswer::NotActive { .. }));
    assert_eq!(root.live(), 0);
    caller.talk("first").await;
    for _ in 0..5 {
        pause(50_000).await;
        assert!(matches!(caller.command(""), SessionAnswer::Pinged { .. }));
    }
    pause(59_000).await;
    assert_eq!(root.live(), 1);
    pause(2_000).await;
    assert_eq!(root.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_fails_leaves_the_session_and_its_history_as_they_were() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::say("one"),
        Turn::Fail(ModelError::refused("no").with_source(std::io::Error::other("policy"))),
        Turn::Panic("broken"),
        Turn::say("three"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.talk("first").await;
    for (prompt, why) in [("bad", "the model failed: no: policy"), ("worse", "panicked: broken")] {
        let task = caller.ask(prompt);
        let done = caller.reply(task).await;
        assert_eq!(done.outcome.reason().unwrap(), why);
    }
    assert_eq!(caller.talk("third").await, "three");
    let heard: Vec<_> = said(&model.requests()[3]).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["first", "one", "third"]);
}

#[tokio::test(start_paused = true)]
async fn results_of_children_come_in_one_turn_whose_reply_the_caller_gets() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let child = |ms: u64| ("Start", format!(r#"{{"ms": {ms}, "text": "found"}}"#));
    let calls: Vec<_> = (0..42).map(|_| child(5000)).collect();
    let calls = calls.iter().map(|(tool, args)| (*tool, args.as_str()));
    let model = turns([Turn::calls(calls), Turn::say("started"), Turn::say("all 42 are in")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    assert_eq!(caller.talk("go").await, "started");
    let told = root.inbox().next().await.unwrap().ack();
    assert_eq!(told.id.kind(), Kind::AGENT);
    assert_eq!(completed(&told).text, "all 42 are in");
    assert!(told.prompt().starts_with("read the results of task:3, "), "{}", told.prompt());
    assert!(told.prompt().ends_with(" in session \"s1\""), "{}", told.prompt());
    assert_eq!(told.steps(), 1, "steps of the turn");
    let [burst] = &texts(&model.requests()[2])[..] else { panic!("more than one part") };
    assert_eq!(burst.matches("completed]").count(), 42);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_results_at_once_are_all_told() {
    let limits = Limits::default().undelivered(5000, 64 << 20);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    let flood = common::tool("Flood", async |cx, _| {
        for number in 0..4200 {
            cx.scope().spawn(bg_core::Task::new("child", ""), move |_| async move {
                pause(5000).await;
                Ok(bg_core::Output::text(number.to_string()))
            })?;
        }
        Ok(bg_tools::ToolOutput::text("on it"))
    });
    let more = (0..200).map(|_| Turn::say("read"));
    let model = turns([Turn::call("Flood", "{}"), Turn::say("started")].into_iter().chain(more));
    let caller = Caller::new(&agents(model.clone(), toolbox([flood])), &root);
    assert_eq!(caller.talk("go").await, "started");
    pause(10_000).await;
    let told: usize = model
        .requests()
        .iter()
        .skip(2)
        .map(|request| texts(request).concat().matches("completed]").count())
        .sum();
    assert_eq!(told, 4200);
    assert!(model.requests().len() < 60, "{}", model.requests().len());
}

#[tokio::test(start_paused = true)]
async fn results_that_a_failing_turn_was_given_come_again_with_the_next_input() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("Start", r#"{"ms": 1000, "text": "found"}"#),
        Turn::say("started"),
        Turn::Fail(ModelError::fatal("wrong key")),
        Turn::say("I see"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    caller.talk("go").await;
    let failed = root.inbox().next().await.unwrap().ack();
    assert_eq!(failed.outcome.reason().unwrap(), "the model failed: wrong key");
    pause(30_000).await;
    assert_eq!(model.requests().len(), 3, "it is not asked again by itself");
    assert_eq!(caller.talk("and?").await, "I see");
    let [prompt, result] = &texts(&model.requests()[3])[..] else { panic!("not two parts") };
    assert_eq!(prompt, "and?", "the caller's own words come first");
    assert!(result.contains("found"), "{result}");
}

#[tokio::test(start_paused = true)]
async fn a_session_with_work_of_its_own_waits_for_it_longer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("Start", r#"{"ms": 1800000, "text": "found"}"#),
        Turn::say("started"),
        Turn::say("done"),
    ]);
    let caller = Caller::new(&agents(model, toolbox([start()])), &root);
    caller.talk("go").await;
    let told = root.inbox().next().await.unwrap().ack();
    assert_eq!(completed(&told).text, "done");
}

#[tokio::test(start_paused = true)]
async fn an_agent_does_not_wait_for_a_session_that_waits_for_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("SA_helper", r#"{"prompt": "help", "session": "h"}"#),
        Turn::say("helped").after(Duration::from_secs(2)),
        Turn::say("done"),
    ]);
    let agents = Agents::builder(Models::new("test", model))
        .agents([AgentSpec::new("helper"), AgentSpec::new(AGENT).with_tools(["SA_helper"])])
        .build()
        .unwrap();
    let began = Instant::now();
    let done = agents.run(&root, AGENT, "go").await.unwrap();
    assert_eq!(completed(&done).text, "done");
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(root.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_dropped_leaves_no_session_on_the_list() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::Hang]);
    let agents = agents(model, toolbox([]));
    let caller = Caller::new(&agents, &root);
    caller.talk("first").await;
    caller.ask("second");
    settle().await;
    assert_eq!(agents.sessions_of(&root, None).len(), 1);
    drop(registry);
    settle().await;
    assert!(agents.sessions_of(&root, None).is_empty());
    assert!(matches!(caller.say("third"), Err(InvokeError::Spawn(_))));
    assert!(agents.sessions_of(&root, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_an_id_is_refused() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(turns([]), toolbox([]));
    for id in ["", "  ", "a\nb", &"x".repeat(65)] {
        let prompt = SessionCommand::Prompt("go".to_owned());
        let refused = agents.prompt(&root, AGENT, id, prompt, RunOptions::default()).unwrap_err();
        assert!(matches!(refused, InvokeError::SessionId), "{refused}");
    }
    let caller = Caller::new(&agents, &root);
    let blank = SessionCommand::Prompt(" \n".to_owned());
    let refused = agents.prompt(&root, AGENT, SESSION, blank, RunOptions::default()).unwrap_err();
    assert!(matches!(refused, InvokeError::EmptyPrompt), "{refused}");
    assert!(matches!(caller.say("/steer"), Err(InvokeError::EmptyPrompt)));
    let long = caller.say(&"x".repeat((1 << 20) + 1)).unwrap_err();
    assert!(matches!(long, InvokeError::PromptTooLong { .. }), "{long}");
    assert_eq!(root.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_may_be_an_attachment_alone() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("a chart")]);
    let spec = AgentSpec::new(AGENT).with_tags(["image"]);
    let agents = Agents::builder(Models::new("test", model.clone())).agent(spec).build().unwrap();
    let chart = Resource::new("chart.png").with_bytes([1]).with_tags(["image"]);
    let notes = Resource::new("notes.md").with_text("x").with_tags(["text"]);
    let ping = |resources| {
        let options = RunOptions::default().with_resources(resources);
        agents.prompt(&root, AGENT, SESSION, SessionCommand::Ping, options)
    };
    let refused = ping(vec![notes.clone()]).unwrap_err();
    assert!(matches!(refused, InvokeError::EmptyPrompt), "it does not receive that: {refused}");
    let Prompted::Queued { task } = ping(vec![notes, chart.clone()]).unwrap() else {
        panic!("a command")
    };
    root.wait([task]).await.unwrap();
    assert_eq!(model.requests()[0].messages[0].parts, [Part::resource(chart)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_race_for_an_id_have_one_session() {
    for _ in 0..50 {
        let registry = Registry::new();
        let root = registry.root_scope();
        let model = turns((0..10).map(|_| Turn::say("yes")));
        let agents = agents(model.clone(), toolbox([]));
        let caller = Caller::new(&agents, &root);
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(10));
        let race = |_| {
            let (caller, start) = (caller.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                caller.ask("go")
            })
        };
        let racing: Vec<_> = (0..10).map(race).collect();
        for asked in racing {
            let done = caller.reply(asked.await.unwrap()).await;
            assert_eq!(done.status(), Status::Completed);
        }
        let sessions =
            root.snapshot().iter().filter(|task| task.id.kind() == Kind::SESSION).count();
        assert_eq!(sessions, 1);
        let spoken = model.requests().last().map_or(0, |request| request.messages.len());
        assert_eq!(spoken, 2 * model.requests().len() - 1, "one conversation");
    }
}

/// The prompt comes in the instant of the idle end, before it or after it.
#[tokio::test(start_paused = true)]
async fn a_prompt_in_the_moment_of_the_idle_end_is_answered() {
    for late in 0..200 {
        let registry = Registry::new();
        let root = registry.root_scope();
        let model = turns([Turn::say("one"), Turn::say("two")]);
        let caller = Caller::new(&agents(model, toolbox([])), &root);
        caller.talk("first").await;
        pause(60_000 - 1).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..late % 20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(caller.talk("second").await, "two");
    }
}
