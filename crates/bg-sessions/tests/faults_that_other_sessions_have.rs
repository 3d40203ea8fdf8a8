//! What sessions of other systems get wrong with what they are told, and what holds here instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use std::time::Duration;

use bg_core::{Kind, Limits, Registry, Status};
use bg_sessions::{
    AgentSpec, Agents, InvokeAgent, InvokeError, ModelError, Models, Prompted, RunOptions,
    SessionAnswer, SessionCommand, Turn,
};
use bg_tools::{ToolContext, Toolbox};
use common::{AGENT, agents, completed, hang, pause, settle, start, texts, toolbox, turns};
use talking::{Answering, Caller, SESSION};
use tokio::time::Instant;

/// E1: there, a stop throws away what waits with it, before and after, though it was acknowledged.
#[tokio::test(start_paused = true)]
async fn what_is_said_before_and_after_a_stop_is_each_answered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Hang, Turn::say("both")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    let first = caller.ask("first");
    settle().await;
    let before = caller.ask("before");
    let answer = caller.command("/stop not this");
    let after = caller.ask("after");
    assert!(matches!(answer, SessionAnswer::Stopped { waiting: 1, .. }), "{answer:?}");
    assert_eq!(caller.text(after).await, "both");
    assert_eq!(caller.reply(before).await.status(), Status::Completed);
    assert_eq!(caller.reply(first).await.outcome.reason().unwrap(), "not this");
    assert_eq!(texts(&model.requests()[1]), ["before", "after"]);
}

/// E1: the same of a cancel; what it drops is answered for, by name.
#[tokio::test(start_paused = true)]
async fn what_is_said_before_and_after_a_cancel_is_each_answered() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("new")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    let before = caller.ask("before");
    let answer = caller.command("/cancel enough");
    let after = caller.ask("after");
    let SessionAnswer::Cancelled { dropped, stopped, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((dropped, stopped), (vec![before], vec![]));
    assert_eq!(caller.reply(before).await.outcome.reason().unwrap(), "enough");
    assert_eq!(caller.text(after).await, "new");
    assert_eq!(texts(&model.requests()[0]), ["after"]);
}

/// E5: there, a session is a child of the call that has started it, and ends with that.
#[tokio::test(start_paused = true)]
async fn a_session_outlives_the_call_that_has_started_it() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Hang, Turn::say("still here")]);
    let agents = agents(model, toolbox([]));
    let tools = Toolbox::new().with(InvokeAgent::new(agents.clone())).unwrap();
    let cx = ToolContext::new(root.clone());
    let args = format!(r#"{{"agent_name": "{AGENT}", "prompt": "go", "session": "{SESSION}"}}"#);
    let call = tools.call(&cx, InvokeAgent::NAME, &args);
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err(), "it hangs");
    settle().await;
    let [session] = &root.snapshot()[..] else { panic!("{:?}", root.snapshot()) };
    assert_eq!(session.id.kind(), Kind::SESSION, "the prompt has ended with its call");
    let caller = Caller::new(&agents, &root);
    assert_eq!(caller.talk("and now?").await, "still here");
}

/// E5: there, the second session of a context becomes a child of the first.
#[tokio::test(start_paused = true)]
async fn two_sessions_of_one_caller_are_nothing_to_each_other() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Hang, Turn::say("the second's")]);
    let agents = agents(model, toolbox([]));
    let one = Caller::new(&agents, &root);
    let other = Caller { session: "s2", ..one.clone() };
    one.ask("first");
    settle().await;
    let second = other.ask("second");
    assert!(matches!(one.command("/cancel"), SessionAnswer::Cancelled { .. }));
    assert_eq!(other.text(second).await, "the second's");
    let [left] = &agents.sessions_of(&root, None)[..] else { panic!("not one session") };
    assert_eq!((left.session.as_str(), left.children_total), ("s2", 0));
}

/// E6: there, all that begins with a slash is a command, and what looks like arguments is parsed.
#[tokio::test(start_paused = true)]
async fn a_prompt_reaches_the_model_word_for_word_whatever_it_looks_like() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let prompts = [
        "/usr/bin/foo is broken",
        "/",
        "/ stop",
        "/stopping is hard",
        "/etc",
        "{}",
        r#"{"session": "other"}"#,
        r#"{"prompt": "/stop"}"#,
        "say /stop",
    ];
    let model = turns(prompts.map(Turn::say));
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    for (number, prompt) in prompts.into_iter().enumerate() {
        assert_eq!(caller.talk(prompt).await, prompt);
        assert_eq!(texts(&model.requests()[number]), [prompt]);
    }
}

