//! The server of llama.cpp with a model of 135 million weights: what it says is of no account; that it
//! says it, what that costs and when it stops is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod kits;
mod support;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{Finished, Outcome, Registry, Scope, Usage};
use bg_models::OpenAiCompatible;
use bg_sessions::{
    AgentSpec, Agents, CompactionSpec, Message, Model, ModelRequest, Models, Part, Prompted,
    Recorded, RunOptions, SessionCommand,
};
use kits::Kit;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TOKENS: u32 = 2048;

fn prompt(text: &str) -> ModelRequest {
    ModelRequest::new(vec![Message::user(vec![Part::text(text)])])
}

async fn say(model: &OpenAiCompatible, text: &str) -> (String, Usage) {
    let reply = model.complete(prompt(text), CancellationToken::new()).await.unwrap();
    (reply.text(), reply.usage)
}

/// What we were told is what the server has counted. What it had cached it does not count again.
async fn check_counts(server: &Kit, usage: Usage) {
    let read = usage.input_tokens - usage.cached_tokens;
    assert_eq!(server.counted("prompt_tokens_total").await, read, "{usage:?}");
    assert_eq!(server.counted("tokens_predicted_total").await, usage.output_tokens, "{usage:?}");
}

#[tokio::test]
async fn text_comes_and_its_cost_is_what_the_server_counts() {
    let Some(server) = kits::llama(1, TOKENS) else { return };
    let model = server.model();
    let mut all = Usage::default();
    for text in ["Say hello.", "Say hello.", "Count to three."] {
        let (said, usage) = say(&model, text).await;
        assert!(!said.trim().is_empty());
        all.add(&usage);
    }
    assert_eq!(all.requests, 3);
    assert!(all.cached_tokens > 0, "{all:?}");
    check_counts(&server, all).await;
}

#[tokio::test]
async fn an_answer_in_one_piece_is_read_as_well() {
    let Some(server) = kits::llama(1, TOKENS) else { return };
    let request = json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8});
    let whole: Value =
        serde_json::from_str(&server.post("/v1/chat/completions", &request).await).unwrap();
    let replayed = support::Server::answering(vec![support::ok_json(&whole)]).await;
    let reply = support::ask(&replayed.model()).await.unwrap();
    assert_eq!(reply.text(), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(reply.usage.output_tokens, whole["usage"]["completion_tokens"].as_u64().unwrap());
    assert_eq!(reply.usage.input_tokens, whole["usage"]["prompt_tokens"].as_u64().unwrap());
}

