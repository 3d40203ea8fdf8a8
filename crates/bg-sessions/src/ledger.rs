//! What a run has cost.
//!
//! A run counts its own turns and calls as they happen. Its children report what they have cost so
//! far, themselves and theirs, and those reports may come twice, late or in any order: over a mailbox,
//! with an outcome, through a wait.
//!
//! # Invariants
//!
//! 1. Of a child that has not settled, what was added to the total is its mark: a report adds what it
//!    has beyond the mark, and the mark grows by the same.
//! 2. Of a child that has settled nothing is added any more, so its mark is not needed. A child is
//!    either open, with a mark, or settled, or unknown.
//! 3. What is kept grows neither with the number of children nor with that of reports: see the
//!    constants.

use std::collections::BTreeMap;

use bg_core::{Breakdown, Output, TaskId, Usage};

/// Most children of which marks are kept at the same time. One more is added at its end, in one
/// piece; what it reports before that is left out.
const MAX_OPEN: usize = 256;

/// Most ranges of numbers of settled children.
const MAX_RANGES: usize = 1024;

/// Adds up what a run, its tools and its children have cost, each thing once.
///
/// Every run has one, whose totals are in its output. A host makes one to add up several runs while
/// they work: [hooks](crate::AgentHook) are told what a run has cost so far, and its outcome says it in
/// the end.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Usage};
/// use bg_sessions::Ledger;
///
/// let used = |requests| {
///     let mut usage = Usage::default();
///     usage.requests = requests;
///     usage
/// };
/// let mut ledger = Ledger::default();
/// let child = "agent:7".parse()?;
/// ledger.child(child, &used(3), None);
/// ledger.child(child, &used(2), None); // late
/// let outcome = Output::default().with_usage(used(4));
/// ledger.settle(child, Some(&outcome));
/// ledger.settle(child, Some(&outcome)); // twice
/// assert_eq!(ledger.total().requests, 4);
/// # Ok::<(), bg_core::ParseIdError>(())
/// ```
#[derive(Debug, Default)]
pub struct Ledger {
    spent: Spent,
    open: BTreeMap<TaskId, Spent>,
    settled: Numbers,
}

/// A total and its parts. As a mark it is what was added of a child.
#[derive(Debug, Default)]
struct Spent {
    total: Usage,
    by: Breakdown,
}

impl Spent {
    fn add_beyond(&mut self, total: &Usage, by: Option<&Breakdown>, mark: &mut Self) {
        self.total.add_beyond(total, &mut mark.total);
        if let Some(by) = by {
            self.by.add_beyond(by, &mut mark.by);
        }
    }
}

impl Ledger {
    /// Returns what all of it has cost so far. It never gets less.
    pub fn total(&self) -> Usage {
        self.spent.total
    }

    /// Returns the same by model and tool, as far as it was told so.
    pub fn by(&self) -> &Breakdown {
        &self.spent.by
    }

    /// Adds a turn of a model.
    pub fn turn(&mut self, model: &str, usage: &Usage) {
        self.spent.total.add(usage);
        self.spent.by.add_turn(model, usage);
    }

    /// Adds what something has cost that is added once.
    pub(crate) fn add(&mut self, whole: &Output) {
        self.spent.add_beyond(&whole.usage(), whole.breakdown(), &mut Spent::default());
    }

    /// Adds a call of a tool.
    pub fn tool(&mut self, name: &str, success: bool) {
        let calls = &mut self.spent.total.tool_calls;
        *calls = calls.saturating_add(1);
        self.spent.by.add_call(name, success);
    }

    /// Takes a report of a child: what it has cost so far, its own children included.
    ///
    /// A report adds what none before it had. Those of a child that has settled add nothing, and
    /// while there are marks of 256 others, those of a new one are left to its end.
    pub fn child(&mut self, id: TaskId, so_far: &Usage, by: Option<&Breakdown>) {
        if !self.is_settled(id) && (self.open.len() < MAX_OPEN || self.open.contains_key(&id)) {
            let mark = self.open.entry(id).or_default();
            self.spent.add_beyond(so_far, by, mark);
        }
    }

    /// Takes the last report of a child, with its outcome, and forgets its mark. Does nothing the
    /// second time.
    ///
    /// The numbers of settled children are kept as ranges, at most 1,024 of them: past that the gap
    /// between the two lowest is closed. A child whose number is in that gap and which has not
    /// reported by then is taken for settled; nothing is added twice for that, but of it nothing.
    pub fn settle(&mut self, id: TaskId, last: Option<&Output>) {
        if self.is_settled(id) {
            return;
        }
        let mut mark = self.open.remove(&id).unwrap_or_default();
        if let Some(last) = last {
            self.spent.add_beyond(&last.usage(), last.breakdown(), &mut mark);
        }
        self.settled.insert(id.number());
    }

    /// Writes the totals into an output, in the place of what is there.
    pub(crate) fn write(&self, output: &mut Output) {
        *output.usage_mut() = self.spent.total;
        output.set_breakdown(self.spent.by.clone());
    }

    /// An open child is not settled, even if its number lies in a gap that was closed (I2).
    fn is_settled(&self, id: TaskId) -> bool {
        self.settled.contains(id.number()) && !self.open.contains_key(&id)
    }
}

/// Numbers as ranges: first to last. No two touch.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &last)| number <= last)
    }

    fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let before = number.checked_sub(1).filter(|&before| self.contains(before));
        let first = before.and_then(|before| self.first_of(before)).unwrap_or(number);
        let last = number.checked_add(1).and_then(|after| self.0.remove(&after));
        self.0.insert(first, last.unwrap_or(number));
        if self.0.len() > MAX_RANGES {
            self.close_lowest_gap();
        }
    }

    fn first_of(&self, number: u64) -> Option<u64> {
        self.0.range(..=number).next_back().map(|(&first, _)| first)
    }

    fn close_lowest_gap(&mut self) {
        let lowest = self.0.pop_first();
        if let (Some((first, _)), Some((_, last))) = (lowest, self.0.pop_first()) {
            self.0.insert(first, last);
        }
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