/// E8: there, an unknown command begins a session with its raw text, as a steer does.
#[tokio::test(start_paused = true)]
async fn words_to_steer_never_begin_a_session_and_an_unknown_word_is_an_ordinary_prompt() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    assert!(matches!(caller.command("/STEER be brief"), SessionAnswer::NotActive { .. }));
    assert_eq!((root.live(), model.requests().len()), (0, 0));
    assert_eq!(caller.talk("/think hard").await, "one");
    assert_eq!(texts(&model.requests()[0]), ["/think hard"]);
}

/// E9: there, two agents whose sessions have the same name share one entry: cost, stop, end.
#[tokio::test(start_paused = true)]
async fn sessions_of_two_agents_with_one_name_are_counted_stopped_and_ended_apart() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = Answering(|_: &_| Turn::say("ok").after(Duration::from_secs(1)));
    let agents = Agents::builder(Models::new("test", model))
        .agents([AgentSpec::new(AGENT), AgentSpec::new("other")])
        .build()
        .unwrap();
    let say = |agent, text| {
        let command = SessionCommand::parse(text);
        agents.prompt(&root, agent, SESSION, command, RunOptions::default()).unwrap()
    };
    for _ in 0..2 {
        say(AGENT, "go");
        pause(2_000).await;
    }
    say("other", "go");
    pause(100).await;
    say(AGENT, "/cancel");
    let [other] = &agents.sessions_of(&root, None)[..] else { panic!("not one session") };
    assert_eq!((other.agent.as_str(), other.busy, other.usage.requests), ("other", true, 0));
    pause(2_000).await;
    let usage = agents.sessions_of(&root, Some("other"))[0].usage;
    assert_eq!((usage.requests, usage.input_tokens), (1, 10));
}

/// E12: there, a stop and a cancel wait for the model and the tools that they are meant to stop.
#[tokio::test(start_paused = true)]
async fn a_cancel_takes_effect_at_once_in_a_model_call_and_in_a_tool() {
    for plan in [vec![Turn::Hang], vec![Turn::call("Hang", "{}")]] {
        let registry = Registry::new();
        let root = registry.root_scope();
        let caller = Caller::new(&agents(turns(plan), toolbox([hang()])), &root);
        let task = caller.ask("go");
        pause(200).await;
        let began = Instant::now();
        caller.command("/cancel");
        assert_eq!(caller.reply(task).await.status(), Status::Cancelled);
        settle().await;
        assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
        assert_eq!(root.live(), 0);
    }
}

/// E14: there, any error of the model ends the session, and all that waits is lost.
#[tokio::test(start_paused = true)]
async fn an_error_of_the_model_costs_no_prompt_that_waits_and_no_history() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let busy = || Turn::Fail(ModelError::retryable("busy", None));
    let plan = [Turn::say("one"), busy(), busy(), busy(), busy(), busy(), Turn::say("three")];
    let model = turns(plan);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.talk("first").await;
    let second = caller.ask("second");
    settle().await;
    let third = caller.ask("third");
    let failed = caller.reply(second).await;
    assert_eq!(failed.outcome.reason().unwrap(), "the model failed 4 times: busy");
    assert_eq!(caller.text(third).await, "three", "after another attempt");
    let heard = talking::heard(model.requests().last().unwrap());
    assert_eq!(heard, ["first", "one", "third"]);
}

/// E20: there, closing a session does nothing, and one that is taken off the list runs on for ever.
#[tokio::test(start_paused = true)]
async fn a_session_whose_agent_is_removed_is_still_a_task_that_can_be_stopped() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(turns([Turn::say("one"), Turn::Hang]), toolbox([]));
    let caller = Caller::new(&agents, &root);
    caller.talk("first").await;
    let second = caller.ask("second");
    settle().await;
    assert!(agents.remove(AGENT).await.unwrap());
    assert!(matches!(caller.say("third"), Err(InvokeError::UnknownAgent { .. })));
    let [status] = &agents.sessions_of(&root, None)[..] else { panic!("not one session") };
    root.cancel(status.task_id.unwrap(), "gone").unwrap();
    assert_eq!(caller.reply(second).await.status(), Status::Cancelled);
    settle().await;
    assert!(agents.sessions_of(&root, None).is_empty());
    assert_eq!(root.live(), 0);
}

