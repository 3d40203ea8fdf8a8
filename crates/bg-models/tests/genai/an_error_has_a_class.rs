//! What can go wrong, and the class of the error that comes of it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use bg_models::{Fault, Genai};
use bg_sessions::{Model, ModelError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Server, Step, ask, chain, fault, http, ok_json, piece, request, stream};
use crate::vendors::{anthropic, beginning, builder, event, finish, say, start, streamed};

async fn failure(answer: Vec<u8>) -> ModelError {
    let server = Server::answering(vec![answer]).await;
    ask(&anthropic(&server)).await.expect_err("the answer is an error")
}

async fn check(answer: Vec<u8>, line: &str) {
    let error = failure(answer).await;
    assert_eq!(chain(&error), line);
    let is_retryable = matches!(error, ModelError::Retryable { .. });
    let is_of_class =
        ["the server has trouble", "rate limited", "the answer was cut", "the answer is damaged"];
    assert_eq!(is_retryable, is_of_class.iter().any(|class| line.starts_with(class)), "{error:?}");
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

#[tokio::test]
async fn statuses_have_the_classes_that_they_have_elsewhere() {
    let cases = [
        ("429 x", "rate_limit_error", "slow", "rate limited: HTTP 429 (rate_limit_error): slow"),
        ("503 x", "api_error", "later", "the server has trouble: HTTP 503 (api_error): later"),
        (
            "529 x",
            "overloaded_error",
            "busy",
            "the server has trouble: HTTP 529 (overloaded_error): busy",
        ),
        (
            "401 x",
            "authentication_error",
            "key",
            "the server denies access: HTTP 401 (authentication_error): key",
        ),
        (
            "404 x",
            "not_found_error",
            "model",
            "the server does not take the request: HTTP 404 (not_found_error): model",
        ),
        (
            "400 x",
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            "the conversation is too long for the model: HTTP 400 (invalid_request_error): \
             prompt is too long: 9 tokens > 8 maximum",
        ),
        (
            "413 x",
            "request_too_large",
            "big",
            "the conversation is too long for the model: HTTP 413 (request_too_large): big",
        ),
    ];
    for (status, kind, message, line) in cases {
        check(http(status, &[], &error(kind, message).to_string()), line).await;
    }
    let long = failure(http("413 x", &[], "")).await;
    assert!(matches!(long, ModelError::ContextOverflow { .. }), "{long:?}");
}

#[tokio::test]
async fn a_server_says_when_to_ask_again() {
    for (header, millis) in [("retry-after: 7", 7000), ("retry-after-ms: 1500", 1500)] {
        let error = failure(http("429 x", &[header], "")).await;
        let ModelError::Retryable { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, Some(Duration::from_millis(millis)));
    }
}

#[tokio::test]
async fn an_error_in_the_place_of_an_answer_has_the_class_of_its_words() {
    let line = "the server has trouble: an error (overloaded_error): busy";
    let busy = error("overloaded_error", "busy");
    check(streamed(std::slice::from_ref(&busy)), line).await;
    check(streamed(&[start(1, 0), say("he"), busy.clone()]), line).await;
    check(ok_json(&busy), line).await;
    let line = "the server denies access: an error (authentication_error): key";
    check(streamed(&[error("authentication_error", "key")]), line).await;
}

#[tokio::test]
async fn a_refusal_is_refused() {
    let mut events = vec![start(1, 0), say("he")];
    events.extend(finish("refusal", 1));
    let error = failure(streamed(&events)).await;
    assert!(matches!(error, ModelError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_ends_before_the_answer_is_retryable() {
    let line = "the answer was cut short: the stream ended in the middle of the answer, after";
    for events in [&[][..], &[start(1, 0)], &[start(1, 0), say("he")]] {
        let error = failure(streamed(events)).await;
        assert!(chain(&error).starts_with(line), "{error:?}");
        assert!(matches!(error, ModelError::Retryable { .. }), "{error:?}");
    }
    // The half of an event that came last is none.
    let half = event(&start(1, 0)) + "event: message_stop\ndata: {\"type\": \"message_stop\"}\n";
    assert!(chain(&failure(stream([half.as_bytes()])).await).starts_with(line));
    // Gemini has no event that ends a stream.
    let body = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"he\"}]}}]}\n\n";
    let server = Server::answering(vec![stream([body.as_bytes()])]).await;
    let error = ask(&builder(&server, "gemini").build().unwrap()).await.unwrap_err();
    assert!(matches!(fault(&error), Fault::Cut { .. }), "{error:?}");
}

#[tokio::test]
async fn an_event_that_makes_no_sense_is_retryable() {
    let broken: [&[u8]; 3] = [
        b"event: content_block_delta\ndata: {\"delta\"\n\n",
        b"event: content_block_delta\ndata: {\"delta\": 5}\n\n",
        b"event: content_block_delta\ndata: \xff\xfe\n\n",
    ];
    for bytes in broken {
        let error = failure(stream([bytes])).await;
        assert!(matches!(fault(&error), Fault::Malformed { .. }), "{error:?}");
        assert!(matches!(error, ModelError::Retryable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn another_kind_of_server_is_fatal() {
    let page = http("200 OK", &["content-type: text/html"], "<html>");
    check(
        page,
        "the server does not speak the protocol: the answer is not one of a chat server \
        (text/html): it is no stream",
    )
    .await;
    check(
        http("302 x", &["location: http://127.0.0.1:9/"], "no"),
        "the server does not take the request: HTTP 302: no",
    )
    .await;
}

#[tokio::test]
async fn nobody_who_listens_is_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let model = Genai::builder("anthropic::tiny").base_url(base).build().unwrap();
    let error = ask(&model).await.unwrap_err();
    assert!(matches!(fault(&error), Fault::Connect { .. }), "{error:?}");
    assert!(matches!(error, ModelError::Retryable { .. }));
}

#[tokio::test]
async fn a_connection_that_breaks_is_retryable_wherever_it_breaks() {
    let begun = beginning(&[start(1, 0), say("he")]);
    let scripts = [
        vec![Step::Read, Step::Reset],
        vec![Step::Read],
        vec![Step::Read, Step::Send(b"HTTP/1.1 200 OK\r\ncont".to_vec())],
        vec![Step::Read, Step::Send(begun.clone()), Step::Reset],
        vec![Step::Read, Step::Send(begun)],
    ];
    for script in scripts {
        let server = Server::start(vec![script]).await;
        let error = ask(&anthropic(&server)).await.unwrap_err();
        assert!(matches!(fault(&error), Fault::Broken { .. }), "{error:?}");
        assert!(matches!(error, ModelError::Retryable { .. }));
    }
}

async fn check_silent(script: Vec<Step>, line: &str) {
    let mut server = Server::start(vec![script]).await;
    let model = builder(&server, "anthropic")
        .first_token_timeout(Duration::from_millis(300))
        .silence_timeout(Duration::from_millis(200));
    let error = ask(&model.build().unwrap()).await.unwrap_err();
    assert_eq!(chain(&error), line);
    assert!(matches!(error, ModelError::Retryable { .. }));
    server.closed().await;
}

#[tokio::test]
async fn a_silent_server_is_retryable_and_its_connection_is_closed() {
    let hanging = |sent: Vec<u8>| vec![Step::Read, Step::Send(sent), Step::AwaitClose];
    let line = "the server is silent: no first token within 300 ms";
    check_silent(hanging(Vec::new()), line).await;
    check_silent(hanging(beginning(&[])), line).await;
    check_silent(hanging(beginning(&[start(1, 0)])), line).await;
    let line = "the server is silent: no further token within 200 ms";
    check_silent(hanging(beginning(&[start(1, 0), say("he")])), line).await;
}

#[tokio::test]
async fn pings_and_comments_that_keep_a_connection_open_are_no_tokens() {
    let mut script = vec![Step::Read, Step::Send(beginning(&[start(1, 0), say("he")]))];
    for _ in 0..100 {
        let ping = event(&json!({"type": "ping"})) + ": still here\n\n";
        script.extend([Step::Send(piece(ping.as_bytes())), Step::Pause(Duration::from_millis(10))]);
    }
    script.push(Step::AwaitClose);
    check_silent(script, "the server is silent: no further token within 200 ms").await;
}

/// How long the server may take to see the end: a few tasks that have to be scheduled, on a machine
/// that may be busy. Every deadline of the model is a minute or more.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_request_that_nobody_waits_for_closes_its_connection_at_once() {
    for sent in [Vec::new(), beginning(&[]), beginning(&[start(1, 0), say("he")])] {
        for is_dropped in [true, false] {
            let script = vec![Step::Read, Step::Send(sent.clone()), Step::AwaitClose];
            let mut server = Server::start(vec![script]).await;
            let (model, token) = (anthropic(&server), CancellationToken::new());
            let heard = token.clone();
            let asking = tokio::spawn(async move { model.complete(request(), heard).await });
            server.has_received(1).await;
            let let_go = Instant::now();
            if is_dropped {
                asking.abort();
            } else {
                token.cancel();
                let error = asking.await.unwrap().unwrap_err();
                assert!(matches!(fault(&error), Fault::Cancelled), "{error:?}");
            }
            let after = server.closed().await.saturating_duration_since(let_go);
            assert!(after < AT_ONCE, "closed after {after:?}");
        }
    }
}
