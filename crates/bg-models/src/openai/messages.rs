//! A conversation in the words of the protocol.

use std::borrow::Cow;

use bg_sessions::{Message, Part, Role, ToolCall};
use serde::Serialize;
use serde_json::{Value, json};

use crate::attached::{Attached, attached};
use crate::calls::{wire_args, wire_name};

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(crate) enum WireMessage<'a> {
    System {
        content: Cow<'a, str>,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning_content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Value>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

/// Text where text is all there is: there are servers that take nothing else.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Content<'a> {
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Piece<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ImageUrl {
    url: String,
}

pub(crate) fn messages<'a>(
    instructions: Cow<'a, str>,
    conversation: &'a [Message],
    returns_thinking: bool,
) -> Vec<WireMessage<'a>> {
    let mut messages = Vec::with_capacity(conversation.len() + 1);
    if !instructions.is_empty() {
        messages.push(WireMessage::System { content: instructions });
    }
    for message in conversation {
        match message.role {
            Role::User => push_user(&mut messages, &message.parts),
            Role::Assistant => messages.push(assistant(&message.parts, returns_thinking)),
        }
    }
    messages
}

/// The protocol has a message for each result, and wants them right behind the calls.
fn push_user<'a>(messages: &mut Vec<WireMessage<'a>>, parts: &'a [Part]) {
    let results = parts.iter().filter_map(Part::as_tool_result);
    messages.extend(results.map(|result| WireMessage::Tool {
        tool_call_id: &result.call_id,
        content: &result.output,
    }));
    let pieces: Vec<Piece<'a>> = parts.iter().filter_map(piece).collect();
    if !pieces.is_empty() {
        messages.push(WireMessage::User { content: content(pieces) });
    }
}

fn piece(part: &Part) -> Option<Piece<'_>> {
    match part {
        Part::Text(text) => Some(Piece::Text { text: Cow::Borrowed(text) }),
        Part::Resource(resource) => Some(wire_piece(attached(resource))),
        _ => None,
    }
}

/// Puts texts together, a blank line between two, unless there is a picture among them.
fn content(mut pieces: Vec<Piece<'_>>) -> Content<'_> {
    if pieces.iter().any(|piece| matches!(piece, Piece::ImageUrl { .. })) {
        return Content::Pieces(pieces);
    }
    if pieces.len() == 1
        && let Some(Piece::Text { text }) = pieces.pop()
    {
        return Content::Text(text);
    }
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text { text } => Some(&**text),
        Piece::ImageUrl { .. } => None,
    });
    Content::Text(texts.collect::<Vec<_>>().join("\n\n").into())
}

fn wire_piece(attached: Attached<'_>) -> Piece<'_> {
    match attached {
        Attached::Text(text) => Piece::Text { text },
        Attached::Picture { mime, base64 } => {
            Piece::ImageUrl { image_url: ImageUrl { url: format!("data:{mime};base64,{base64}") } }
        }
    }
}

fn assistant(parts: &[Part], returns_thinking: bool) -> WireMessage<'_> {
    let tool_calls: Vec<Value> =
        parts.iter().filter_map(Part::as_tool_call).map(wire_call).collect();
    let text = joined(parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    }));
    let thinking = joined(parts.iter().filter_map(|part| match part {
        Part::Thinking(thinking) => Some(thinking.text.as_str()),
        _ => None,
    }));
    // Null is for calls alone; a message with neither has an empty text.
    let content = text.or_else(|| tool_calls.is_empty().then_some(Cow::Borrowed("")));
    let reasoning_content = thinking.filter(|_| returns_thinking);
    WireMessage::Assistant { content, reasoning_content, tool_calls }
}

fn joined<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let first = Cow::Borrowed(texts.next()?);
    Some(texts.fold(first, |all, text| all + text))
}

fn wire_call(call: &ToolCall) -> Value {
    let function = json!({"name": wire_name(&call.name), "arguments": wire_args(&call.args)});
    json!({"id": call.id, "type": "function", "function": function})
}

