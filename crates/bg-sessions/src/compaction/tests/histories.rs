//! Any operations on a history, in any order, with whatever a model may write: it stays a conversation,
//! and nothing of it is lost but by a compaction.
//!
//! `BG_COUNT=70000 cargo test --profile models -p bg-sessions --lib histories` for volume: a million
//! operations.

use super::{Reply, any_reply, any_text, compaction, make_room};
use crate::compaction::{Compaction, Need};
use crate::history::{Answer, History};
use crate::message::{Message, Part, Role, Thinking, ToolCall, ToolResult};
use proptest::collection::vec;
use proptest::prelude::*;

fn cases() -> u32 {
    std::env::var("BG_COUNT").map_or(200, |count| count.parse().expect("a number"))
}

/// Mostly short.
fn any_words() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z~>\n ]{0,12}", 1 => any_text()]
}

/// What can happen to a history.
#[derive(Clone, Debug)]
enum Op {
    /// A turn of the model whose calls are left out.
    Answer(Vec<Part>),
    /// A turn of the model and what its calls answer.
    Exchange(Vec<Part>, Vec<String>),
    Text(String),
    /// The provider says how large it was.
    Counted(u64),
    MakeRoom(Need, Vec<Reply>),
}

fn any_call() -> impl Strategy<Value = ToolCall> {
    let id = prop_oneof![Just("same"), Just(""), Just("other")];
    let args = prop_oneof![Just("{}".to_owned()), Just("[[".to_owned()), any_words()];
    (id, args).prop_map(|(id, args)| ToolCall::new(id, "Read", args))
}

fn any_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => any_words().prop_map(Part::Text),
        1 => any_words().prop_map(|text| Part::Thinking(Thinking::new(text))),
        3 => any_call().prop_map(Part::ToolCall),
        1 => any_call().prop_map(|call| Part::ToolResult(ToolResult::new(&call, "made up", true))),
    ]
}

fn any_need() -> impl Strategy<Value = Need> {
    prop_oneof![4 => Just(Need::Size), 1 => Just(Need::Overflow)]
}

fn any_op() -> impl Strategy<Value = Op> {
    let count = prop_oneof![Just(0), 1..30_000_u64, Just(u64::MAX)];
    prop_oneof![
        2 => vec(any_part(), 0..4).prop_map(Op::Answer),
        6 => (vec(any_part(), 0..4), vec(any_text(), 4))
            .prop_map(|(turn, answers)| Op::Exchange(turn, answers)),
        2 => any_text().prop_map(Op::Text),
        1 => count.prop_map(Op::Counted),
        4 => (any_need(), vec(any_reply(), 0..12))
            .prop_map(|(need, replies)| Op::MakeRoom(need, replies)),
    ]
}

/// A history, and what should be in it in the order in which it came.
struct Subject {
    history: History,
    compaction: Compaction,
    parts: Vec<Part>,
}

impl Subject {
    fn new(window: u64, task: &str) -> Self {
        let history = History::new(task.to_owned());
        Self { compaction: compaction(window, task), parts: all_parts(&history), history }
    }

    /// Does it. Returns whether the history has become another one.
    fn act(&mut self, op: Op) -> Result<bool, TestCaseError> {
        match op {
            Op::Answer(turn) => {
                let is_kept = |part: &&Part| matches!(part, Part::Text(_) | Part::Thinking(_));
                self.parts.extend(turn.iter().filter(is_kept).cloned());
                self.history.push_answer(turn);
            }
            Op::Exchange(turn, outputs) => self.exchange(turn, outputs),
            Op::Text(text) => {
                self.parts.push(Part::Text(text.clone()));
                self.history.push_text(text);
            }
            Op::Counted(tokens) => self.compaction.counted(&self.history, tokens),
            Op::MakeRoom(need, replies) => return self.make_room(need, replies),
        }
        Ok(false)
    }

    fn exchange(&mut self, turn: Vec<Part>, outputs: Vec<String>) {
        let is_kept = |part: &&Part| !matches!(part, Part::ToolResult(_));
        self.parts.extend(turn.iter().filter(is_kept).cloned());
        let calls: Vec<ToolCall> = turn.iter().filter_map(Part::as_tool_call).cloned().collect();
        let answered = calls.iter().zip(outputs);
        let answers = answered.map(|(call, output)| {
            let result = ToolResult::new(call, output.clone(), false);
            self.parts.push(Part::ToolResult(result));
            Answer { output, success: false }
        });
        let answers = answers.collect();
        self.history.push_exchange(turn, answers);
    }

    /// As a run does it: when it is the model's turn to speak. Results may be shortened without a
    /// compaction, so what is there then is what should be.
    fn make_room(&mut self, need: Need, replies: Vec<Reply>) -> Result<bool, TestCaseError> {
        if self.history.as_slice().last().is_none_or(|last| last.role == Role::Assistant) {
            return Ok(false);
        }
        let mut replies = replies.into_iter();
        let is_another = make_room(&mut self.compaction, &mut self.history, need, &mut replies)?;
        let parts = all_parts(&self.history);
        if !is_another {
            prop_assert!(parts.iter().map(kind).eq(self.parts.iter().map(kind)));
        }
        self.parts = parts;
        Ok(is_another)
    }
}

/// What no provider takes, and no history keeps.
fn is_blank(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.trim().is_empty())
}

fn all_parts(history: &History) -> Vec<Part> {
    history.as_slice().iter().flat_map(|message| message.parts.clone()).collect()
}

/// A part without what a shortening may change of it.
fn kind(part: &Part) -> Part {
    match part {
        Part::ToolResult(result) => {
            Part::ToolResult(ToolResult { output: String::new(), ..result.clone() })
        }
        part => part.clone(),
    }
}

/// Whether it is a conversation that a provider takes, looked at message by message.
fn is_sound(messages: &[Message]) -> Result<(), TestCaseError> {
    let mut open: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let is_users = place % 2 == 0;
        prop_assert_eq!(message.role == Role::User, is_users, "the role of {}", place);
        prop_assert!(!message.parts.is_empty(), "message {} is empty", place);
        prop_assert!(!message.parts.iter().any(is_blank), "a blank text in {}", place);
        let results = message.parts.iter().filter_map(Part::as_tool_result);
        let results: Vec<&str> = results.map(|result| &*result.call_id).collect();
        prop_assert_eq!(results, open, "the results of {}", place);
        let calls = message.parts.iter().filter_map(Part::as_tool_call);
        open = calls.map(|call| &*call.id).collect();
        let has_thoughts = message.parts.iter().any(|part| matches!(part, Part::Thinking(_)));
        prop_assert!(!is_users || open.is_empty() && !has_thoughts, "{} is not the model's", place);
    }
    prop_assert!(open.is_empty(), "calls without results");
    Ok(())
}

fn any_task() -> impl Strategy<Value = String> {
    any_text().prop_map(|task| format!("go{task}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// The size and the tail of a compacted one are checked where it is made.
    #[test]
    fn any_operations_leave_a_conversation_and_lose_nothing(
        ops in vec(any_op(), 1..30),
        window in 1500..6000_u64,
        task in any_task(),
    ) {
        let mut subject = Subject::new(window, &task);
        for op in ops {
            subject.act(op)?;
            subject.parts.retain(|part| !is_blank(part));
            is_sound(subject.history.as_slice())?;
            prop_assert_eq!(&all_parts(&subject.history), &subject.parts);
        }
    }
}