#[tokio::test]
async fn an_answer_fits_its_schema() {
    let Some(server) = kits::llama(1, TOKENS) else { return };
    let schema = json!({
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "dark": {"type": "boolean"}},
        "required": ["colour", "dark"],
        "additionalProperties": false,
    });
    let request = prompt("Which colour has a leaf?").with_output_schema(Some(schema.into()));
    // The grammar lets it write as many blanks as it likes.
    let model = server.builder().max_output_tokens(200.try_into().unwrap()).build().unwrap();
    let reply = model.complete(request, CancellationToken::new()).await.unwrap();
    let answer: Value = serde_json::from_str(&reply.text()).expect("it is JSON");
    assert!(answer["colour"] == "red" || answer["colour"] == "green", "{answer}");
    assert!(answer["dark"].is_boolean() && answer.as_object().unwrap().len() == 2, "{answer}");
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_an_overflow() {
    let Some(server) = kits::llama(1, 256) else { return };
    let long = "word ".repeat(2000);
    let error = server.model().complete(prompt(&long), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, bg_sessions::ModelError::ContextOverflow { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_frees_its_slot() {
    let Some(server) = kits::llama(1, TOKENS) else { return };
    let model = server.builder().max_output_tokens(1500.try_into().unwrap()).build().unwrap();
    {
        let asked = model.complete(prompt("Write a long story."), CancellationToken::new());
        tokio::select! {
            reply = asked => panic!("the story was short: {reply:?}"),
            () = server.has_slots_at_work(1) => {}
        }
    }
    server.has_slots_at_work(0).await;
    let token = CancellationToken::new();
    let asked = model.complete(prompt("Write a long poem."), token.clone());
    let (reply, ()) = tokio::join!(asked, async {
        server.has_slots_at_work(1).await;
        token.cancel();
    });
    assert!(reply.is_err());
    server.has_slots_at_work(0).await;
    assert!(!say(&server.model(), "Say hello.").await.0.is_empty());
}

#[tokio::test]
async fn two_are_answered_at_the_same_time() {
    let Some(server) = kits::llama(2, TOKENS) else { return };
    let model = server.builder().max_output_tokens(64.try_into().unwrap()).build().unwrap();
    let (one, two, ()) = tokio::join!(
        say(&model, "Write a long story."),
        say(&model, "Write a long poem."),
        server.has_slots_at_work(2),
    );
    assert!(!one.0.is_empty() && !two.0.is_empty());
    let mut all = one.1;
    all.add(&two.1);
    check_counts(&server, all).await;
}

fn usage(finished: &Finished) -> Usage {
    match &finished.outcome {
        Outcome::Completed(output) => output.usage(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_agents_run_at_the_same_time_and_their_costs_are_the_servers() {
    let Some(server) = kits::llama(2, TOKENS) else { return };
    let poet = AgentSpec::new("poet").with_instructions("You write one line.");
    let critic = AgentSpec::new("critic").with_instructions("You judge in one line.");
    let agents = Agents::builder(Models::new("small", server.model()))
        .agents([poet, critic])
        .build()
        .unwrap();
    let registry = Registry::new();
    let root = registry.root_scope();
    let (one, two) = tokio::join!(
        agents.run(&root, "poet", "About rain."),
        agents.run(&root, "critic", "Rain falls on the plain."),
    );
    let mut all = usage(&one.unwrap());
    all.add(&usage(&two.unwrap()));
    assert_eq!(all.requests, 2);
    check_counts(&server, all).await;
}

/// What a model may not be trusted with: letters of several bytes, blanks, a line break.
const TASK: &str =
    "Task 7f3a: keep a list of birds \u{2014} \u{bb}one line each\u{ab}.\n  Indent by two.";

const FILLER: &str = "The river was wide and slow, and herons had built their nests on its banks long \
    before the mill was there. Bird number";

/// Small, so that few prompts fill it, and large beside one of them.
const WINDOW: u64 = 1000;

/// Of a session the task is the prompt that is being worked on.
fn task(number: usize) -> String {
    format!("{TASK} {FILLER} {number}.")
}

fn lister(model: impl Model) -> Agents {
    let spec = CompactionSpec::default().with_summarize_ahead_at(None);
    Agents::builder(Models::new("small", model))
        .agent(AgentSpec::new("lister").with_instructions(LISTER))
        .compaction(spec.with_tail_tokens(NonZeroU64::new(80).unwrap()))
        .build()
        .unwrap()
}

const LISTER: &str = "You answer in one short line.";

async fn talk(agents: &Agents, root: &Scope, text: String) -> Arc<Finished> {
    let (command, options) = (SessionCommand::Prompt(text), RunOptions::default());
    let asked = agents.prompt(root, "lister", "main", command, options).unwrap();
    let Prompted::Queued { task } = asked else { panic!("no prompt: {asked:?}") };
    let answered = tokio::time::timeout(Duration::from_secs(120), root.wait([task])).await;
    answered.expect("no answer for two minutes").unwrap();
    root.claim(task).unwrap().ack()
}

#[tokio::test]
async fn a_session_outgrows_its_window_and_the_task_survives_byte_for_byte() {
    let Some(server) = kits::llama(1, TOKENS) else { return };
    let model = server.builder().context_window(WINDOW).build().unwrap();
    let model = Recorded::new(model);
    let agents = lister(model.clone());
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut all = Usage::default();
    let mut compacted = 0;
    for number in 1..=20 {
        let done = talk(&agents, &root, task(number)).await;
        all.add(&usage(&done));
        let work = model.requests().into_iter().rfind(|request| &*request.instructions == LISTER);
        let first = first_text(&work.unwrap());
        if first != task(1) {
            println!("compacted before turn {number}: {:?}", done.trace());
            assert!(first.contains(&task(number)), "{first}");
            compacted = number;
            break;
        }
    }
    assert!(compacted > 1, "no history was compacted");
    // What comes after is a session like any other.
    let next = talk(&agents, &root, "Go on.".to_owned()).await;
    all.add(&usage(&next));
    check_counts(&server, all).await;
}

fn first_text(request: &ModelRequest) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    };
    request.messages[0].parts.iter().filter_map(text).collect()
}
