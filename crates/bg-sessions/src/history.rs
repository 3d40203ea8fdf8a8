//! The conversation of one run, in a shape that every provider takes.
//!
//! # Invariants
//!
//! 1. Roles alternate, beginning with the user. No message is empty, and no text in one is blank: there
//!    are providers that take neither.
//! 2. Every call of an assistant message has its result in the message after it, in the order of
//!    the calls. A turn with calls enters the history together with its results, so there is no
//!    moment without them: whoever drops a run between the two drops the turn with it.
//! 3. An assistant message holds no results and no resources, a user message no calls.

use std::sync::Arc;

use crate::message::{Message, Part, Role, ToolCall, ToolResult};

/// What a call answered, before it is tied to the call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) output: String,
    pub(crate) success: bool,
}

/// A conversation. Requests share it; it is copied only if somebody kept one.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Vec<Message>>);

impl History {
    /// Begins a conversation.
    #[cfg(test)]
    pub(crate) fn new(prompt: String) -> Self {
        let mut history = Self::default();
        history.push_user(vec![Part::Text(prompt)]);
        history
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the conversation for a request.
    pub(crate) fn messages(&self) -> Arc<Vec<Message>> {
        debug_assert!(is_answered(&self.0), "I1, I2");
        self.0.clone()
    }

    /// Makes the conversation that takes the place of one that was too large: a new beginning, then
    /// the recent turns. `None` if the two do not make up a conversation (I1, I2).
    pub(crate) fn compacted(head: Vec<Part>, tail: Vec<Message>) -> Option<Self> {
        let mut messages = vec![Message::user(head)];
        messages.extend(tail);
        is_answered(&messages).then(|| Self(Arc::new(messages)))
    }

    /// Returns the conversation for reading.
    pub(crate) fn as_slice(&self) -> &[Message] {
        &self.0
    }

    /// Returns the conversation for changing what is said in it, not who says it (I1, I2).
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Message] {
        Arc::make_mut(&mut self.0).as_mut_slice()
    }

    /// Adds a turn without calls; what calls it has are left out.
    pub(crate) fn push_answer(&mut self, mut turn: Vec<Part>) {
        turn.retain(|part| matches!(part, Part::Text(_) | Part::Thinking(_)));
        self.push(Role::Assistant, turn);
    }

    /// Adds a turn with calls and what they answered, in the order of the calls.
    pub(crate) fn push_exchange(&mut self, mut turn: Vec<Part>, answers: Vec<Answer>) {
        turn.retain(|part| !matches!(part, Part::ToolResult(_) | Part::Resource(_)));
        let calls = turn.iter().filter_map(Part::as_tool_call);
        debug_assert_eq!(calls.clone().count(), answers.len(), "I2");
        let mut answers = answers.into_iter();
        let results = calls.map(|call| result(call, answers.next())).collect();
        self.push(Role::Assistant, turn);
        self.push(Role::User, results);
    }

    /// Adds something for the model to read.
    #[cfg(test)]
    pub(crate) fn push_text(&mut self, text: String) {
        self.push_user(vec![Part::Text(text)]);
    }

    /// Adds things for the model to read. Returns how many there are, without blank texts.
    pub(crate) fn push_user(&mut self, parts: Vec<Part>) -> usize {
        self.push(Role::User, parts)
    }

    /// Takes back the last so many parts that the model was given and has not answered.
    pub(crate) fn take_back(&mut self, parts: usize) {
        let messages = Arc::make_mut(&mut self.0);
        let Some(last) = messages.last_mut().filter(|last| last.role == Role::User) else { return };
        last.parts.truncate(last.parts.len().saturating_sub(parts));
        if last.parts.is_empty() {
            messages.pop();
        }
    }

    /// Adds to the last message when it has the same role (I1): the one between may have been
    /// empty.
    fn push(&mut self, role: Role, mut parts: Vec<Part>) -> usize {
        parts.retain(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
        let count = parts.len();
        if parts.is_empty() {
            return count;
        }
        let messages = Arc::make_mut(&mut self.0);
        match messages.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => messages.push(Message { role, parts }),
        }
        count
    }
}

/// Ties an answer to its call. A call without one gets an answer that says so, because a
/// conversation with an open call is one that no provider takes.
fn result(call: &ToolCall, answer: Option<Answer>) -> Part {
    let missing = || Answer { output: "there is no result".to_owned(), success: false };
    let answer = answer.unwrap_or_else(missing);
    Part::ToolResult(ToolResult::new(call, answer.output, answer.success))
}

/// Returns whether a conversation alternates, beginning with the user, and has a result for each
/// call in the message after it, in order.
pub(crate) fn is_answered(messages: &[Message]) -> bool {
    let expected = [Role::User, Role::Assistant].into_iter().cycle();
    let alternates = messages.iter().zip(expected).all(|(message, role)| message.role == role);
    let no_calls = &Message::assistant(Vec::new());
    let before = std::iter::once(no_calls).chain(messages);
    let after = messages.iter().chain([no_calls]);
    alternates && before.zip(after).all(|(one, next)| calls(one).eq(results(next)))
}

fn calls(message: &Message) -> impl Iterator<Item = &str> {
    message.parts.iter().filter_map(Part::as_tool_call).map(|call| call.id.as_str())
}

fn results(message: &Message) -> impl Iterator<Item = &str> {
    message.parts.iter().filter_map(Part::as_tool_result).map(|result| result.call_id.as_str())
}
