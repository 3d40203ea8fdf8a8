//! Fields that a server does not take are left out, and that is remembered.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use bg_models::OpenAiCompatible;
use bg_sessions::{Effort, Model, ModelError, ModelReply};
use serde_json::{Value, json};
use support::{Server, finish, http, request, say, streamed};
use tokio_util::sync::CancellationToken;

fn refusal(message: &str) -> Vec<u8> {
    http("400 x", &[], &json!({"error": {"message": message}}).to_string())
}

fn answer() -> Vec<u8> {
    streamed(&[say("x"), finish("stop")])
}

async fn ask(model: &OpenAiCompatible, effort: Effort) -> Result<ModelReply, ModelError> {
    model.complete(request().with_effort(Some(effort)), CancellationToken::new()).await
}

fn fields(bodies: &[Value], field: &str) -> Vec<Value> {
    bodies.iter().map(|body| body.get(field).cloned().unwrap_or_default()).collect()
}

#[tokio::test]
async fn an_effort_that_is_refused_is_left_out_from_then_on_and_others_are_tried() {
    let no = || refusal("Unsupported parameter: 'reasoning_effort'");
    let server = Server::answering(vec![no(), answer(), answer(), no(), answer()]).await;
    let model = server.model();
    for effort in [Effort::High, Effort::Max, Effort::Low] {
        assert_eq!(ask(&model, effort).await.unwrap().text(), "x");
    }
    let efforts = fields(&server.bodies(), "reasoning_effort");
    assert_eq!(efforts, [json!("high"), Value::Null, Value::Null, json!("low"), Value::Null]);
}

#[tokio::test]
async fn a_limit_is_called_by_its_other_name_where_that_is_wanted() {
    let no = refusal("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.");
    let server = Server::answering(vec![no, answer()]).await;
    let builder = server.builder().max_output_tokens(9.try_into().unwrap());
    ask(&builder.build().unwrap(), Effort::Low).await.unwrap();
    assert_eq!(fields(&server.bodies(), "max_tokens"), [json!(9), Value::Null]);
    assert_eq!(fields(&server.bodies(), "max_completion_tokens"), [Value::Null, json!(9)]);
}

#[tokio::test]
async fn a_server_that_does_not_count_is_not_asked_to() {
    let server = Server::answering(vec![refusal("stream_options: unknown"), answer()]).await;
    ask(&server.model(), Effort::Low).await.unwrap();
    let options = fields(&server.bodies(), "stream_options");
    assert_eq!(options, [json!({"include_usage": true}), Value::Null]);
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_asked_once_for_each_field() {
    let no = "reasoning_effort stream_options max_tokens";
    let server = Server::answering(vec![refusal(no)]).await;
    let builder = server.builder().max_output_tokens(9.try_into().unwrap());
    let error = ask(&builder.build().unwrap(), Effort::Low).await.unwrap_err();
    assert!(matches!(error, ModelError::Fatal { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_teaches_nothing_about_fields() {
    let long = "max_tokens is too large: 9. This model's maximum context length is 10 tokens";
    let server = Server::answering(vec![refusal(long)]).await;
    let builder = server.builder().max_output_tokens(9.try_into().unwrap());
    let error = ask(&builder.build().unwrap(), Effort::Low).await.unwrap_err();
    assert!(matches!(error, ModelError::ContextOverflow { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}
