//! Puts the calls of an answer together, and says in which form they go back.
//!
//! A call comes in pieces that share an index; its id and its name stand in the first one. Servers
//! deviate: no index, the same index for every call, no ids, the same id for every call.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bg_sessions::ToolCall;
use serde_json::{Value, json};

use crate::fault::Fault;

/// Longest name of a function that servers take.
const MAX_NAME: usize = 64;

/// Most calls in one answer; pieces of further ones are added to the last.
const MAX_CALLS: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    args: String,
}

impl Calls {
    /// What all that was added has, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a piece.
    pub(crate) fn add(&mut self, index: Option<u64>, id: String, name: String, args: &str) {
        self.bytes += id.len() + name.len() + args.len();
        let call = self.call(index, &id, &name);
        // A later piece may repeat what the first one said.
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        call.args.push_str(args);
    }

    /// The call that a piece belongs to: the last one with this index. It begins a new one if there
    /// is none, or if that one has another id.
    fn call(&mut self, index: Option<u64>, id: &str, name: &str) -> &mut Call {
        let place = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if name.is_empty() => self.calls.len().checked_sub(1),
            None => None,
        };
        let is_other = |call: &Call| !id.is_empty() && !call.id.is_empty() && call.id != id;
        let place = place.filter(|place| !is_other(&self.calls[*place]));
        let room = self.calls.len() < MAX_CALLS;
        let place = place.unwrap_or(self.calls.len()).min(MAX_CALLS - 1);
        if place == self.calls.len() && room {
            self.calls.push(Call { index, ..Call::default() });
        }
        &mut self.calls[place]
    }

    /// Returns the calls, each with an id of its own; `None` if one of them names no tool.
    pub(crate) fn end(self, turn: usize) -> Option<Vec<ToolCall>> {
        let mut taken = BTreeSet::new();
        let mut calls = Vec::new();
        for (number, Call { id, name, args, .. }) in self.calls.into_iter().enumerate() {
            if name.is_empty() {
                return None;
            }
            let is_usable = !id.is_empty() && !taken.contains(&id);
            let id = if is_usable { id } else { free_id(&taken, turn, number) };
            taken.insert(id.clone());
            calls.push(ToolCall::new(id, name, args));
        }
        Some(calls)
    }
}

/// What an answer is with a call that names no tool.
pub(crate) fn nameless() -> Fault {
    Fault::Malformed { problem: "a call names no tool".to_owned() }
}

fn free_id(taken: &BTreeSet<String>, turn: usize, number: usize) -> String {
    let mut id = format!("call_{turn}_{number}");
    while taken.contains(&id) {
        id.push('x');
    }
    id
}

/// A name that a model invented comes back in the history, and servers refuse one that no function
/// can have.
pub(crate) fn wire_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().take(MAX_NAME).map(plain).collect()
}

/// Servers read the arguments of earlier calls, and refuse a conversation in which they are not an
/// object. What is none is put into one.
pub(crate) fn wire_args(args: &str) -> Cow<'_, str> {
    if args.trim().is_empty() {
        return Cow::Borrowed("{}");
    }
    match serde_json::from_str(args) {
        Ok(Value::Object(_)) => Cow::Borrowed(args),
        _ => Cow::Owned(json!({"invalid_arguments": args}).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Piece = (Option<u64>, &'static str, &'static str, &'static str);

    #[track_caller]
    fn check(pieces: &[Piece], calls: &[(&str, &str, &str)]) {
        let mut all = Calls::default();
        for (index, id, name, args) in pieces {
            all.add(*index, (*id).to_owned(), (*name).to_owned(), args);
        }
        let expected: Vec<_> =
            calls.iter().map(|(id, name, args)| ToolCall::new(*id, *name, *args)).collect();
        assert_eq!(all.end(3), Some(expected));
    }

    #[test]
    fn pieces_are_put_together_by_index() {
        let pieces = [
            (Some(0), "a", "Read", ""),
            (Some(1), "b", "Grep", "{\"x\""),
            (Some(0), "", "", "{}"),
            (Some(1), "", "", ":1}"),
        ];
        check(&pieces, &[("a", "Read", "{}"), ("b", "Grep", "{\"x\":1}")]);
    }

    #[test]
    fn calls_that_share_an_index_are_told_apart_by_their_ids() {
        let pieces = [(Some(0), "a", "Read", "{}"), (Some(0), "b", "Read", "{}")];
        check(&pieces, &[("a", "Read", "{}"), ("b", "Read", "{}")]);
    }

    #[test]
    fn pieces_without_an_index_begin_a_call_with_its_name() {
        let pieces = [(None, "", "Read", "{"), (None, "", "", "}"), (None, "", "Grep", "{}")];
        check(&pieces, &[("call_3_0", "Read", "{}"), ("call_3_1", "Grep", "{}")]);
    }

    #[test]
    fn an_id_that_came_twice_is_replaced() {
        let pieces = [(Some(0), "a", "Read", "1"), (Some(1), "a", "Read", "2")];
        check(&pieces, &[("a", "Read", "1"), ("call_3_1", "Read", "2")]);
        let pieces = [(Some(0), "call_3_1", "Read", ""), (Some(1), "", "Read", "")];
        check(&pieces, &[("call_3_1", "Read", ""), ("call_3_1x", "Read", "")]);
    }

    #[test]
    fn a_call_without_a_name_is_none_and_calls_are_bounded() {
        let mut calls = Calls::default();
        calls.add(Some(0), "a".to_owned(), String::new(), "{}");
        assert_eq!(calls.end(0), None);
        let mut calls = Calls::default();
        (0..10_000).for_each(|index| calls.add(Some(index), String::new(), "Read".to_owned(), ""));
        assert_eq!(calls.end(0).map(|calls| calls.len()), Some(MAX_CALLS));
    }
}