#[cfg(test)]
mod tests {
    use bg_sessions::{Thinking, ToolResult};
    use bg_tools::Resource;

    use super::*;

    fn shown(conversation: &[Message], returns_thinking: bool) -> Value {
        serde_json::to_value(messages("".into(), conversation, returns_thinking)).unwrap()
    }

    #[track_caller]
    fn check_user(parts: Vec<Part>, expected: &Value) {
        assert_eq!(&shown(&[Message::user(parts)], false), expected);
    }

    #[test]
    fn results_come_before_what_else_the_user_says() {
        let call = ToolCall::new("1", "Read", "{}");
        let result = Part::ToolResult(ToolResult::new(&call, "no such file", false));
        let parts = vec![Part::text("and now"), result, Part::text("go on")];
        let tool = json!({"role": "tool", "tool_call_id": "1", "content": "no such file"});
        let user = json!({"role": "user", "content": "and now\n\ngo on"});
        check_user(parts, &json!([tool, user]));
    }

    #[test]
    fn a_text_alone_is_sent_byte_for_byte() {
        check_user(vec![Part::text(" a \n")], &json!([{"role": "user", "content": " a \n"}]));
    }

    #[test]
    fn a_text_that_is_attached_cannot_end_its_fence() {
        let notes = Resource::new("notes.md").with_text("```\nout");
        let content = "[resource notes.md, 7 bytes]\n````\n```\nout\n````";
        check_user(vec![Part::resource(notes)], &json!([{"role": "user", "content": content}]));
    }

    #[test]
    fn a_picture_is_sent_as_one_and_other_bytes_by_their_name() {
        let chart = Resource::new("c.png").with_mime("image/png").with_bytes(*b"abc");
        let zip = Resource::new("z.zip").with_mime("application/zip").with_bytes(*b"abc");
        let pieces = json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
            {"type": "text", "text": "[resource z.zip application/zip, 3 bytes]"},
        ]);
        let parts = vec![Part::resource(chart), Part::resource(zip)];
        check_user(parts, &json!([{"role": "user", "content": pieces}]));
    }

    #[test]
    fn a_linked_picture_is_named_and_nobody_fetches_it() {
        let far = Resource::new("c").with_mime("image/png").with_uri("http://h/c.png");
        let content = far.to_string();
        check_user(vec![Part::resource(far)], &json!([{"role": "user", "content": content}]));
    }

    #[test]
    fn what_a_model_wrote_wrongly_comes_back_in_a_form_that_servers_take() {
        let calls = [("A", ""), ("rm -rf", "{\"a\""), ("C", "[1]"), ("D_1", "{\"a\": 1}")];
        let calls = calls.map(|(name, args)| Part::ToolCall(ToolCall::new("i", name, args)));
        let shown = shown(&[Message::assistant(calls.to_vec())], false);
        assert_eq!(shown[0]["content"], Value::Null);
        let function = |number: usize, field: &str| {
            shown[0]["tool_calls"][number]["function"][field].as_str().unwrap().to_owned()
        };
        assert_eq!(function(0, "arguments"), "{}");
        assert_eq!(function(1, "name"), "rm_-rf");
        assert_eq!(function(1, "arguments"), "{\"invalid_arguments\":\"{\\\"a\\\"\"}");
        assert_eq!(function(2, "arguments"), "{\"invalid_arguments\":\"[1]\"}");
        assert_eq!(function(3, "arguments"), "{\"a\": 1}");
    }

    #[test]
    fn thoughts_are_sent_back_only_if_that_is_wanted() {
        let turn = [Message::assistant(vec![Part::Thinking(Thinking::new("hm"))])];
        assert_eq!(shown(&turn, false), json!([{"role": "assistant", "content": ""}]));
        let with_thoughts =
            json!([{"role": "assistant", "content": "", "reasoning_content": "hm"}]);
        assert_eq!(shown(&turn, true), with_thoughts);
    }
}
