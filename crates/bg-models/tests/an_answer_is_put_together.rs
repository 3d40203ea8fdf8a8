//! Whatever the pieces in which an answer comes, it is the same answer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_sessions::{Effort, ModelRequest, Part, Thinking, ToolCall};
use bg_tools::ToolDefinition;
use serde_json::{Value, json};
use support::{
    Server, Step, ask, beginning, delta, event, events, finish, http, ok_json, piece, request, say,
    stream, streamed, usage,
};
use tokio_util::sync::CancellationToken;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[expect(dead_code, reason = "for its schema")]
struct Args {
    path: String,
    depth: Option<u32>,
}

fn tool_delta(index: u64, id: &str, name: &str, args: &str) -> Value {
    let function = json!({"name": name, "arguments": args});
    delta(
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
    )
}

fn more_args(index: u64, args: &str) -> Value {
    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": args}}]}))
}

/// Thoughts, text with letters of several bytes, two calls in turns, and what it cost.
fn everything() -> Vec<Value> {
    vec![
        delta(json!({"role": "assistant", "content": null})),
        delta(json!({"reasoning_content": "hm "})),
        delta(json!({"reasoning_content": "so"})),
        say("gr\u{fc}\u{df} "),
        say("\u{1f980}\n"),
        tool_delta(0, "a", "Read", ""),
        more_args(0, "{\"path\":"),
        tool_delta(1, "b", "Grep", "{}"),
        more_args(0, "\"x\"}"),
        finish("tool_calls"),
        usage(100, 20, 60),
    ]
}

#[track_caller]
fn check_everything(reply: &bg_sessions::ModelReply) {
    let expected = [
        Part::Thinking(Thinking::new("hm so")),
        Part::text("gr\u{fc}\u{df} \u{1f980}\n"),
        Part::ToolCall(ToolCall::new("a", "Read", "{\"path\":\"x\"}")),
        Part::ToolCall(ToolCall::new("b", "Grep", "{}")),
    ];
    assert_eq!(reply.parts, expected);
    let cost = (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens);
    assert_eq!((cost, reply.usage.requests), ((100, 20, 60), 1));
}

#[tokio::test]
async fn a_stream_that_is_split_at_any_byte_is_the_same_answer() {
    let bytes = events(&everything()).into_bytes();
    let split = |at: usize| stream([&bytes[..at], &bytes[at..]]);
    let server = Server::answering((0..=bytes.len()).map(split).collect()).await;
    let model = server.model();
    for at in 0..=bytes.len() {
        check_everything(&ask(&model).await.unwrap_or_else(|error| panic!("at {at}: {error:?}")));
    }
}

#[tokio::test]
async fn a_stream_of_single_bytes_is_the_same_answer() {
    let bytes = events(&everything()).into_bytes();
    let server = Server::answering(vec![stream(bytes.chunks(1))]).await;
    check_everything(&ask(&server.model()).await.unwrap());
}

#[tokio::test]
async fn line_ends_comments_and_fields_that_mean_nothing_do_not_matter() {
    let crlf = events(&everything()).replace('\n', "\r\n");
    let noisy = events(&everything()).replace("data: ", ": ping\nevent: x\nid: 7\nretry: 1\ndata:");
    let server =
        Server::answering(vec![stream([crlf.as_bytes()]), stream([noisy.as_bytes()])]).await;
    let model = server.model();
    check_everything(&ask(&model).await.unwrap());
    check_everything(&ask(&model).await.unwrap());
}

#[tokio::test]
async fn an_answer_in_one_piece_is_the_same_answer() {
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "Read", "arguments": "{\"path\":\"x\"}"}},
        {"id": "b", "type": "function", "function": {"name": "Grep", "arguments": {}}},
    ]);
    let message = json!({"role": "assistant", "content": "gr\u{fc}\u{df} \u{1f980}\n",
        "reasoning": "hm so", "tool_calls": calls});
    let mut whole = usage(100, 20, 60);
    whole["choices"] = json!([{"index": 0, "message": message, "finish_reason": "tool_calls"}]);
    let server = Server::answering(vec![ok_json(&whole)]).await;
    check_everything(&ask(&server.model()).await.unwrap());
}

