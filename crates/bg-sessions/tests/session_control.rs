//! Commands to sessions: they do not wait for the turn that is under way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_sessions as talking;

use std::time::Duration;

use bg_core::{Kind, Outcome, Output, Phase, Registry, Status};
use bg_sessions::{
    AgentSpec, Agents, Models, Part, Prompted, RunOptions, SessionAnswer, SessionCommand, Turn,
};
use bg_tools::Resource;
use common::{
    AGENT, agents, completed, hang, results, settle, slow_echo, start, texts, toolbox, turns,
};
use talking::{Caller, SESSION};
use tokio::time::Instant;

fn partial(outcome: &Outcome) -> &Output {
    match outcome {
        Outcome::Cancelled(stop) => stop.error.as_ref().unwrap().partial.as_deref().unwrap(),
        other => panic!("not cancelled: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_effect_in_the_middle_of_a_model_call_and_the_session_goes_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("SlowEcho", r#"{"text": "a", "ms": 1}"#),
        Turn::say("late").after(Duration::from_secs(3)),
        Turn::say("two"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([slow_echo()])), &root);
    let (first, began) = (caller.ask("first"), Instant::now());
    common::pause(200).await;
    let answer = caller.command("/stop not that");
    let done = caller.reply(first).await;
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    let stopped = vec![first];
    let expected = SessionAnswer::Stopped {
        session: SESSION.to_owned(),
        stopped,
        dropped: vec![],
        waiting: 0,
    };
    assert_eq!(answer, expected);
    assert_eq!(done.outcome.reason().unwrap(), "not that");
    assert_eq!(partial(&done.outcome).usage().requests, 1, "what it had cost is told");
    assert_eq!(caller.talk("second").await, "two");
    assert_eq!(texts(&model.requests()[2]), ["second"]);
    assert_eq!(results(&model.requests()[1])[0].output, "a");
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_the_prompts_that_wait() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Hang, Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    let first = caller.ask("first");
    settle().await;
    let second = caller.ask("second");
    let answer = caller.command("/STOP");
    let SessionAnswer::Stopped { stopped, waiting: 1, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(stopped, [first]);
    assert_eq!(caller.text(second).await, "two");
    assert_eq!(texts(&model.requests()[1]), ["second"], "a stopped prompt leaves nothing");
    assert_eq!(caller.reply(first).await.status(), Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn stopping_the_task_of_a_prompt_stops_its_turn() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::Hang, Turn::say("two")]);
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    let first = caller.ask("first");
    settle().await;
    root.cancel(first, "enough").unwrap();
    settle().await;
    assert_eq!(caller.reply(first).await.outcome.reason().unwrap(), "enough");
    assert_eq!(caller.talk("second").await, "two");
}

#[tokio::test(start_paused = true)]
async fn one_of_several_prompts_of_a_turn_can_be_stopped() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::say("one").after(Duration::from_secs(1)),
        Turn::say("both").after(Duration::from_secs(5)),
    ]);
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    caller.talk("first").await;
    let (a, b) = (caller.ask("a"), caller.ask("b"));
    common::pause(1000).await;
    root.cancel(b, "not this").unwrap();
    settle().await;
    assert_eq!(caller.reply(b).await.status(), Status::Cancelled);
    assert_eq!(caller.text(a).await, "both");
}

