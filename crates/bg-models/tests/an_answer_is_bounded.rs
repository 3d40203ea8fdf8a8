//! A server can send as much as it likes: what is kept has bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use bg_models::Fault;
use bg_sessions::ModelError;
use support::{Server, Step, ask, beginning, chain, event, fault, piece, say};

const MIB: usize = 1 << 20;

/// What may be on its way in the buffers of both sides when the client has had enough.
const ON_THE_WAY: usize = 16 * MIB;

/// Sends a head and then the same piece of a mebibyte many times. Returns the error, and how much
/// the server could send before the client closed the connection.
async fn flood(head: Vec<u8>, piece: Vec<u8>, times: usize) -> (ModelError, usize) {
    let script = vec![Step::Read, Step::Send(head), Step::Repeat(piece, times), Step::AwaitClose];
    let mut server = Server::start(vec![script]).await;
    let error = ask(&server.model()).await.unwrap_err();
    if server.sent() >= times * MIB {
        server.closed().await;
    }
    (error, server.sent())
}

async fn check(head: Vec<u8>, piece: Vec<u8>, line: &str) {
    let (error, sent) = flood(head, piece, 50).await;
    assert!(matches!(error, ModelError::Fatal { .. }), "{error:?}");
    assert!(matches!(fault(&error), Fault::TooLarge { .. }), "{error:?}");
    assert_eq!(chain(&error), line);
    assert!(sent < 16 * MIB + ON_THE_WAY, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_line_of_fifty_megabytes_is_fatal_and_most_of_it_is_not_even_read() {
    let mut head = beginning(&[]);
    head.extend(piece(b"data: "));
    let line = "the answer is too large: an event has more than 16777216 bytes";
    check(head, piece(&vec![b'x'; MIB]), line).await;
}

#[tokio::test]
async fn an_event_of_many_lines_is_bounded_like_one_of_a_single_line() {
    let lines = format!("data: {}\n", "x".repeat(MIB / 16 - 7)).repeat(16).into_bytes();
    let line = "the answer is too large: an event has more than 16777216 bytes";
    check(beginning(&[]), piece(&lines), line).await;
}

#[tokio::test]
async fn an_answer_of_many_events_is_bounded() {
    let head = beginning(&[]);
    let text = "x".repeat(MIB - 100);
    let line = "the answer is too large: the answer has more than 16777216 bytes";
    check(head, piece(event(&say(&text)).as_bytes()), line).await;
}

#[tokio::test]
async fn an_answer_in_one_piece_is_bounded() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"x\": \"".to_vec();
    let line = "the answer is too large: the answer has more than 16777216 bytes";
    check(head, vec![b'x'; MIB], line).await;
}

#[tokio::test]
async fn of_an_error_only_the_beginning_is_read() {
    let head = b"HTTP/1.1 500 x\r\n\r\nboom ".to_vec();
    let (error, sent) = flood(head, vec![b'x'; MIB], 50).await;
    assert!(matches!(error, ModelError::Retryable { .. }), "{error:?}");
    assert!(chain(&error).starts_with("the server has trouble: HTTP 500: boom xxx"));
    assert!(sent < ON_THE_WAY, "{sent} bytes were taken");
}
