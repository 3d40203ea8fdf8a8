//! What can go wrong, and the class of the error that comes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::needless_pass_by_value, reason = "so that `json!` stands in a call as it is")]

use crate::support;

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use bg_models::{Fault, OpenAiCompatible};
use bg_sessions::ModelError;
use serde_json::{Value, json};
use support::{
    Server, Step, ask, beginning, chain, delta, fault, finish, http, ok_json, say, stream, streamed,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Retryable,
    Overflow,
    Refused,
    Fatal,
}

fn class(error: &ModelError) -> Class {
    match error {
        ModelError::Retryable { .. } => Class::Retryable,
        ModelError::ContextOverflow { .. } => Class::Overflow,
        ModelError::Refused { .. } => Class::Refused,
        _ => Class::Fatal,
    }
}

fn retry_after(error: &ModelError) -> Option<Duration> {
    match error {
        ModelError::Retryable { retry_after, .. } => *retry_after,
        _ => None,
    }
}

async fn failure(answer: Vec<u8>) -> ModelError {
    let server = Server::answering(vec![answer]).await;
    ask(&server.model()).await.expect_err("the answer is an error")
}

async fn check(answer: Vec<u8>, expected: Class, line: &str) {
    let error = failure(answer).await;
    assert_eq!((class(&error), chain(&error).as_str()), (expected, line));
}

async fn check_status(status: &str, error: Value, expected: Class, line: &str) {
    let body = json!({"error": error}).to_string();
    check(http(status, &["content-type: application/json"], &body), expected, line).await;
}

#[tokio::test]
async fn statuses_that_may_pass_are_retryable() {
    let texts = [
        ("500 x", "the server has trouble: HTTP 500: busy"),
        ("502 x", "the server has trouble: HTTP 502: busy"),
        ("503 x", "the server has trouble: HTTP 503: busy"),
        ("504 x", "the server has trouble: HTTP 504: busy"),
        ("529 x", "the server has trouble: HTTP 529: busy"),
        ("408 x", "the server has trouble: HTTP 408: busy"),
        ("429 x", "rate limited: HTTP 429: busy"),
    ];
    for (status, line) in texts {
        check(http(status, &[], "busy"), Class::Retryable, line).await;
    }
}

