//! Shortening results of tools where they stand.

use bg_core::text;

use super::size;
use crate::message::{Message, Part, Role, ToolResult};

/// Results that are no larger are left alone, in tokens.
const SMALL_RESULT: u64 = 512;

/// Turns at the end whose results are left alone.
const RECENT_TURNS: usize = 3;

/// Bytes of an old result that are kept.
const KEPT_BYTES: usize = 200;

/// Shortens the large results that are older than the last turns. Returns whether there were any.
pub(super) fn old_results(messages: &mut [Message]) -> bool {
    let end = start_of_recent(messages);
    let results = messages[..end].iter_mut().flat_map(results_of);
    let shortened =
        results.filter_map(|result| shorten(result, SMALL_RESULT, KEPT_BYTES).then_some(()));
    shortened.count() > 0
}

/// Returns how many tokens [`old_results`] would free, about.
pub(super) fn old_tokens(messages: &[Message]) -> u64 {
    let old = &messages[..start_of_recent(messages)];
    let results = old.iter().flat_map(|message| &message.parts).filter_map(Part::as_tool_result);
    let large =
        results.map(|result| size::text(&result.output)).filter(|size| *size > SMALL_RESULT);
    size::sum(large)
}

fn start_of_recent(messages: &[Message]) -> usize {
    let turns = messages.iter().enumerate().rev();
    let mut turns = turns.filter(|(_, message)| message.role == Role::Assistant);
    turns.nth(RECENT_TURNS - 1).map_or(0, |(index, _)| index)
}

/// Shortens the results of the last message until the last exchange has no more than so many tokens,
/// the largest first. Does nothing if that is not enough.
pub(super) fn last_results(messages: &mut [Message], tokens: u64) -> bool {
    let start = messages.iter().rposition(|message| message.role == Role::Assistant);
    let Some(last) = start.map(|start| &mut messages[start..]) else { return false };
    if size::messages(last) <= tokens {
        return false;
    }
    let sizes = std::iter::successors(Some(tokens), |most| Some(most / 2)).skip(1);
    let shorter = sizes.take_while(|most| *most > 0).map(|most| shortened(last, most));
    let Some(fits) = shorter.into_iter().find(|shorter| size::messages(shorter) <= tokens) else {
        return false;
    };
    last.clone_from_slice(&fits);
    true
}

/// Shortens a copy, so that each mark counts from what there was.
fn shortened(messages: &[Message], most: u64) -> Vec<Message> {
    let mut shorter = messages.to_vec();
    for result in shorter.iter_mut().flat_map(results_of) {
        shorten(result, most, size::bytes_within(most) / 2);
    }
    shorter
}

fn results_of(message: &mut Message) -> impl Iterator<Item = &mut ToolResult> {
    message.parts.iter_mut().filter_map(|part| match part {
        Part::ToolResult(result) => Some(result),
        _ => None,
    })
}

/// Keeps the start of a result that is larger than so many tokens, and says how much is gone.
fn shorten(result: &mut ToolResult, most: u64, kept: usize) -> bool {
    if size::text(&result.output) <= most {
        return false;
    }
    let (there, gone) = without_mark(&result.output);
    let kept = text::prefix(there, kept);
    let gone = gone.saturating_add(there.len() - kept.len());
    let mark = format!("{kept}\n({gone}{MARK_END}");
    let is_shorter = mark.len() < result.output.len();
    if is_shorter {
        result.output = mark;
    }
    is_shorter
}

const MARK_END: &str = " more bytes were left out to save room)";

/// Takes off the mark of an earlier shortening, with what it counts.
fn without_mark(output: &str) -> (&str, usize) {
    let marked = output.strip_suffix(MARK_END).and_then(|rest| rest.rsplit_once("\n("));
    let marked = marked.and_then(|(there, gone)| Some((there, gone.parse().ok()?)));
    marked.unwrap_or((output, 0))
}
