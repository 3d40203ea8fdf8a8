//! aimock, which speaks the protocol as the vendor does: calls of tools, and what goes wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::needless_pass_by_value, reason = "so that `json!` stands in a call as it is")]

use crate::kits;
use crate::support;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bg_core::{Output, Registry};
use bg_models::Fault;
use bg_sessions::{AgentSpec, Agents, Models, Recorded};
use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox};
use serde_json::{Value, json};
use support::{ask, fault};

fn answer(response: Value) -> Value {
    json!({"match": {"userMessage": "hi"}, "response": response})
}

fn fixtures(all: &[Value]) -> Value {
    json!({"fixtures": all})
}

fn cost(input: u64, output: u64) -> Value {
    let details = json!({"cached_tokens": 4});
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": details})
}

#[tokio::test]
async fn thoughts_text_and_calls_come_with_their_cost() {
    let calls =
        json!([{"name": "Read", "arguments": {"path": "a"}}, {"name": "Grep", "arguments": "{}"}]);
    let response =
        json!({"content": "I look.", "reasoning": "hm", "toolCalls": calls, "usage": cost(10, 5)});
    let Some(server) = kits::mock(&fixtures(&[answer(response)])) else { return };
    let reply = ask(&server.model()).await.unwrap();
    assert_eq!((reply.text().as_str(), reply.thoughts().as_deref()), ("I look.", Some("hm")));
    let calls: Vec<_> =
        reply.tool_calls().map(|call| (call.name.as_str(), call.args.as_str())).collect();
    assert_eq!(calls, [("Read", "{\"path\":\"a\"}"), ("Grep", "{}")]);
    let ids: std::collections::BTreeSet<_> = reply.tool_calls().map(|call| &call.id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!((reply.usage.input_tokens, reply.usage.output_tokens), (10, 5));
}

async fn error_of(fixture: Value) -> Option<bg_sessions::ModelError> {
    let server = kits::mock(&fixtures(&[fixture]))?;
    Some(ask(&server.model()).await.expect_err("it is trouble"))
}

#[tokio::test]
async fn a_limit_of_requests_says_when_to_ask_again() {
    let error =
        json!({"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"});
    let limit = answer(json!({"error": error, "status": 429, "retryAfter": 3}));
    let Some(error) = error_of(limit).await else { return };
    let bg_sessions::ModelError::Retryable { retry_after, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_stream_that_is_cut_is_retryable() {
    let mut cut = answer(json!({"content": "a long answer in many small pieces"}));
    (cut["chunkSize"], cut["truncateAfterChunks"]) = (json!(4), json!(3));
    let Some(error) = error_of(cut).await else { return };
    assert!(matches!(error, bg_sessions::ModelError::Retryable { .. }), "{error:?}");
    assert!(matches!(fault(&error), Fault::Cut { .. } | Fault::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_malformed_has_a_class() {
    let mut malformed = answer(json!({"content": "x"}));
    malformed["chaos"] = json!({"malformedRate": 1.0});
    let Some(error) = error_of(malformed).await else { return };
    println!("{error:?}");
    assert!(matches!(fault(&error), Fault::Malformed { .. } | Fault::NotAChat { .. }), "{error:?}");
}

#[tokio::test]
async fn slow_tokens_are_waited_for() {
    let mut slow = answer(json!({"content": "one two three four five"}));
    (slow["chunkSize"], slow["latency"]) = (json!(5), json!(100));
    let Some(server) = kits::mock(&fixtures(&[slow])) else { return };
    let model = server.builder().silence_timeout(Duration::from_secs(2)).build().unwrap();
    let start = Instant::now();
    assert_eq!(ask(&model).await.unwrap().text(), "one two three four five");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

/// A tool that says what it was asked.
struct Look(&'static str);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Where {
    place: String,
}

#[async_trait]
impl Tool for Look {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Where>(self.0, "Looks.")
    }

    async fn call(&self, _: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let place: Where = bg_tools::parse_args(self.0, args)?;
        Ok(ToolOutput::text(format!("{} saw {}", self.0, place.place)))
    }
}

fn agent_fixtures() -> Value {
    let turn = |number: u64, has_result: bool, response: Value| {
        let matches =
            json!({"userMessage": "look", "hasToolResult": has_result, "sequenceIndex": number});
        json!({"match": matches, "response": response})
    };
    let limit = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"},
        "status": 429, "retryAfter": 0});
    let calls = json!([
        {"name": "Near", "arguments": {"place": "the yard"}},
        {"name": "Far", "arguments": {"place": "the hill"}},
    ]);
    let mut cut = turn(0, true, json!({"content": "this answer does not come to its end"}));
    (cut["chunkSize"], cut["truncateAfterChunks"]) = (json!(4), json!(3));
    fixtures(&[
        turn(0, false, limit),
        turn(1, false, json!({"toolCalls": calls, "usage": cost(20, 7)})),
        cut,
        turn(1, true, json!({"content": "a cat and a cow", "usage": cost(30, 9)})),
    ])
}

#[tokio::test]
async fn an_agent_calls_two_tools_meets_a_limit_and_a_cut_stream_and_pays_once() {
    let Some(server) = kits::mock(&agent_fixtures()) else { return };
    let model = Recorded::new(server.model());
    let tools = Toolbox::new().with(Look("Near")).unwrap().with(Look("Far")).unwrap();
    let agents = Agents::builder(Models::new("mock", model.clone()))
        .toolbox(tools)
        .agent(AgentSpec::new("scout").with_tools(["Near", "Far"]))
        .build()
        .unwrap();
    let registry = Registry::new();
    let done = agents.run(&registry.root_scope(), "scout", "look around").await.unwrap();
    let output = done.outcome.output().unwrap_or_else(|| panic!("{done:?}"));
    assert_eq!(output.text, "a cat and a cow");
    let usage = output.usage();
    let tokens = (usage.input_tokens, usage.output_tokens, usage.requests, usage.tool_calls);
    assert_eq!(tokens, (50, 16, 2, 2), "{:?}", Output::usage(output));
    // Two of the four requests brought a turn, and the last one was told what both tools saw.
    let requests = model.requests();
    assert_eq!(requests.len(), 4);
    let told = format!("{:?}", requests[3].messages);
    assert!(told.contains("Near saw the yard") && told.contains("Far saw the hill"), "{told}");
}
