//! What happens to connections: they are closed when nobody waits, and used again otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use std::time::{Duration, Instant};

use bg_models::{Fault, OpenAiCompatible};
use bg_sessions::{Model, ModelError};
use support::{Server, Step, ask, beginning, fault, finish, request, say, streamed};
use tokio_util::sync::CancellationToken;

/// How long the server may take to see the end: nothing but two tasks that have to be scheduled, on a
/// machine that may be busy. Every deadline of the model is a minute or more.
const AT_ONCE: Duration = Duration::from_secs(2);

fn hanging(sent: Vec<u8>) -> Vec<Step> {
    vec![Step::Read, Step::Send(sent), Step::AwaitClose]
}

/// Asks until the request is there, then lets go of it in a way.
async fn check(sent: Vec<u8>, let_go: impl AsyncFnOnce(OpenAiCompatible, &Server) -> Instant) {
    let mut server = Server::start(vec![hanging(sent)]).await;
    let model = server.model();
    let let_go = let_go(model, &server).await;
    let closed = server.closed().await;
    let after = closed.saturating_duration_since(let_go);
    assert!(after < AT_ONCE, "closed after {after:?}");
}

async fn dropped(model: OpenAiCompatible, server: &Server) -> Instant {
    {
        let mut asking = std::pin::pin!(model.complete(request(), CancellationToken::new()));
        tokio::select! {
            reply = &mut asking => panic!("nothing was sent that is an answer: {reply:?}"),
            () = server.has_received(1) => {}
        }
        // The beginning of the answer is under way: give it a turn to arrive.
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut asking).await;
    }
    Instant::now()
}

async fn cancelled(model: OpenAiCompatible, server: &Server) -> Instant {
    let token = CancellationToken::new();
    let heard = token.clone();
    let asking = tokio::spawn(async move { model.complete(request(), heard).await });
    server.has_received(1).await;
    token.cancel();
    let now = Instant::now();
    let error = asking.await.unwrap().expect_err("it was cancelled");
    assert!(matches!(error, ModelError::Fatal { .. }), "{error:?}");
    assert!(matches!(fault(&error), Fault::Cancelled));
    now
}

#[tokio::test]
async fn a_request_that_is_dropped_closes_its_connection_before_and_within_the_answer() {
    check(Vec::new(), dropped).await;
    check(beginning(&[]), dropped).await;
    check(beginning(&[say("he")]), dropped).await;
}

#[tokio::test]
async fn a_token_that_fires_closes_the_connection_before_and_within_the_answer() {
    check(Vec::new(), cancelled).await;
    check(beginning(&[say("he")]), cancelled).await;
}

#[tokio::test]
async fn a_token_that_has_fired_lets_nothing_be_sent() {
    let server = Server::start(vec![hanging(Vec::new())]).await;
    let token = CancellationToken::new();
    token.cancel();
    assert!(server.model().complete(request(), token).await.is_err());
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let answer = || Step::Send(streamed(&[say("x"), finish("stop")]));
    let script = vec![Step::Read, answer(), Step::Read, answer(), Step::AwaitClose];
    let server = Server::start(vec![script, vec![]]).await;
    let model = server.model();
    for _ in 0..2 {
        assert_eq!(ask(&model).await.unwrap().text(), "x");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_has_dropped_meanwhile_is_made_anew() {
    let answer = || Step::Send(streamed(&[say("x"), finish("stop")]));
    let server = Server::start(vec![vec![Step::Read, answer()]]).await;
    let model = server.model();
    for number in 0..20 {
        match ask(&model).await {
            Ok(reply) => assert_eq!(reply.text(), "x"),
            // The server may go while the request is on its way: that is for the caller to repeat.
            Err(ModelError::Retryable { .. }) => {}
            Err(error) => panic!("request {number}: {error:?}"),
        }
    }
    assert!(server.requests().len() >= 10, "{}", server.requests().len());
}