#[tokio::test(start_paused = true)]
async fn what_a_stop_drops_is_listed_and_never_told() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::calls([
            ("Start", r#"{"ms": 10, "text": "early"}"#),
            ("Start", r#"{"ms": 5000, "text": "late"}"#),
        ]),
        Turn::Hang,
        Turn::say("two"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    let first = caller.ask("first");
    common::pause(1000).await;
    let answer = caller.command("/stop");
    let SessionAnswer::Stopped { stopped, dropped, .. } = &answer else { panic!("{answer:?}") };
    assert_eq!(stopped, &[first]);
    let dropped: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    assert_eq!(dropped, ["task:3", "task:4"]);
    common::pause(10_000).await;
    assert_eq!(model.requests().len(), 2, "no turn about them");
    assert_eq!(caller.talk("second").await, "two");
    assert_eq!(texts(&model.requests()[2]), ["second"]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_stop_interrupts_are_in_the_history_with_an_answer() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let calls = [("SlowEcho", r#"{"text": "done", "ms": 10}"#), ("Hang", "{}")];
    let model = turns([Turn::calls(calls), Turn::say("two")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([slow_echo(), hang()])), &root);
    caller.ask("first");
    common::pause(100).await;
    caller.command("/stop");
    assert_eq!(caller.talk("second").await, "two");
    let results = results(&model.requests()[1]);
    assert_eq!((results[0].output.as_str(), results[0].success), ("done", true));
    assert!(results[1].output.starts_with("interrupted"), "{results:?}");
    assert!(!results[1].success);
}

#[tokio::test(start_paused = true)]
async fn words_to_steer_break_into_a_model_call_without_their_command() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("long").after(Duration::from_secs(3)), Turn::say("short")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    let (first, began) = (caller.ask("first"), Instant::now());
    common::pause(200).await;
    let steered = SessionAnswer::Steered { session: SESSION.to_owned() };
    assert_eq!(caller.command("/Steer  use fewer words "), steered);
    assert_eq!(caller.text(first).await, "short");
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(texts(&model.requests()[1]), ["first", "use fewer words"]);
}

#[tokio::test(start_paused = true)]
async fn words_to_steer_break_into_tools() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::call("Hang", "{}"), Turn::say("short")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([hang()])), &root);
    let first = caller.ask("first");
    common::pause(200).await;
    root.send(first, "never mind that").unwrap();
    assert_eq!(caller.text(first).await, "short");
    assert!(results(&model.requests()[1])[0].output.starts_with("interrupted"));
    assert_eq!(texts(&model.requests()[1]), ["never mind that"]);
}

#[tokio::test(start_paused = true)]
async fn words_to_an_idle_session_are_a_prompt() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::say("two"), Turn::say("three")]);
    let caller = Caller::new(&agents(model.clone(), toolbox([])), &root);
    caller.talk("first").await;
    let asked = caller.ask("/steer second");
    assert_eq!(caller.text(asked).await, "two");
    let session = root.snapshot()[0].id;
    assert_eq!(session.kind(), Kind::SESSION);
    root.send(session, "third").unwrap();
    let told = root.inbox().next().await.unwrap().ack();
    assert_eq!((told.prompt(), completed(&told).text.as_str()), ("third", "three"));
}

