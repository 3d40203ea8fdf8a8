//! What a model does when it is asked, and how that is written down.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bg_core::Usage;
use bg_sessions::{ModelError, ModelReply, Part, Thinking, ToolCall, ToolResult, Turn};

/// What a scripted model does when it is asked. The number of each is its place in [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It says something.
    Answers,
    /// It says something and calls a tool, which starts background work.
    Calls,
    /// It makes up a result, and calls a tool that there is not and one with half an argument, both
    /// under one id.
    Garbles,
    /// It is over its rate limit, and says when to come again.
    Busy,
    /// It finds the conversation too large.
    Overflows,
    /// It fails for good, or refuses.
    Breaks,
    /// It never answers.
    Hangs,
    /// It thinks and says nothing, or does not even think.
    Thinks,
    /// It takes its time, says a great deal and calls a tool.
    Rambles,
    /// It panics.
    Panics,
    /// It says that it is done. No sequence holds it: it is what follows on each.
    Ends,
}

use Behaviour::{
    Answers, Breaks, Busy, Calls, Ends, Garbles, Hangs, Overflows, Panics, Rambles, Thinks,
};

pub(crate) const ALL: [Behaviour; 10] =
    [Answers, Calls, Garbles, Busy, Overflows, Breaks, Hangs, Thinks, Rambles, Panics];

/// How long a model that is over its rate limit wants to be left alone.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(7);

/// How long a model needs that has a great deal to say.
pub(crate) const RAMBLING: Duration = Duration::from_secs(11);

pub(crate) const PANIC: &str = "out of ideas";

impl Behaviour {
    /// Does it, in this place of a sequence. Some do it differently in every second place.
    pub(crate) fn turn(self, place: usize) -> Turn {
        let is_odd = place % 2 == 1;
        match self {
            Busy => Turn::Fail(
                ModelError::retryable("busy", Some(RETRY_AFTER))
                    .with_source(std::io::Error::other("HTTP 429")),
            ),
            Overflows => Turn::Fail(ModelError::context_overflow("too long")),
            Breaks if is_odd => Turn::Fail(ModelError::refused("no")),
            Breaks => Turn::Fail(
                ModelError::fatal("wrong key").with_source(std::io::Error::other("HTTP 401")),
            ),
            Hangs => Turn::Hang,
            Panics => Turn::Panic(PANIC),
            Rambles => self.reply(is_odd).after(RAMBLING),
            _ => self.reply(is_odd),
        }
    }

    fn reply(self, is_odd: bool) -> Turn {
        let mut parts: Vec<Part> = self.says().map(Part::text).into_iter().collect();
        if self.thinks(is_odd) {
            parts.push(Part::Thinking(Thinking::new("hm")));
        }
        if self == Garbles {
            let call = ToolCall::new("same", "Echo", "{}");
            parts.push(Part::ToolResult(ToolResult::new(&call, "made up", true)));
        }
        let call = |(id, tool, args): &_| Part::ToolCall(ToolCall::new(*id, *tool, *args));
        parts.extend(self.calls().iter().map(call));
        let mut usage = Usage::default();
        (usage.requests, usage.output_tokens) = (1, self.cost());
        Turn::Reply(ModelReply::new(parts).with_usage(usage))
    }

    fn thinks(self, is_odd: bool) -> bool {
        matches!(self, Garbles | Thinks) && !is_odd
    }

    /// Whether there is something in its reply besides calls and what it has made up.
    pub(crate) fn leaves_a_message(self, is_odd: bool) -> bool {
        self.says().is_some() || self.thinks(is_odd)
    }

    /// Whether it replies, and so costs something.
    pub(crate) fn replies(self) -> bool {
        !matches!(self, Busy | Overflows | Breaks | Hangs | Panics)
    }

    /// The text of its reply.
    pub(crate) fn says(self) -> Option<String> {
        Some(match self {
            Answers => "so far so good".to_owned(),
            Calls => "I begin".to_owned(),
            // 1700 tokens by our estimate.
            Rambles => "on and on ".repeat(340),
            Ends => "done".to_owned(),
            _ => return None,
        })
    }

    /// The calls of its reply: id, tool, arguments.
    pub(crate) fn calls(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Calls => &[("1", "Start", "{}")],
            Garbles => &[("same", "Nope", "{}"), ("same", "Echo", r#"{"text": "#)],
            Rambles => &[("1", "Echo", r#"{"text": "x"}"#)],
            _ => &[],
        }
    }

    /// What its reply costs. Each has four bits of its own, so a sum tells how often each was paid.
    pub(crate) fn cost(self) -> u64 {
        let number = ALL.iter().position(|other| *other == self).unwrap_or(ALL.len());
        1 << (4 * number)
    }
}

/// What the background work costs that a call starts.
pub(crate) const CHILD_COST: u64 = 1 << (4 * (ALL.len() + 1));

/// What a model does when it is asked for the first time, the second time ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence(pub(crate) Vec<Behaviour>);

impl Sequence {
    /// Returns the sequence of this length with this number, below ten to the length.
    pub(crate) fn numbered(length: usize, number: u64) -> Self {
        let digits = std::iter::successors(Some(number), |rest| Some(rest / 10));
        let digits = digits.map(|rest| ALL[usize::try_from(rest % 10).unwrap_or_default()]);
        let mut behaviours: Vec<Behaviour> = digits.take(length).collect();
        behaviours.reverse();
        Self(behaviours)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |one: &Behaviour| ALL.iter().position(|other| other == one);
        let numbers = self.0.iter().filter_map(number).map(|number| number.to_string());
        f.write_str(&numbers.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Sequence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |digit: &str| format!("\"{digit}\" is no number from 0 to 9");
        let one = |digit: &str| {
            let number: Option<usize> = digit.trim().parse().ok();
            number.and_then(|number| ALL.get(number).copied()).ok_or_else(|| wrong(digit))
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}