/// E20: the same where nobody stops it: it ends after its idle time.
#[tokio::test(start_paused = true)]
async fn a_session_whose_agent_is_removed_ends_by_itself() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(turns([Turn::call("Start", "{}"), Turn::say("1")]), toolbox([start()]));
    Caller::new(&agents, &root).talk("first").await;
    agents.remove(AGENT).await.unwrap();
    pause(125_000).await;
    assert_eq!((root.live(), agents.sessions_of(&root, None).len()), (0, 0));
}

/// E24: there, nothing limits how many sessions there are and how much waits for them.
#[tokio::test(start_paused = true)]
async fn sessions_and_what_waits_for_them_are_limited_and_a_refusal_starts_nothing() {
    let registry = Registry::new();
    let (root, other) = (registry.root_scope(), registry.root_scope());
    let agents = agents(Answering(|_: &_| Turn::Hang), toolbox([]));
    let ask = |scope, id: &str, text: String| {
        let prompt = SessionCommand::Prompt(text);
        agents.prompt(scope, AGENT, id, prompt, RunOptions::default())
    };
    for number in 0..64 {
        ask(&root, &number.to_string(), "go".to_owned()).unwrap();
    }
    let refused = ask(&root, "one more", "go".to_owned()).unwrap_err();
    assert!(matches!(refused, InvokeError::TooManySessions(64)), "{refused}");
    settle().await;
    assert_eq!(root.live(), 128, "a session and a prompt each");
    ask(&root, "0", "y".repeat(1 << 20)).unwrap();
    let refused = ask(&root, "0", "x".to_owned()).unwrap_err();
    assert!(matches!(refused, InvokeError::SessionFull { prompts: 1, .. }), "{refused}");
    assert_eq!(root.live(), 129);
    let elsewhere = ask(&other, "one more", "go".to_owned()).unwrap();
    assert!(matches!(elsewhere, Prompted::Queued { .. }), "another scope has its own");
}

/// E24: nor does one that is over take the place of another.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_cancelled_does_not_count_from_then_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let agents = agents(Answering(|_: &_| Turn::Hang), toolbox([]));
    let say = |id: &str, text: &str| {
        agents.prompt(&root, AGENT, id, SessionCommand::parse(text), RunOptions::default())
    };
    for number in 0..64 {
        say(&number.to_string(), "go").unwrap();
    }
    settle().await;
    for id in ["0", "another"] {
        say("0", "/cancel").unwrap();
        assert!(matches!(say(id, "go").unwrap(), Prompted::Queued { .. }), "{id}");
    }
    assert!(say("one more", "go").is_err());
}

/// E24: nor is a session left of which the first prompt is over a limit of the host's.
#[tokio::test(start_paused = true)]
async fn a_prompt_that_the_registry_refuses_leaves_no_session() {
    let registry = Registry::builder().limits(Limits::default().per_scope(1)).build();
    let root = registry.root_scope();
    let agents = agents(turns([]), toolbox([]));
    let caller = Caller::new(&agents, &root);
    for _ in 0..2 {
        assert!(matches!(caller.say("go"), Err(InvokeError::Spawn(_))));
        settle().await;
        assert_eq!((root.live(), agents.sessions_of(&root, None).len()), (0, 0));
    }
}

/// E22: there, the result of a session is lost where nobody has a hook for it.
#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_has_waited_for_is_there_after_the_session() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let caller = Caller::new(&agents(turns([Turn::say("one")]), toolbox([])), &root);
    let task = caller.ask("first");
    pause(3_600_000).await;
    assert_eq!(root.live(), 0, "the session is over");
    let ended: Vec<_> = std::iter::from_fn(|| root.inbox().try_next().map(bg_core::Claim::ack))
        .map(|done| (done.id, completed(&done).text.clone()))
        .collect();
    assert_eq!(ended[0], (task, "one".to_owned()));
    assert!(ended[1].1.contains("is over after 1 turns"), "{ended:?}");
}
