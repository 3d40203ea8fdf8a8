//! A key that was planted in the environment is in nothing that anybody can read.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use bg_models::{BuildError, OpenAiCompatible};
use bg_sessions::Model;
use serde_json::json;
use support::{Server, Step, ask, chain, delta, finish, http, request, say, streamed};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

const VARIABLE: &str = "BG_PLANTED_KEY";
const KEY: &str = "sk-planted-6b1f0c77d2e94a15";

/// Runs one test of this file again, with the key in its environment.
fn with_the_key(test: &str) -> (bool, String) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(VARIABLE, KEY).env("RUST_BACKTRACE", "1");
    let done = again.output().unwrap();
    let printed = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

#[test]
fn a_planted_key_is_in_no_error_no_debug_output_no_log_no_span_and_no_reply() {
    if std::env::var_os(VARIABLE).is_some() {
        return print_everything();
    }
    let test = "a_planted_key_is_in_no_error_no_debug_output_no_log_no_span_and_no_reply";
    let (success, printed) = with_the_key(test);
    assert!(success, "{printed}");
    for found in ["TRACE", "a test span", "OpenAiCompatible", "Fatal", "Retryable", "Refused"] {
        assert!(printed.contains(found), "{found} was not printed: {printed}");
    }
    assert!(printed.matches("[key]").count() > 10, "{printed}");
    assert!(!printed.contains(KEY) && !printed.contains(&KEY[3..]), "{printed}");
}

/// The servers echo the key wherever a server can.
fn print_everything() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(print_all().instrument(tracing::info_span!("a test span")));
}

async fn print_all() {
    let text = format!("{}{KEY} {KEY}", "x".repeat(480));
    let error = json!({"error": {"message": text, "code": KEY, "type": KEY, "param": KEY}});
    let call = json!({"index": 0, "id": KEY, "function": {"name": KEY, "arguments": KEY}});
    let everything = json!({"content": KEY, "reasoning_content": KEY, "tool_calls": [call]});
    let answers = vec![
        http("401 x", &[], &error.to_string()),
        http("500 x", &[], &text),
        http("200 OK", &[&format!("content-type: text/{KEY}")], &text),
        streamed(std::slice::from_ref(&error)),
        streamed(&[json!(KEY)]),
        streamed(&[delta(json!({"refusal": KEY})), finish("stop")]),
        streamed(&[say(&KEY[..9]), say(&KEY[9..]), delta(everything), finish("stop")]),
    ];
    let mut scripts: Vec<Vec<Step>> =
        answers.into_iter().map(|answer| vec![Step::Read, Step::Send(answer)]).collect();
    scripts.push(vec![Step::Read, Step::Reset]);
    let count = scripts.len();
    let server = Server::start(scripts).await;
    let model = server.builder().key_from_env(VARIABLE).build().unwrap();
    println!("{:?} {model:?}", server.builder().key_from_env(VARIABLE));
    for _ in 0..count {
        match ask(&model).await {
            Ok(reply) => println!("{reply:?} {}", reply.text()),
            Err(error) => println!("{error} {error:?} {error:#?} {}", chain(&error)),
        }
    }
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    println!("{:?}", model.complete(request(), cancelled).await);
    let sent = server.requests();
    assert!(
        sent.iter().all(|request| request.contains(&format!("Bearer {KEY}"))),
        "the key is sent"
    );
}

#[test]
fn a_variable_without_a_key_is_named_and_one_with_a_wrong_key_is_not_shown() {
    let build = |variable: &str| {
        let builder = OpenAiCompatible::builder("http://127.0.0.1:9/v1", "m");
        builder.key_from_env(variable).build()
    };
    let error = build("BG_NO_SUCH_VARIABLE").unwrap_err();
    assert!(matches!(error, BuildError::NoKey { .. }), "{error:?}");
    assert!(error.to_string().contains("BG_NO_SUCH_VARIABLE"), "{error}");
}
