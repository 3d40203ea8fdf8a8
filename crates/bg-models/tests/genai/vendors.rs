//! What vendors send.

use bg_models::{Genai, GenaiBuilder};
use serde_json::{Value, json};

use crate::support::{LAST_PIECE, STREAM_HEAD, Server, piece};

pub(crate) fn builder(server: &Server, vendor: &str) -> GenaiBuilder {
    Genai::builder(format!("{vendor}::tiny")).base_url(server.url())
}

pub(crate) fn anthropic(server: &Server) -> Genai {
    builder(server, "anthropic").build().unwrap()
}

/// An event of Anthropic's, which have their type as a name too.
pub(crate) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

/// The beginning of a stream.
pub(crate) fn beginning(events: &[Value]) -> Vec<u8> {
    let mut answer = STREAM_HEAD.as_bytes().to_vec();
    answer.extend(events.iter().flat_map(|one| piece(event(one).as_bytes())));
    answer
}

/// A whole stream of these events, which need not be a whole answer.
pub(crate) fn streamed(events: &[Value]) -> Vec<u8> {
    [&beginning(events), LAST_PIECE.as_bytes()].concat()
}

pub(crate) fn start(input: u64, cached: u64) -> Value {
    let usage = json!({"input_tokens": input, "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0, "output_tokens": 1});
    json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "usage": usage}})
}

pub(crate) fn open(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

pub(crate) fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

pub(crate) fn close(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

pub(crate) fn say(text: &str) -> Value {
    delta(0, json!({"type": "text_delta", "text": text}))
}

pub(crate) fn finish(reason: &str, output: u64) -> [Value; 2] {
    let stop = json!({"stop_reason": reason});
    [
        json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": output}}),
        json!({"type": "message_stop"}),
    ]
}

/// The events of an answer that is a text.
pub(crate) fn text(text: &str) -> Vec<Value> {
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![start(7, 3), open(0, block), say(text), close(0)];
    events.extend(finish("end_turn", 5));
    events
}

/// A text as a whole answer.
pub(crate) fn answer(said: &str) -> Vec<u8> {
    streamed(&text(said))
}
