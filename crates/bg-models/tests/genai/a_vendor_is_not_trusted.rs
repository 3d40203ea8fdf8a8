//! A vendor can send as much as it likes: what is kept has bounds.

use bg_models::Fault;
use bg_sessions::ModelError;

use crate::support::{Server, Step, ask, chain, fault, piece};
use crate::vendors::{anthropic, beginning, event, say, start};

const MIB: usize = 1 << 20;

/// What may be on its way in the buffers of all sides when the client has had enough.
const ON_THE_WAY: usize = 32 * MIB;

async fn flood(head: Vec<u8>, piece: Vec<u8>) -> (ModelError, usize) {
    let script = vec![Step::Read, Step::Send(head), Step::Repeat(piece, 80), Step::AwaitClose];
    let server = Server::start(vec![script]).await;
    let error = ask(&anthropic(&server)).await.unwrap_err();
    (error, server.sent())
}

async fn check(head: Vec<u8>, piece: Vec<u8>, line: &str) {
    let (error, sent) = flood(head, piece).await;
    assert!(matches!(error, ModelError::Fatal { .. }), "{error:?}");
    assert!(matches!(fault(&error), Fault::TooLarge { .. }), "{error:?}");
    assert_eq!(chain(&error), line);
    assert!(sent < 16 * MIB + ON_THE_WAY, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_line_and_an_event_and_an_answer_are_bounded() {
    let line = "the answer is too large: an event has more than 16777216 bytes";
    let mut head = beginning(&[]);
    head.extend(piece(b"data: "));
    check(head, piece(&vec![b'x'; MIB]), line).await;
    let lines = format!("data: {}\n", "x".repeat(MIB / 16 - 7)).repeat(16).into_bytes();
    check(beginning(&[]), piece(&lines), line).await;
    let line = "the answer is too large: the answer has more than 16777216 bytes";
    // Small events, because `genai` looks through one again for each of its pieces.
    let text = event(&say(&"x".repeat(MIB / 64 - 100))).repeat(64);
    check(beginning(&[start(1, 0)]), piece(text.as_bytes()), line).await;
}

#[tokio::test]
async fn of_an_error_only_the_beginning_is_read() {
    let head = b"HTTP/1.1 500 x\r\n\r\nboom ".to_vec();
    let (error, sent) = flood(head, vec![b'x'; MIB]).await;
    assert!(matches!(error, ModelError::Retryable { .. }), "{error:?}");
    assert!(chain(&error).starts_with("the server has trouble: HTTP 500: boom xxx"));
    assert!(sent < ON_THE_WAY, "{sent} bytes were taken");
}