#[tokio::test]
async fn slow_tokens_are_waited_for_and_only_silence_ends_the_wait() {
    let pause = Step::Pause(Duration::from_millis(120));
    let mut script = vec![Step::Read, Step::Send(beginning(&[]))];
    for one in everything() {
        script.extend([pause.clone(), Step::Send(piece(event(&one).as_bytes()))]);
    }
    script.push(Step::Send(b"0\r\n\r\n".to_vec()));
    let server = Server::start(vec![script]).await;
    let model = server.builder().silence_timeout(Duration::from_secs(1)).build().unwrap();
    check_everything(&ask(&model).await.unwrap());
}

#[tokio::test]
async fn a_model_that_is_slow_to_begin_is_not_silent_although_the_stream_is_open() {
    let opened = beginning(&[delta(json!({"role": "assistant", "content": ""}))]);
    let rest = [piece(event(&say("x")).as_bytes()), piece(event(&finish("stop")).as_bytes())];
    let pause = Step::Pause(Duration::from_millis(400));
    let script = vec![Step::Read, Step::Send(opened), pause, Step::Send(rest.concat())];
    let server = Server::start(vec![script]).await;
    let model = server.builder().silence_timeout(Duration::from_millis(100)).build().unwrap();
    assert_eq!(ask(&model).await.unwrap().text(), "x");
}

#[tokio::test]
async fn the_mark_at_the_end_of_a_stream_is_an_end_by_itself() {
    let server = Server::answering(vec![streamed(&[say("x")])]).await;
    assert_eq!(ask(&server.model()).await.unwrap().text(), "x");
}

#[tokio::test]
async fn an_answer_that_the_model_has_finished_needs_no_more_of_the_stream() {
    let end = [say("all"), finish("stop")];
    let silent = vec![Step::Read, Step::Send(beginning(&end)), Step::AwaitClose];
    let broken = vec![Step::Read, Step::Send(beginning(&end)), Step::Reset];
    let server = Server::start(vec![silent, broken]).await;
    let model = server.builder().silence_timeout(Duration::from_millis(100)).build().unwrap();
    for _ in 0..2 {
        let reply = ask(&model).await.unwrap();
        assert_eq!((reply.text().as_str(), reply.usage.requests), ("all", 1));
    }
}

#[tokio::test]
async fn ids_that_are_missing_or_twice_there_are_made_up() {
    let calls = [
        tool_delta(0, "", "Read", "{}"),
        tool_delta(1, "a", "Read", "{}"),
        tool_delta(2, "a", "Read", "{}"),
    ];
    let server =
        Server::answering(vec![streamed(&[&calls[..], &[finish("tool_calls")]].concat())]).await;
    let reply = ask(&server.model()).await.unwrap();
    let ids: Vec<_> = reply.tool_calls().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["call_1_0", "a", "call_1_2"]);
}

#[tokio::test]
async fn an_answer_that_is_cut_by_the_limit_of_tokens_says_so() {
    for (why, is_cut) in [("length", true), ("stop", false)] {
        let server = Server::answering(vec![streamed(&[say("once upon"), finish(why)])]).await;
        let reply = ask(&server.model()).await.unwrap();
        assert_eq!((&*reply.text(), reply.is_cut), ("once upon", is_cut));
    }
}

fn asked_for_everything(has_tools: bool) -> ModelRequest {
    let tools = if has_tools { vec![ToolDefinition::of::<Args>("Read", "Reads.")] } else { vec![] };
    request()
        .with_instructions("You read.")
        .with_effort(Some(Effort::Max))
        .with_output_schema(Some(json!({"type": "object"}).into()))
        .with_tools(tools)
}

