//! A key that was planted in the environment is in nothing that anybody can read, the logs of `genai`
//! among them.

use std::process::Command;

use bg_models::Genai;
use serde_json::json;
use tracing::Instrument;

use crate::support::{Server, Step, ask, chain, http};
use crate::vendors::{answer, builder, finish, open, say, start, streamed};

const VARIABLE: &str = "BG_PLANTED_KEY";
const KEY: &str = "sk-planted-6b1f0c77d2e94a15";

#[test]
fn a_planted_key_is_in_no_error_no_debug_output_no_log_no_span_and_no_reply() {
    if std::env::var_os(VARIABLE).is_some() {
        return print_everything();
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let test = "a_key_is_nowhere::\
                a_planted_key_is_in_no_error_no_debug_output_no_log_no_span_and_no_reply";
    again.args(["--exact", test, "--nocapture"]).env(VARIABLE, KEY).env("RUST_BACKTRACE", "1");
    let done = again.output().unwrap();
    let printed = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{printed}");
    // `genai` writes into the log what it does not know.
    for found in ["TRACE", "a test span", "UNKNOWN MESSAGE TYPE", "Genai", "Fatal", "Retryable"] {
        assert!(printed.contains(found), "{found} was not printed: {printed}");
    }
    assert!(printed.matches("[key]").count() > 10, "{printed}");
    assert!(!printed.contains(KEY) && !printed.contains(&KEY[3..]), "{printed}");
}

/// The vendors echo the key wherever a vendor can.
fn print_everything() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(print_all().instrument(tracing::info_span!("a test span")));
}

async fn print_all() {
    let error = json!({"type": "error", "error": {"type": KEY, "message": KEY}});
    let mut whole =
        vec![start(1, 0), json!({"type": "strange", "key": KEY}), say(&KEY[..9]), say(&KEY[9..])];
    whole.push(open(1, json!({"type": "tool_use", "id": KEY, "name": KEY})));
    whole.extend(finish("end_turn", 1));
    let answers = vec![
        http("401 x", &[], &error.to_string()),
        http("500 x", &[], &format!("{}{KEY}", "x".repeat(480))),
        http("200 OK", &[&format!("content-type: text/{KEY}")], KEY),
        streamed(std::slice::from_ref(&error)),
        streamed(&[json!({"type": "content_block_delta", "delta": KEY})]),
        streamed(&whole),
    ];
    let mut scripts: Vec<Vec<Step>> =
        answers.into_iter().map(|answer| vec![Step::Read, Step::Send(answer)]).collect();
    scripts.push(vec![Step::Read, Step::Reset]);
    let count = scripts.len();
    let server = Server::start(scripts).await;
    let builder = builder(&server, "anthropic").key_from_env(VARIABLE);
    println!("{builder:?}");
    let model: Genai = builder.build().unwrap();
    println!("{model:?}");
    for _ in 0..count {
        match ask(&model).await {
            Ok(reply) => println!("{reply:?} {}", reply.text()),
            Err(error) => println!("{error} {error:?} {error:#?} {}", chain(&error)),
        }
    }
    let header = format!("x-api-key: {KEY}\r\n");
    assert!(server.requests().iter().all(|request| request.contains(&header)), "the key is sent");
}

#[tokio::test]
async fn without_a_key_none_is_sent_whatever_is_in_the_environment() {
    let server = Server::answering(vec![answer("x"), answer("x")]).await;
    for vendor in ["anthropic", "gemini"] {
        let _ = ask(&builder(&server, vendor).build().unwrap()).await;
    }
    let requests = server.requests().concat().to_lowercase();
    assert!(!requests.contains("-key:") && !requests.contains("authorization:"), "{requests}");
}