#[tokio::test]
async fn a_server_says_in_seconds_or_by_a_date_when_to_ask_again() {
    let error = failure(http("429 x", &["retry-after: 7"], "")).await;
    assert_eq!(retry_after(&error), Some(Duration::from_secs(7)));
    let error = failure(http("503 x", &["retry-after-ms: 1500", "retry-after: 7"], "")).await;
    assert_eq!(retry_after(&error), Some(Duration::from_millis(1500)));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    let error = failure(http("429 x", &[&format!("retry-after: {date}")], "")).await;
    let after = retry_after(&error).unwrap();
    assert!((50..=60).contains(&after.as_secs()), "{after:?}");
    assert_eq!(retry_after(&failure(http("429 x", &["retry-after: soon"], "")).await), None);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_an_overflow() {
    let llama = json!({"code": 400, "type": "exceed_context_size_error", "message": "too long"});
    let line = "the conversation is too long for the model: HTTP 400 (exceed_context_size_error): \
                too long";
    check_status("400 x", llama.clone(), Class::Overflow, line).await;
    check(streamed(&[json!({"error": llama})]), Class::Overflow, line).await;
    let hosted = json!({"code": "context_length_exceeded", "message": "x", "type": "y"});
    let line = "the conversation is too long for the model: HTTP 400 (context_length_exceeded): x";
    check_status("400 x", hosted, Class::Overflow, line).await;
    let vllm = "This model's maximum context length is 10 tokens.";
    let body = json!({"object": "error", "message": vllm, "code": 400}).to_string();
    let line = format!("the conversation is too long for the model: HTTP 400: {vllm}");
    check(http("400 x", &[], &body), Class::Overflow, &line).await;
}

#[tokio::test]
async fn a_filter_or_a_refusal_is_refused() {
    let filter = json!({"code": "content_filter", "message": "no"});
    let line = "a filter of the provider declined: HTTP 400 (content_filter): no";
    check_status("400 x", filter, Class::Refused, line).await;
    let line = "the model declined: a filter of the provider stopped the answer";
    check(streamed(&[say("he"), finish("content_filter")]), Class::Refused, line).await;
    let refusal =
        [delta(json!({"refusal": "I "})), delta(json!({"refusal": "won't"})), finish("stop")];
    check(streamed(&refusal), Class::Refused, "the model declined: I won't").await;
}

#[tokio::test]
async fn what_no_repetition_helps_is_fatal_and_has_the_words_of_the_server() {
    for status in ["401 x", "403 x"] {
        let line = format!("the server denies access: HTTP {} (k): bad key", &status[..3]);
        let error = json!({"message": "bad key", "type": "k"});
        check_status(status, error, Class::Fatal, &line).await;
    }
    for status in ["400 x", "404 x", "422 x", "302 x"] {
        let line = format!("the server does not take the request: HTTP {}: no", &status[..3]);
        check(http(status, &["location: http://127.0.0.1:9/"], "no"), Class::Fatal, &line).await;
    }
    let line = "the server denies access: HTTP 429 (insufficient_quota): pay";
    let quota = json!({"code": "insufficient_quota", "message": "pay"});
    check_status("429 x", quota, Class::Fatal, line).await;
}

#[tokio::test]
async fn the_words_of_a_server_are_cut_and_nothing_in_them_is_hidden() {
    let body = format!("a\u{202e}b\u{1b}[31m\n{}", "x".repeat(100_000));
    let error = failure(http("400 x", &[], &body)).await;
    let line = chain(&error);
    assert!(line.contains("a\\u{202e}b\\u{1b}[31m\\nxxx") && line.len() < 700, "{line}");
    // No more than the beginning of an error is read.
    assert!(line.ends_with("more bytes)"), "{line}");
}

#[tokio::test]
async fn an_error_in_the_place_of_an_answer_has_the_class_of_its_words() {
    let in_body = |error: Value| ok_json(&json!({"error": error}));
    let line = "the server has trouble: HTTP 503: later";
    let later = json!({"code": 503, "message": "later"});
    check(in_body(later.clone()), Class::Retryable, line).await;
    check(streamed(&[say("he"), json!({"error": later})]), Class::Retryable, line).await;
    let line = "rate limited: an error (rate_limit_exceeded): slow";
    let slow = json!({"code": "rate_limit_exceeded", "message": "slow"});
    check(streamed(&[json!({"error": slow})]), Class::Retryable, line).await;
    let line = "the server has trouble: an error: boom";
    check(in_body(json!("boom")), Class::Retryable, line).await;
    let line = "the server does not take the request: an error (invalid_request_error): no";
    let wrong = json!({"type": "invalid_request_error", "message": "no"});
    check(in_body(wrong), Class::Fatal, line).await;
}

#[tokio::test]
async fn nobody_who_listens_is_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let model = OpenAiCompatible::builder(format!("http://{address}/v1"), "m").build().unwrap();
    let error = ask(&model).await.unwrap_err();
    assert!(matches!(fault(&error), Fault::Connect { .. }), "{error:?}");
    assert_eq!(class(&error), Class::Retryable);
    let line = chain(&error);
    assert!(line.starts_with("the server cannot be reached: no connection: "), "{line}");
    assert!(line.contains("refused") && !line.contains("/v1"), "{line}");
}