async fn body_of(strict: bool, has_tools: bool) -> Value {
    let server = Server::answering(vec![streamed(&[say("x"), finish("stop")])]).await;
    let builder = server.builder().max_output_tokens(7.try_into().unwrap());
    let model = if strict { builder.strict() } else { builder }.build().unwrap();
    let request = asked_for_everything(has_tools);
    bg_sessions::Model::complete(&model, request, CancellationToken::new()).await.unwrap();
    server.bodies().remove(0)
}

#[tokio::test]
async fn a_request_says_what_is_wanted() {
    let body = body_of(false, false).await;
    assert_eq!(body["model"], "tiny");
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "You read."}));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "hi"}));
    assert_eq!((&body["stream"], &body["max_tokens"]), (&json!(true), &json!(7)));
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    assert_eq!(body["reasoning_effort"], "high");
    let schema = json!({"name": "answer", "schema": {"type": "object"}});
    assert_eq!(body["response_format"], json!({"type": "json_schema", "json_schema": schema}));
    assert_eq!(body.get("tools"), None);
}

#[tokio::test]
async fn beside_tools_a_schema_is_told_in_words() {
    let body = body_of(false, true).await;
    assert_eq!(body.get("response_format"), None);
    let told = body["messages"][0]["content"].as_str().unwrap();
    assert!(told.starts_with("You read.\n\n") && told.ends_with("{\"type\":\"object\"}"), "{told}");
    let function = &body["tools"][0]["function"];
    assert_eq!((&function["name"], function.get("strict")), (&json!("Read"), None));
    assert_eq!(function["parameters"]["required"], json!(["path"]));
}

/// A model that has to answer now is told of its tools, whose calls the conversation may have.
#[tokio::test]
async fn where_no_tool_may_be_called_the_schema_is_enforced() {
    let server = Server::answering(vec![streamed(&[say("x"), finish("stop")])]).await;
    let mut request = asked_for_everything(true);
    request.may_call = false;
    let model = server.model();
    bg_sessions::Model::complete(&model, request, CancellationToken::new()).await.unwrap();
    let body = server.bodies().remove(0);
    assert_eq!(
        (&body["tool_choice"], &body["tools"][0]["type"]),
        (&json!("none"), &json!("function"))
    );
    assert_eq!(body["response_format"]["type"], "json_schema");
    assert_eq!(body["messages"][0]["content"], "You read.");
    assert_eq!(body_of(false, true).await.get("tool_choice"), None);
}

#[tokio::test]
async fn a_strict_server_gets_strict_schemas_and_enforces_them_beside_tools() {
    let body = body_of(true, true).await;
    assert_eq!(body["messages"][0]["content"], "You read.");
    assert_eq!(body["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
    assert_eq!(body["response_format"]["json_schema"]["strict"], false);
    let function = &body["tools"][0]["function"];
    assert_eq!(function["strict"], true);
    // Their order hangs on a feature of `serde_json` that others may have turned on.
    let required = function["parameters"]["required"].as_array().unwrap();
    let required: std::collections::BTreeSet<_> =
        required.iter().filter_map(Value::as_str).collect();
    assert_eq!(required, ["depth", "path"].into());
}

#[tokio::test]
async fn without_a_variable_no_key_is_sent() {
    let server = Server::answering(vec![streamed(&[say("x"), finish("stop")])]).await;
    ask(&server.model()).await.unwrap();
    let head = server.requests()[0].to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions ") && !head.contains("authorization"));
}

#[tokio::test]
async fn a_stream_that_is_sent_until_the_connection_ends_is_an_answer() {
    let head = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
    let answer = format!("{head}{}", events(&everything()));
    let server = Server::answering(vec![answer.into_bytes(), http("200 OK", &[], "")]).await;
    check_everything(&ask(&server.model()).await.unwrap());
}
