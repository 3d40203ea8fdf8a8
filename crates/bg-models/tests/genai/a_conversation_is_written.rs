//! What a vendor is sent.

use std::sync::Arc;

use bg_sessions::{Effort, Message, Model, ModelRequest, Part, Thinking, ToolCall, ToolResult};
use bg_tools::{Resource, ToolDefinition};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Server, request};
use crate::vendors::{answer, builder};

#[derive(schemars::JsonSchema)]
#[allow(dead_code, reason = "its schema is looked at")]
struct Where {
    path: String,
}

async fn sent(request: ModelRequest) -> Value {
    let server = Server::answering(vec![answer("x")]).await;
    let model = builder(&server, "anthropic").max_output_tokens(9.try_into().unwrap());
    let model = model.build().unwrap();
    model.complete(request, CancellationToken::new()).await.unwrap();
    server.bodies().remove(0)
}

fn tools() -> Arc<[ToolDefinition]> {
    [ToolDefinition::of::<Where>("Read", "Reads.")].into()
}

#[tokio::test]
async fn a_conversation_with_calls_goes_back_in_the_vendors_words() {
    let mut thinking = Thinking::new("hm");
    thinking.signature = Some("sig".to_owned());
    let call = ToolCall::new("a", "Read", "{\"path\": \"x\"}");
    let odd = ToolCall::new("b", "rm -rf", "{\"a\"");
    let said = vec![
        Part::Thinking(thinking),
        Part::Thinking(Thinking::new("without a signature it is not sent")),
        Part::text("I look."),
        Part::ToolCall(call.clone()),
        Part::ToolCall(odd.clone()),
    ];
    let asked = vec![
        Part::ToolResult(ToolResult::new(&call, "a cat", true)),
        Part::ToolResult(ToolResult::new(&odd, "no such tool", false)),
        Part::text("go on"),
    ];
    let chart = Resource::new("c.png").with_mime("image/png").with_bytes(*b"abc");
    let first = Message::user(vec![Part::text("hi"), Part::resource(chart)]);
    let messages = vec![first, Message::assistant(said), Message::user(asked)];
    let body =
        sent(ModelRequest::new(messages).with_instructions("Be brief.").with_tools(tools())).await;
    assert_eq!((&body["system"], &body["stream"]), (&json!("Be brief."), &json!(true)));
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("tiny"), &json!(9)));
    assert_eq!(body["tools"][0]["name"], "Read");
    assert_eq!(body["tools"][0]["input_schema"]["properties"]["path"]["type"], "string");
    let source = json!({"type": "base64", "media_type": "image/png", "data": "YWJj"});
    let expected = json!([
        {"role": "user", "content": [
            {"type": "text", "text": "hi"}, {"type": "image", "source": source}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "a", "name": "Read", "input": {"path": "x"}},
            {"type": "tool_use", "id": "b", "name": "rm_-rf",
                "input": {"invalid_arguments": "{\"a\""}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "b", "content": "no such tool"}]},
        {"role": "user", "content": "go on"},
    ]);
    assert_eq!(body["messages"], expected);
}

#[tokio::test]
async fn a_schema_is_enforced_where_no_tool_can_be_called_and_told_in_words_beside_tools() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let asked = request().with_output_schema(Some(Arc::new(schema)));
    let body = sent(asked.clone()).await;
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    let mut last = asked.clone().with_tools(tools());
    last.may_call = false;
    let body = sent(last).await;
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    let body = sent(asked.with_tools(tools())).await;
    assert_eq!((&body["output_config"], &body["tool_choice"]), (&Value::Null, &Value::Null));
    assert!(body["system"].as_str().unwrap().contains("\"integer\""), "{body}");
}

#[tokio::test]
async fn an_effort_is_what_the_vendor_calls_it() {
    let server = Server::answering(vec![answer("x")]).await;
    let model = bg_models::Genai::builder("anthropic::claude-opus-4-6").base_url(server.url());
    let asked = request().with_effort(Some(Effort::High));
    model.build().unwrap().complete(asked, CancellationToken::new()).await.unwrap();
    let body = server.bodies().remove(0);
    assert_eq!(body["output_config"]["effort"], "high", "{body}");
}

#[tokio::test]
async fn nobody_is_told_of_the_relay() {
    let server = Server::answering(vec![answer("x")]).await;
    let model = builder(&server, "anthropic").build().unwrap();
    model.complete(request(), CancellationToken::new()).await.unwrap();
    let request = server.requests().remove(0).to_lowercase();
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(
        head.contains("anthropic-version: ") && head.contains("user-agent: bg-models/"),
        "{head}"
    );
    for foreign in ["x-api-key", "bg-0", "gzip", "authorization"] {
        assert!(!head.contains(foreign), "{foreign} in {head}");
    }
}