async fn check_broken(script: Vec<Step>) {
    let server = Server::start(vec![script]).await;
    let error = ask(&server.model()).await.unwrap_err();
    assert!(matches!(fault(&error), Fault::Broken { .. }), "{error:?}");
    assert_eq!(
        (class(&error), error.to_string().as_str()),
        (Class::Retryable, "the connection was lost")
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_retryable_wherever_it_breaks() {
    check_broken(vec![Step::Read, Step::Reset]).await;
    check_broken(vec![Step::Read]).await;
    check_broken(vec![Step::Read, Step::Send(b"HTTP/1.1 200 OK\r\ncont".to_vec())]).await;
    check_broken(vec![Step::Read, Step::Send(beginning(&[say("he")])), Step::Reset]).await;
    check_broken(vec![Step::Read, Step::Send(beginning(&[say("he")]))]).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    check_broken(vec![Step::Read, Step::Send(head.as_bytes().to_vec())]).await;
}

#[tokio::test]
async fn a_stream_that_ends_before_the_answer_is_retryable() {
    let line = "the answer was cut short: the stream ended in the middle of the answer, after 1 \
                events";
    let event = format!("data: {}\n\n", say("he"));
    check(stream([event.as_bytes()]), Class::Retryable, line).await;
    // The half of an event that came last is none.
    let half = format!("{event}data: {{\"cho");
    check(stream([half.as_bytes()]), Class::Retryable, line).await;
    let line = "the answer was cut short: the stream ended in the middle of the answer, after 0 \
                events";
    check(stream([]), Class::Retryable, line).await;
}

#[tokio::test]
async fn an_event_that_makes_no_sense_is_retryable() {
    let broken: [&[u8]; 5] = [
        b"data: {\"choices\": [{\"delta\"\n\n",
        b"data: oops\n\n",
        b"data: 5\n\n",
        b"data: {\"choices\": \"many\"}\n\n",
        b"data: \xff\xfe\n\n",
    ];
    for bytes in broken {
        let error = failure(stream([bytes])).await;
        assert!(matches!(fault(&error), Fault::Malformed { .. }), "{error:?}");
        assert_eq!(
            (class(&error), error.to_string().as_str()),
            (Class::Retryable, "the answer is damaged")
        );
    }
    let nameless = delta(json!({"tool_calls": [{"index": 0, "id": "a", "function": {}}]}));
    let line = "the answer is damaged: an event of the stream makes no sense: a call names no tool";
    check(streamed(&[nameless, finish("tool_calls")]), Class::Retryable, line).await;
}

#[tokio::test]
async fn another_kind_of_server_is_fatal() {
    let page = http("200 OK", &["content-type: text/html"], "<html>");
    let line = "the server does not speak the protocol: the answer is not one of a chat server \
                (text/html): expected value at line 1 column 1";
    check(page, Class::Fatal, line).await;
    let line = "the server does not speak the protocol: the answer is not one of a chat server \
                (application/json): there is no answer in it";
    check(ok_json(&json!({"models": []})), Class::Fatal, line).await;
}

async fn check_silent(answer: Vec<u8>, line: &str) {
    let mut server =
        Server::start(vec![vec![Step::Read, Step::Send(answer), Step::AwaitClose]]).await;
    let first = Duration::from_millis(150);
    let builder = server.builder().first_token_timeout(first);
    let model = builder.silence_timeout(Duration::from_millis(100)).build().unwrap();
    let error = ask(&model).await.unwrap_err();
    assert_eq!((class(&error), chain(&error).as_str()), (Class::Retryable, line));
    server.closed().await;
}

#[tokio::test]
async fn a_silent_server_is_retryable_and_its_connection_is_closed() {
    let line = "the server is silent: no first token within 150 ms";
    check_silent(Vec::new(), line).await;
    check_silent(beginning(&[]), line).await;
    check_silent(beginning(&[delta(json!({"role": "assistant", "content": ""}))]), line).await;
    check_silent(http("200 OK", &["content-type: application/json"], "")[..40].to_vec(), line)
        .await;
    let line = "the server is silent: no further token within 100 ms";
    check_silent(beginning(&[say("he")]), line).await;
}

#[tokio::test]
async fn comments_that_keep_a_connection_open_are_no_tokens() {
    let mut script = vec![Step::Read, Step::Send(beginning(&[say("he")]))];
    for _ in 0..100 {
        let comment = support::piece(b": still here\n\n");
        script.extend([Step::Send(comment), Step::Pause(Duration::from_millis(10))]);
    }
    script.push(Step::AwaitClose);
    let server = Server::start(vec![script]).await;
    let model = server.builder().silence_timeout(Duration::from_millis(200)).build().unwrap();
    let error = ask(&model).await.unwrap_err();
    assert_eq!(chain(&error), "the server is silent: no further token within 200 ms");
}
