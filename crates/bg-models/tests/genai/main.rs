//! The vendors with protocols of their own: the same promises as of the `OpenAI` protocol.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::needless_pass_by_value, reason = "so that `json!` stands in a call as it is")]

#[path = "../kits/mod.rs"]
mod kits;
#[path = "../support/mod.rs"]
mod support;

mod a_conversation_is_written;
mod a_key_is_nowhere;
mod a_mock_plays_a_vendor;
mod a_vendor_is_not_trusted;
mod an_answer_is_put_together;
mod an_error_has_a_class;
mod vendors;
