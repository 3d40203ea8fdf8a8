//! Puts an answer together from what `genai` makes of a stream.

use bg_core::Usage;
use bg_sessions::{ModelReply, Part, Thinking};
use genai::chat::{
    ChatStreamEvent, ContentPart, MessageContent, StopReason, StreamEnd, ToolCall,
    Usage as GenaiUsage,
};
use serde_json::Value;

use crate::body::MAX_ANSWER_BYTES;
use crate::calls::{Calls, nameless};
use crate::fault::Fault;

/// How far an answer has come. `genai` keeps it, and hands it over at the end.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of text and thoughts.
    bytes: usize,
    has_begun: bool,
}

impl Progress {
    /// Looks at an event. Returns the answer, if that is its end.
    pub(super) fn add(&mut self, event: ChatStreamEvent) -> Result<Option<StreamEnd>, Fault> {
        let bytes = match event {
            ChatStreamEvent::Chunk(chunk) | ChatStreamEvent::ReasoningChunk(chunk) => {
                self.bytes += chunk.content.len();
                self.has_begun |= !chunk.content.is_empty();
                self.bytes
            }
            // Those of a call are all that came until now.
            ChatStreamEvent::ToolCallChunk(chunk) => {
                self.has_begun = true;
                self.bytes + args(&chunk.tool_call).len()
            }
            ChatStreamEvent::ThoughtSignatureChunk(_) => {
                self.has_begun = true;
                self.bytes
            }
            ChatStreamEvent::End(end) => return Ok(Some(end)),
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => self.bytes,
        };
        if bytes > MAX_ANSWER_BYTES {
            return Err(Fault::TooLarge { what: "the answer", limit: MAX_ANSWER_BYTES });
        }
        Ok(None)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }
}

/// Makes the reply. `None` if the stream ended before the answer: `genai` ends some by itself. Ids that
/// are missing, or came twice, are made from `turn`.
pub(super) fn reply(end: StreamEnd, turn: usize) -> Result<Option<ModelReply>, Fault> {
    let usage = usage(end.captured_usage);
    let is_cut = match end.captured_stop_reason {
        None => return Ok(None),
        Some(StopReason::ContentFilter(reason)) => {
            let reason = format!("a filter of the provider stopped the answer ({reason})");
            return Err(Fault::Refused { reason });
        }
        Some(reason) => matches!(reason, StopReason::MaxTokens(_)),
    };
    let content = end.captured_content.unwrap_or_default();
    let mut parts = thoughts(&content, end.captured_reasoning_content);
    let text: String = content.texts().concat();
    parts.extend((!text.is_empty()).then_some(Part::Text(text)));
    let mut calls = Calls::default();
    for (index, call) in (0..).zip(content.into_tool_calls()) {
        let args = args(&call);
        calls.add(Some(index), call.call_id, call.fn_name, &args);
    }
    if calls.bytes() > MAX_ANSWER_BYTES {
        return Err(Fault::TooLarge { what: "the answer", limit: MAX_ANSWER_BYTES });
    }
    parts.extend(calls.end(turn).ok_or_else(nameless)?.into_iter().map(Part::ToolCall));
    let reply = ModelReply::new(parts).with_usage(usage);
    Ok(Some(if is_cut { reply.cut() } else { reply }))
}

/// The arguments as text. Those that are no JSON come as the text that they are.
fn args(call: &ToolCall) -> String {
    match &call.fn_arguments {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        object => object.to_string(),
    }
}

/// A signature comes before its thought. One whose thought is not shown stands for itself; a vendor
/// that signs other things has its thoughts beside them.
fn thoughts(content: &MessageContent, beside: Option<String>) -> Vec<Part> {
    let mut thoughts: Vec<Thinking> = Vec::new();
    for part in content.parts() {
        match part {
            ContentPart::ThoughtSignature(signature) => thoughts.push(signed(signature)),
            ContentPart::ReasoningContent(text) => match thoughts.last_mut() {
                Some(thinking) if thinking.text.is_empty() => thinking.text.clone_from(text),
                _ => thoughts.push(Thinking::new(text)),
            },
            _ => {}
        }
    }
    let is_shown = thoughts.iter().any(|thinking| !thinking.text.is_empty());
    let beside = beside.filter(|text| !is_shown && !text.is_empty()).map(Thinking::new);
    beside.into_iter().chain(thoughts).map(Part::Thinking).collect()
}

fn signed(signature: &str) -> Thinking {
    let mut thinking = Thinking::new("");
    thinking.signature = Some(signature.to_owned());
    thinking
}

/// `genai` counts as the `OpenAI` protocol does: what was in the cache is part of the input.
fn usage(counted: Option<GenaiUsage>) -> Usage {
    let tokens =
        |count: Option<i32>| count.and_then(|count| count.try_into().ok()).unwrap_or_default();
    let mut usage = Usage::default();
    usage.requests = 1;
    if let Some(counted) = counted {
        let cached = counted.prompt_tokens_details.and_then(|details| details.cached_tokens);
        usage.input_tokens = tokens(counted.prompt_tokens);
        usage.output_tokens = tokens(counted.completion_tokens);
        usage.cached_tokens = tokens(cached);
    }
    usage
}
