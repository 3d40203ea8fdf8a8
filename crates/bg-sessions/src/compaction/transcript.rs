//! The older conversation as text for the model that summarizes it.
//!
//! As text and not as messages: a provider that wants tools for every call in a conversation takes
//! it, a model is not drawn into going on with it, and it can be cut to any size.

use bg_core::text;

use super::limits::fit;
use super::quote::quoted;
use super::size;
use crate::message::{Message, Part, Role};

/// Longest result or arguments of a call, in bytes.
const MAX_RESULT_BYTES: usize = 2000;

/// Longest text of a message, in bytes.
const MAX_TEXT_BYTES: usize = 16_000;

/// Tokens that are kept for the line that counts what is left out.
const LEFT_OUT_TOKENS: u64 = 20;

/// Writes messages, no more than so many tokens. What is too old for that is cut or left out, and
/// counted.
pub(super) fn transcript(messages: &[Message], tokens: u64) -> String {
    let entries: Vec<String> = messages.iter().flat_map(entries).collect();
    let whole = size::sum(entries.iter().map(|entry| size::text(entry)));
    if whole <= tokens {
        return entries.concat();
    }
    let room = tokens.saturating_sub(LEFT_OUT_TOKENS);
    let kept = newest(&entries, room);
    let (older, newer) = entries.split_at(entries.len() - kept);
    let room = room.saturating_sub(size::sum(newer.iter().map(|entry| size::text(entry))));
    // The next one has what room is left: the start of something large says more than nothing.
    let part = older.last().map(|next| cut(next, room)).unwrap_or_default();
    let gone = older.len() - usize::from(!part.is_empty());
    format!("{}{part}{}", left_out(gone), newer.concat())
}

/// Counts the entries at the end that fit together.
fn newest(entries: &[String], room: u64) -> usize {
    let mut left = room;
    let fits = |entry: &&String| match left.checked_sub(size::text(entry)) {
        Some(less) => {
            left = less;
            true
        }
        None => false,
    };
    entries.iter().rev().take_while(fits).count()
}

fn left_out(entries: usize) -> String {
    match entries {
        0 => String::new(),
        n => format!("[{n} older entries left out]\n"),
    }
}

/// Cuts an entry, whose quotes stay quotes: they go from line to line.
fn cut(entry: &str, room: u64) -> String {
    let cut = fit(entry, room, |text| format!("{text}\n"));
    if size::text(&cut) <= room { cut } else { String::new() }
}

fn entries(message: &Message) -> impl Iterator<Item = String> {
    message.parts.iter().filter_map(|part| entry(message.role, part))
}

/// Writes a part. Thoughts are left out: what they came to was said or done. A resource is named, in
/// one line that its name cannot leave.
fn entry(role: Role, part: &Part) -> Option<String> {
    let (head, text, most) = match part {
        Part::Thinking(_) => return None,
        Part::Resource(resource) => return Some(format!("{resource}\n")),
        Part::Text(text) if role == Role::User => ("[to the worker]", text, MAX_TEXT_BYTES),
        Part::Text(text) => ("[the worker]", text, MAX_TEXT_BYTES),
        Part::ToolCall(call) => {
            let both = format!("{} {}", call.name, call.args);
            return Some(written("[the worker calls]", &both, MAX_RESULT_BYTES));
        }
        Part::ToolResult(result) if result.success => {
            ("[result]", &result.output, MAX_RESULT_BYTES)
        }
        Part::ToolResult(result) => ("[failure]", &result.output, MAX_RESULT_BYTES),
    };
    (!text.trim().is_empty()).then(|| written(head, text, most))
}

fn written(head: &str, foreign: &str, most: usize) -> String {
    format!("{head}\n{}", quoted(&text::excerpt(foreign, most)))
}
