//! What a vendor is asked, in the words of `genai`.

use std::borrow::Cow;
use std::num::NonZeroU32;

use bg_sessions::{Effort, Message, ModelRequest, Part, Role};
use bg_tools::ToolDefinition;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ContentPart, JsonSpec, MessageContent, ReasoningEffort,
    Tool, ToolCall, ToolChoice, ToolResponse,
};
use serde_json::Value;

use crate::attached::{Attached, attached};
use crate::calls::{wire_args, wire_name};
use crate::schema::with_schema;

/// Name of the schema of an answer, for vendors that want one.
const SCHEMA_NAME: &str = "answer";

/// The conversation and the tools.
pub(super) fn chat_request(request: &ModelRequest) -> ChatRequest {
    let messages = request.messages.iter().flat_map(chat_messages).collect();
    let mut chat = ChatRequest::new(messages);
    let instructions = instructions(request);
    chat.system = (!instructions.is_empty()).then(|| instructions.into_owned());
    chat.tools = (!request.tools.is_empty()).then(|| request.tools.iter().map(tool).collect());
    chat
}

/// How it is to be answered.
pub(super) fn options(request: &ModelRequest, limit: Option<NonZeroU32>) -> ChatOptions {
    let mut options = ChatOptions::default()
        .with_capture_usage(true)
        .with_capture_content(true)
        .with_capture_reasoning_content(true)
        .with_capture_tool_calls(true);
    options.max_tokens = limit.map(NonZeroU32::get);
    options.reasoning_effort = request.effort.map(effort);
    if !may_call(request) {
        // The tools stay: the conversation may have calls of them.
        options.tool_choice = (!request.tools.is_empty()).then_some(ToolChoice::None);
        let schema = request.output_schema.as_deref().cloned();
        options.response_format = schema.map(|schema| JsonSpec::new(SCHEMA_NAME, schema).into());
    }
    options
}

fn may_call(request: &ModelRequest) -> bool {
    request.may_call && !request.tools.is_empty()
}

fn instructions(request: &ModelRequest) -> Cow<'_, str> {
    match request.output_schema.as_deref().filter(|_| may_call(request)) {
        Some(schema) => with_schema(&request.instructions, schema).into(),
        None => Cow::Borrowed(&*request.instructions),
    }
}

/// `genai` has messages of results of their own, which come right behind the calls.
fn chat_messages(message: &Message) -> Vec<ChatMessage> {
    if message.role == Role::Assistant {
        let parts: Vec<_> = message.parts.iter().flat_map(said).collect();
        return vec![ChatMessage::assistant(MessageContent::from_parts(parts))];
    }
    let results: Vec<_> = message.parts.iter().filter_map(result).collect();
    let parts: Vec<_> = message.parts.iter().filter_map(asked).collect();
    let results = (!results.is_empty()).then(|| ChatMessage::from(results));
    let asked = (!parts.is_empty()).then(|| ChatMessage::user(MessageContent::from_parts(parts)));
    results.into_iter().chain(asked).collect()
}

fn result(part: &Part) -> Option<ToolResponse> {
    let result = part.as_tool_result()?;
    let response = ToolResponse::new(&*result.call_id, &*result.output);
    Some(response.with_fn_name(wire_name(&result.name)))
}

fn asked(part: &Part) -> Option<ContentPart> {
    match part {
        Part::Text(text) => Some(ContentPart::from_text(text)),
        Part::Resource(resource) => Some(match attached(resource) {
            Attached::Text(text) => ContentPart::from_text(text),
            Attached::Picture { mime, base64 } => {
                ContentPart::from_binary_base64(mime, base64, Some(resource.name.clone()))
            }
        }),
        _ => None,
    }
}

/// A thought goes back with its signature or not at all: a vendor does not believe one without. A
/// signature without a thought is of what comes next.
fn said(part: &Part) -> Vec<ContentPart> {
    match part {
        Part::Text(text) => vec![ContentPart::from_text(text)],
        Part::Thinking(thinking) => {
            let signature = thinking.signature.clone();
            let text = (!thinking.text.is_empty()).then(|| thinking.text.clone());
            let text = text.filter(|_| signature.is_some()).map(ContentPart::ReasoningContent);
            signature.map(ContentPart::ThoughtSignature).into_iter().chain(text).collect()
        }
        Part::ToolCall(call) => vec![ContentPart::ToolCall(ToolCall {
            call_id: call.id.clone(),
            fn_name: wire_name(&call.name),
            fn_arguments: serde_json::from_str(&wire_args(&call.args)).unwrap_or(Value::Null),
            thought_signatures: None,
        })],
        _ => Vec::new(),
    }
}

fn tool(tool: &ToolDefinition) -> Tool {
    Tool::new(tool.name.as_str())
        .with_description(tool.description.as_str())
        .with_schema(tool.parameters.clone())
}

fn effort(effort: Effort) -> ReasoningEffort {
    match effort {
        Effort::Minimal => ReasoningEffort::Minimal,
        Effort::Low => ReasoningEffort::Low,
        Effort::Medium => ReasoningEffort::Medium,
        Effort::High => ReasoningEffort::High,
        // One that is newer than this file is more than these.
        _ => ReasoningEffort::Max,
    }
}
