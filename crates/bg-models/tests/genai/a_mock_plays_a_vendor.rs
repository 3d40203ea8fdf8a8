//! aimock, which speaks Anthropic's protocol too.

use std::time::Duration;

use bg_core::Registry;
use bg_models::{Fault, Genai};
use bg_sessions::{AgentSpec, Agents, ModelError, Models, Recorded};
use bg_tools::{Toolbox, task_tools};
use serde_json::{Value, json};

use crate::kits::{self, Kit};
use crate::support::{ask, fault};

fn mock(fixtures: &[Value]) -> Option<(Kit, Genai)> {
    let server = kits::mock(&json!({"fixtures": fixtures}))?;
    let model =
        Genai::builder("anthropic::claude-sonnet-4-5").base_url(format!("{}/v1", server.address));
    let model = model.build().unwrap();
    Some((server, model))
}

fn answer(response: Value) -> Value {
    json!({"match": {"userMessage": "hi"}, "response": response})
}

fn usage(input: u64, output: u64) -> Value {
    json!({"input_tokens": input, "output_tokens": output})
}

#[tokio::test]
async fn text_and_calls_come_with_their_cost() {
    let calls =
        json!([{"name": "Read", "arguments": {"path": "a"}}, {"name": "Grep", "arguments": "{}"}]);
    let response = json!({"content": "I look.", "toolCalls": calls, "usage": usage(10, 5)});
    let Some((_server, model)) = mock(&[answer(response)]) else { return };
    let reply = ask(&model).await.unwrap();
    assert_eq!(reply.text(), "I look.");
    let calls: Vec<_> =
        reply.tool_calls().map(|call| (call.name.as_str(), call.args.as_str())).collect();
    assert_eq!(calls, [("Read", "{\"path\":\"a\"}"), ("Grep", "{}")]);
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (10, 5));
}

#[tokio::test]
async fn a_limit_of_requests_says_when_to_ask_again() {
    let error = json!({"message": "slow down", "type": "rate_limit_error"});
    let limit = answer(json!({"error": error, "status": 429, "retryAfter": 3}));
    let Some((_server, model)) = mock(&[limit]) else { return };
    let error = ask(&model).await.unwrap_err();
    let ModelError::Retryable { retry_after, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_stream_that_is_cut_is_retryable() {
    let mut cut = answer(json!({"content": "a long answer in many small pieces"}));
    (cut["chunkSize"], cut["truncateAfterChunks"]) = (json!(4), json!(3));
    let Some((_server, model)) = mock(&[cut]) else { return };
    let error = ask(&model).await.unwrap_err();
    assert!(matches!(error, ModelError::Retryable { .. }), "{error:?}");
    assert!(matches!(fault(&error), Fault::Cut { .. } | Fault::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn an_agent_calls_two_tools_at_once_meets_a_limit_and_pays_once() {
    let turn = |number: u64, has_result: bool, response: Value| {
        let matches =
            json!({"userMessage": "look", "hasToolResult": has_result, "sequenceIndex": number});
        json!({"match": matches, "response": response})
    };
    let limit = json!({"error": {"message": "slow", "type": "rate_limit_error"}, "status": 429,
        "retryAfter": 0});
    let call = json!({"name": "ListBackgroundTasks", "arguments": {}});
    let fixtures = [
        turn(0, false, limit),
        turn(1, false, json!({"toolCalls": [call, call], "usage": usage(20, 7)})),
        turn(0, true, json!({"content": "they are none", "usage": usage(30, 9)})),
    ];
    let Some((_server, model)) = mock(&fixtures) else { return };
    let model = Recorded::new(model);
    let agents = Agents::builder(Models::new("mock", model.clone()))
        .toolbox(Toolbox::new().with_all(task_tools()).unwrap())
        .agent(AgentSpec::new("watch").with_tools(["ListBackgroundTasks"]))
        .build()
        .unwrap();
    let registry = Registry::new();
    let done = agents.run(&registry.root_scope(), "watch", "look around").await.unwrap();
    let output = done.outcome.output().unwrap_or_else(|| panic!("{done:?}"));
    assert_eq!(output.text, "they are none");
    let usage = output.usage();
    let tokens = (usage.input_tokens, usage.output_tokens, usage.requests, usage.tool_calls);
    assert_eq!(tokens, (50, 16, 2, 2));
    assert_eq!(model.requests().len(), 3);
}
