//! A model that cannot answer now is asked again, a bounded number of times.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;

use std::time::Duration;

use bg_core::{Outcome, Registry};
use bg_sessions::{ModelError, Turn};
use common::{completed, echo, run, toolbox, turns};
use tokio::time::Instant;

fn busy(after: Option<u64>) -> Turn {
    let source = std::io::Error::other("HTTP 429");
    let after = after.map(Duration::from_secs);
    Turn::Fail(ModelError::retryable("busy", after).with_source(source))
}

#[tokio::test(start_paused = true)]
async fn three_failures_are_waited_out_with_a_growing_pause() {
    let registry = Registry::new();
    let model = turns([
        Turn::call("Echo", r#"{"text": "kept"}"#),
        busy(None),
        busy(None),
        busy(None),
        Turn::say("there"),
    ]);
    let begin = Instant::now();
    let finished = run(&registry.root_scope(), model.clone(), toolbox([echo()])).await;
    assert_eq!(completed(&finished).text, "there");
    assert_eq!(begin.elapsed().as_millis(), 500 + 1000 + 2000);
    assert_eq!(finished.steps(), 2, "an attempt is not a step");
    let requests = model.requests();
    assert!(requests[1..].iter().all(|request| request.messages.len() == 3), "inputs are kept");
    assert_eq!(finished.trace()[1], "asking the model again in 500 ms: busy");
}

#[tokio::test(start_paused = true)]
async fn the_provider_says_when_but_not_past_thirty_seconds() {
    let registry = Registry::new();
    let model = turns([busy(Some(7)), busy(Some(3600)), Turn::say("there")]);
    let begin = Instant::now();
    run(&registry.root_scope(), model, toolbox([])).await;
    assert_eq!(begin.elapsed().as_secs(), 7 + 30);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_stays_busy_is_a_failure_with_its_causes() {
    let registry = Registry::new();
    let call = Turn::call("Echo", r#"{"text": "x"}"#);
    let model = turns([call, busy(None), busy(None), busy(None), busy(None)]);
    let finished = run(&registry.root_scope(), model.clone(), toolbox([echo()])).await;
    let Outcome::Failed(failure) = &finished.outcome else { panic!("{:?}", finished.outcome) };
    assert_eq!(failure.to_string(), "the model failed 4 times: busy: HTTP 429");
    let partial = failure.partial.as_ref().unwrap();
    assert_eq!((partial.usage().input_tokens, partial.usage().tool_calls), (10, 1));
    assert_eq!(model.requests().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn other_errors_end_the_run_at_once() {
    let errors = [
        ModelError::context_overflow("too long"),
        ModelError::refused("no"),
        ModelError::fatal("wrong key"),
    ];
    for error in errors {
        let text = format!("the model failed: {error}");
        let registry = Registry::new();
        let model = turns([Turn::Fail(error), Turn::say("again")]);
        let finished = run(&registry.root_scope(), model.clone(), toolbox([])).await;
        assert_eq!(finished.outcome.reason(), Some(text));
        assert_eq!(model.requests().len(), 1);
    }
}