#[tokio::test(start_paused = true)]
async fn what_is_attached_to_words_to_steer_is_not_lost() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one").after(Duration::from_secs(3)), Turn::say("two")]);
    let agents = Agents::builder(Models::new("test", model.clone()))
        .agent(AgentSpec::new(AGENT).with_tags(["text"]))
        .build()
        .unwrap();
    let caller = Caller::new(&agents, &root);
    caller.ask("first");
    settle().await;
    let steer = |tag: &str| {
        let resource = Resource::new("notes").with_text("x").with_tags([tag]);
        let options = RunOptions::default().with_resources(vec![resource]);
        agents.prompt(&root, AGENT, SESSION, SessionCommand::parse("/steer look"), options).unwrap()
    };
    let Prompted::Queued { task } = steer("text") else { panic!("the resource is lost") };
    assert_eq!(caller.text(task).await, "two");
    let last = model.requests()[1].messages.last().unwrap().clone();
    assert!(matches!(&last.parts[..], [Part::Text(text), Part::Resource(_)] if text == "look"));
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_told_something_too() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("long").after(Duration::from_secs(3)), Turn::say("short")]);
    let id = common::start_worker(&agents(model.clone(), toolbox([])), &root);
    common::pause(200).await;
    root.send(id, "use fewer words").unwrap();
    let done = common::end_of(&root, id).await;
    assert_eq!(completed(&done).text, "short");
    assert_eq!(texts(&model.requests()[1]), ["go", "use fewer words"]);
    assert_eq!(done.unread(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_session_answers_for_everything_and_tells_what_it_cost() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([Turn::say("one"), Turn::say("2").after(Duration::from_secs(3))]);
    let caller = Caller::new(&agents(model, toolbox([])), &root);
    caller.talk("first").await;
    let second = caller.ask("second");
    common::pause(100).await;
    let third = caller.ask("third");
    let began = Instant::now();
    let answer = caller.command("/cancel that is all");
    let SessionAnswer::Cancelled { task_id, stopped, dropped, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((stopped, dropped), (vec![second], vec![third]));
    let ended = caller.reply(task_id.unwrap()).await;
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(ended.outcome.reason().unwrap(), "that is all");
    assert_eq!(partial(&ended.outcome).data().unwrap()["usage_in_all"]["requests"], 1);
    for task in [second, third] {
        let done = caller.reply(task).await;
        assert_eq!(done.status(), Status::Cancelled, "{done:?}");
    }
    assert!(matches!(caller.command("/status"), SessionAnswer::NotActive { .. }));
    assert_eq!(root.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_status_shows_a_busy_session_and_disturbs_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("Start", r#"{"ms": 50000, "text": "x"}"#),
        Turn::say("started"),
        Turn::say("two").after(Duration::from_secs(3)),
    ]);
    let caller = Caller::new(&agents(model, toolbox([start()])), &root);
    caller.talk("first").await;
    common::pause(5_000).await;
    let SessionAnswer::Status(idle) = caller.command("/status") else { panic!("no status") };
    assert_eq!((idle.busy, idle.idle_secs, idle.elapsed_secs, idle.turns), (false, 5, 5, 1));
    assert_eq!((idle.model.as_str(), idle.usage.requests), ("turns", 2));
    assert_eq!(idle.last_progress, "started");
    assert_eq!(idle.children.len(), 1);
    assert_eq!(idle.children[0].description, "child: ");
    let second = caller.ask("second");
    common::pause(100).await;
    let SessionAnswer::Status(busy) = caller.command("/status") else { panic!("no status") };
    assert_eq!(root.inspect(second).unwrap().phase, Phase::WaitingForModel);
    assert_eq!((busy.busy, busy.idle_secs, busy.waiting), (true, 0, 0));
    assert_eq!(caller.text(second).await, "two");
}

#[tokio::test(start_paused = true)]
async fn commands_to_a_session_that_is_not_there_start_nothing() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let caller = Caller::new(&agents(turns([]), toolbox([])), &root);
    for (command, what) in
        [("/stop", "stop"), ("/cancel x", "cancel"), ("/steer x", "steer"), ("/ping", "wake")]
    {
        let SessionAnswer::NotActive { note, active: false, .. } = caller.command(command) else {
            panic!("{command} did something")
        };
        assert_eq!(note, format!("session \"s1\" is not active; nothing to {what}"));
    }
    assert_eq!(root.live(), 0);
}

/// Only `/stop` drops the background work of a session. A prompt that is stopped by its id leaves it, and
/// what it finds is told.
#[tokio::test(start_paused = true)]
async fn work_of_a_prompt_that_was_stopped_by_its_id_is_told() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("Start", r#"{"ms": 5000, "text": "late"}"#),
        Turn::Hang,
        Turn::say("I have seen it"),
    ]);
    let caller = Caller::new(&agents(model, toolbox([start()])), &root);
    let first = caller.ask("first");
    common::pause(1000).await;
    root.cancel(first, "enough").unwrap();
    caller.reply(first).await;
    let told = root.inbox().next().await.unwrap().ack();
    assert_eq!(completed(&told).text, "I have seen it");
}

/// A turn about results that is stopped is not begun again by itself.
#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_asked_for_can_be_stopped() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = turns([
        Turn::call("Start", r#"{"ms": 5000, "text": "late"}"#),
        Turn::say("started"),
        Turn::Hang,
        Turn::say("I have seen it"),
    ]);
    let caller = Caller::new(&agents(model.clone(), toolbox([start()])), &root);
    caller.talk("first").await;
    common::pause(6000).await;
    let reading = root.snapshot().last().unwrap().id;
    root.cancel(reading, "not now").unwrap();
    common::pause(10_000).await;
    assert_eq!(model.requests().len(), 3);
    assert_eq!(caller.talk("and now?").await, "I have seen it");
    assert!(texts(&model.requests()[3])[1].contains("late"));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_may_have_a_deadline() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model =
        turns([Turn::say("one").after(Duration::from_secs(1)), Turn::Hang, Turn::say("three")]);
    let agents = agents(model, toolbox([]));
    let caller = Caller::new(&agents, &root);
    caller.talk("first").await;
    let options = RunOptions::default().with_deadline(Duration::from_secs(5));
    let prompt = SessionCommand::Prompt("second".to_owned());
    let asked = agents.prompt(&root, AGENT, SESSION, prompt, options).unwrap().task().unwrap();
    let began = Instant::now();
    let done = caller.reply(asked).await;
    assert_eq!((done.status(), began.elapsed().as_secs()), (Status::Cancelled, 5));
    assert_eq!(done.outcome.reason().unwrap(), "its deadline was exceeded");
    assert_eq!(caller.talk("third").await, "three");
}
