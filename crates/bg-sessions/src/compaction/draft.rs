//! One compaction under way: what is to be summarized, what stays, and how often it was tried.

use super::limits::Limits;
use super::marks::{self, Dropped, MIN_SUMMARY_TOKENS};
use super::size;
use super::transcript::transcript;
use crate::error::RunError;
use crate::history::History;
use crate::message::{Message, Part, Role};
use crate::model::{ModelError, ModelReply, ModelRequest};

/// Requests that one compaction makes.
const MAX_TRIES: u32 = 3;

/// Less than that is not worth a request, in tokens.
const MIN_INPUT_TOKENS: u64 = 64;

/// What a draft is made of.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) messages: &'a [Message],
    /// How many parts at the beginning are written by us, or are the task.
    pub(super) head_parts: usize,
    pub(super) task: &'a str,
    /// The rest of the task that the pinned facts have no room for; not once it was summarized.
    pub(super) rest_of_task: &'a str,
    pub(super) earlier: Option<&'a str>,
    pub(super) limits: &'a Limits,
    /// Instructions, tools and pinned facts, in tokens.
    pub(super) fixed: u64,
    /// What the new history may come to, in tokens.
    pub(super) target: u64,
}

/// A compaction that has begun. It holds copies: the history stands.
#[derive(Debug)]
pub(crate) struct Draft {
    /// What a summary is to replace.
    pub(super) body: Vec<Message>,
    /// The recent conversation, which stays as it is.
    pub(super) tail: Vec<Message>,
    /// Where the recent conversation begins in the history.
    cut: usize,
    /// Tokens that a summary has room for, its mark included.
    pub(super) summary_tokens: u64,
    pub(super) target: u64,
    /// Whether the history can also stay as it is.
    pub(super) can_stand: bool,
    task: String,
    earlier: Option<String>,
    /// Most tokens of the next transcript.
    input: u64,
    tries: u32,
}

/// How a compaction ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a summary.
    Summary(String),
    /// With the recent conversation alone.
    Dropped,
    /// The model does not answer now: the history stands as it is.
    Stands,
}

/// What a reply to a request for a summary is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It ends the compaction.
    Ends(Ending),
    /// It is of no use, and why.
    Refused(&'static str),
}

impl Draft {
    /// Divides a conversation. `None` if nothing would come of it: there is nothing old enough, or
    /// what has to stay is too large by itself.
    pub(super) fn new(material: &Material<'_>, can_stand: bool) -> Option<Self> {
        let Material { messages, limits, .. } = *material;
        let room = material.target.checked_sub(material.fixed)?;
        let cut = cut(messages, limits.tail.min(room / 2))?;
        let tail = messages[cut..].to_vec();
        let summary = room.checked_sub(size::messages(&tail))?.min(limits.summary);
        let body = body(material, cut);
        if body.is_empty() || summary < MIN_SUMMARY_TOKENS {
            return None;
        }
        let asked = marks::request_tokens(material.task, material.earlier);
        Some(Self {
            body,
            tail,
            cut,
            summary_tokens: summary,
            target: material.target,
            can_stand,
            task: material.task.to_owned(),
            earlier: material.earlier.map(str::to_owned),
            input: limits.summarize.saturating_sub(asked),
            tries: 0,
        })
    }

    /// Takes what was said since it was begun, and what that comes to now. Returns whether the history
    /// is still the one that it was made of.
    pub(crate) fn catch_up(&mut self, history: &History) -> bool {
        let Some(tail) = history.as_slice().get(self.cut..).filter(|tail| !tail.is_empty()) else {
            return false;
        };
        tail.clone_into(&mut self.tail);
        self.target = u64::MAX;
        true
    }

    /// Returns the next request; each has less to read than the one before. `None` after the last.
    pub(crate) fn next_request(&mut self) -> Option<ModelRequest> {
        if self.tries == MAX_TRIES || self.input < MIN_INPUT_TOKENS {
            return None;
        }
        let transcript = transcript(&self.body, self.input);
        self.tries += 1;
        self.input = size::text(&transcript) / 2;
        Some(marks::request(&self.task, self.earlier.as_deref(), &transcript))
    }

    /// Judges what came of the last request.
    ///
    /// # Errors
    ///
    /// That the run was stopped.
    pub(crate) fn judge(&self, reply: Result<ModelReply, RunError>) -> Result<Judged, RunError> {
        match reply {
            Ok(reply) => Ok(self.judge_reply(&reply)),
            Err(error @ RunError::Stopped) => Err(error),
            Err(RunError::Model(ModelError::ContextOverflow { .. })) => {
                Ok(Judged::Refused("the request was too large"))
            }
            Err(RunError::Exhausted { .. }) if self.can_stand => Ok(Judged::Ends(Ending::Stands)),
            Err(_) => Ok(Judged::Ends(Ending::Dropped)),
        }
    }

    fn judge_reply(&self, reply: &ModelReply) -> Judged {
        let text = reply.text();
        let text = without_thoughts(&text);
        if reply.tool_calls().next().is_some() {
            Judged::Refused("it calls tools")
        } else if text.is_empty() {
            Judged::Refused("it is empty")
        } else if size::text(text) >= self.replaced() {
            Judged::Refused("it is no smaller than what it replaces")
        } else {
            Judged::Ends(Ending::Summary(text.to_owned()))
        }
    }

    /// The size of what a summary stands for.
    fn replaced(&self) -> u64 {
        let earlier = self.earlier.as_deref().map_or(0, size::text);
        size::messages(&self.body).saturating_add(earlier)
    }

    /// Counts what is lost if there is no summary.
    pub(super) fn lost(&self, before: Dropped) -> Dropped {
        let messages = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
        before.and(messages, size::messages(&self.body))
    }

    /// Returns the summary that there was before.
    pub(super) fn earlier(&self) -> Option<&str> {
        self.earlier.as_deref()
    }
}

/// Finds where the recent conversation begins: at a message of the assistant, the last one or an
/// earlier one from which on there are no more than so many tokens.
fn cut(messages: &[Message], tokens: u64) -> Option<usize> {
    let (mut size, mut cut) = (0_u64, None);
    for (index, message) in messages.iter().enumerate().skip(1).rev() {
        size = size.saturating_add(size::message(message));
        if cut.is_some() && size > tokens {
            break;
        }
        if message.role == Role::Assistant {
            cut = Some(index);
        }
    }
    cut
}

/// Copies what is older than the cut, without what we write anew.
fn body(material: &Material<'_>, cut: usize) -> Vec<Message> {
    let rest_of_task = Some(material.rest_of_task).filter(|rest| !rest.is_empty());
    let first = material.messages.first().into_iter().flat_map(|first| &first.parts);
    let parts = rest_of_task.map(Part::text).into_iter();
    let parts: Vec<Part> = parts.chain(first.skip(material.head_parts).cloned()).collect();
    let first = (!parts.is_empty()).then(|| Message::user(parts));
    first.into_iter().chain(material.messages[1..cut].iter().cloned()).collect()
}

/// Leaves out thoughts that a model has written into its text, and blanks.
fn without_thoughts(text: &str) -> &str {
    let text = text.trim();
    let Some(thoughts) = text.strip_prefix("<think>") else { return text };
    thoughts.split_once("</think>").map_or("", |(_, text)| text.trim())
}
