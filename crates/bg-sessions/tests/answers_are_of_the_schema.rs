//! Answers in JSON, checked against the schema that was asked for.
#![cfg(feature = "validate")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common;
use crate::common_sessions as talking;

use bg_core::Registry;
use bg_sessions::{
    AgentSpec, Agents, AgentsError, ChangeError, Models, Recorded, Turn, TurnsModel,
};
use common::{AGENT, completed, texts, turns};
use serde_json::{Value, json};
use talking::Caller;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer", "minimum": 1}},
        "additionalProperties": false,
    })
}

fn counting(model: &Recorded<TurnsModel>) -> Agents {
    let spec = AgentSpec::new(AGENT).with_output_schema(schema());
    Agents::builder(Models::new("test", model.clone())).agent(spec).build().unwrap()
}

fn says(answers: &[&str]) -> Recorded<TurnsModel> {
    turns(answers.iter().map(|answer| Turn::say(*answer)))
}

#[tokio::test]
async fn one_that_is_not_may_be_given_once_more_and_the_model_reads_why() {
    let registry = Registry::new();
    let model = says(&[r#"{"n": "one"}"#, r#"{"n": 1}"#]);
    let finished = counting(&model).run(&registry.root_scope(), AGENT, "go").await.unwrap();
    let output = completed(&finished);
    assert_eq!((output.data(), &*output.text), (Some(&json!({"n": 1})), r#"{"n": 1}"#));
    assert_eq!((output.usage().requests, finished.steps()), (2, 2));
    let told = &texts(&model.requests()[1])[0];
    let expected = "[Your answer has to be JSON of the schema that you were given, and nothing else: \
                    at /n: \"one\" is not of type \"integer\". Answer again.]";
    assert!(told.contains(expected), "{told}");
    assert!(model.requests().iter().all(|asked| asked.output_schema.as_deref() == Some(&schema())));
    assert!(finished.trace()[0].starts_with("answer not taken: at /n: "), "{:?}", finished.trace());
}

#[tokio::test]
async fn one_that_never_is_fails_the_run_and_stays_to_be_read() {
    let registry = Registry::new();
    let model = says(&[r#"{"n": 0}"#, r#"{"n": 1, "m": 2}"#, r#"{"n": 1}"#]);
    let finished = counting(&model).run(&registry.root_scope(), AGENT, "go").await.unwrap();
    let why = finished.outcome.reason().unwrap();
    let expected = "the answer is not what was asked for: Additional properties are not allowed \
                    ('m' was unexpected)";
    assert_eq!(why, expected);
    let output = finished.outcome.output().unwrap();
    assert_eq!((&*output.text, output.data()), (r#"{"n": 1, "m": 2}"#, None));
    assert_eq!((model.requests().len(), output.usage().requests), (2, 2));
}

#[tokio::test]
async fn each_answer_of_a_session_may_be_given_once_more() {
    let registry = Registry::new();
    let model = says(&["{}", r#"{"n": 1}"#, "[]", r#"{"n": 2}"#, "3", "4", r#"{"n": 5}"#]);
    let agents = counting(&model);
    let caller = Caller::new(&agents, &registry.root_scope());
    for n in [1, 2] {
        let done = caller.reply(caller.ask("go")).await;
        assert_eq!(completed(&done).data(), Some(&json!({"n": n})));
    }
    let failed = caller.reply(caller.ask("go")).await;
    assert!(failed.outcome.reason().unwrap().contains("4 is not of type \"object\""));
    let done = caller.reply(caller.ask("go")).await;
    assert_eq!(completed(&done).data(), Some(&json!({"n": 5})));
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_defines_no_agent() {
    let wrong = || AgentSpec::new(AGENT).with_output_schema(json!({"type": "count"}));
    let models = || Models::new("test", says(&[]));
    let refused = |error: &AgentsError| {
        let AgentsError::OutputSchema { agent, problem } = error else { panic!("{error}") };
        assert_eq!(agent, AGENT);
        assert!(problem.contains("\"count\" is not valid"), "{problem}");
    };
    refused(&Agents::builder(models()).agent(wrong()).build().unwrap_err());
    let folder = tempfile::tempdir().unwrap();
    let stored = serde_json::to_string(&wrong()).unwrap();
    std::fs::write(folder.path().join("worker.json"), stored).unwrap();
    let agents = Agents::builder(models()).folder(folder.path()).build().unwrap();
    assert!(agents.skipped()[0].problem.contains("output schema that cannot be used"));
    let ChangeError::Agent(error) = agents.upsert(wrong(), true).await.unwrap_err() else {
        panic!("not the agent's fault");
    };
    refused(&error);
    assert!(agents.get(AGENT).is_none());
}
