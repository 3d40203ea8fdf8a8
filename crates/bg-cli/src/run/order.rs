//! What of a plan can start, given what has ended.
//!
//! The order is the plan's own: the registry knows nothing of it.

use bg_agents::core::TaskId;

use super::screen::one_line;
use crate::plan::{Item, Work};

/// The items of a plan and what became of them.
pub(crate) struct Order {
    items: Vec<Item>,
    states: Vec<State>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// For what it comes after.
    Waits,
    Runs,
    Ended {
        task: TaskId,
        failed: bool,
    },
    /// For this reason.
    NotStarted(String),
}

/// What to do with an item whose predecessors are over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Start(usize),
    /// Not at all, for this reason.
    Skip(usize, String),
}

impl Order {
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let states = vec![State::Waits; items.len()];
        Self { items, states }
    }

    pub(crate) fn item(&self, at: usize) -> &Item {
        &self.items[at]
    }

    pub(crate) fn state(&self, at: usize) -> &State {
        &self.states[at]
    }

    pub(crate) fn set(&mut self, at: usize, state: State) {
        self.states[at] = state;
    }

    /// Returns the places of those that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.items.len()).filter(|at| self.states[*at] == State::Waits)
    }

    /// Whether something waits or runs that the run is about.
    pub(crate) fn is_working(&self) -> bool {
        let is_working = |(item, state): (&Item, &State)| {
            !item.serves() && matches!(state, State::Waits | State::Runs)
        };
        self.items.iter().zip(&self.states).any(is_working)
    }

    /// Whether something waits or runs.
    pub(crate) fn is_open(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Waits | State::Runs))
    }

    /// Returns what waits for nothing any more, the first of it in the plan.
    pub(crate) fn next(&self) -> Option<Next> {
        let is_over =
            |at: usize| matches!(self.states[at], State::Ended { .. } | State::NotStarted(_));
        let is_due = |at: &usize| self.items[*at].waits_for().all(is_over);
        let at = self.waiting().find(is_due)?;
        Some(self.obstacle(at).map_or(Next::Start(at), |why| Next::Skip(at, why)))
    }

    /// Why an item is not started: something before it has not ended well. A prompt is told of that,
    /// and is asked all the same, unless it goes on from where its session has failed.
    fn obstacle(&self, at: usize) -> Option<String> {
        let item = &self.items[at];
        let needed = match item.work {
            Work::Prompt(_) => item.follows().into_iter().collect(),
            Work::Task(_) | Work::Process(_) => item.after.clone(),
        };
        needed.into_iter().find_map(|before| {
            let what = match &self.states[before] {
                State::NotStarted(_) => "was not started",
                State::Ended { failed: true, .. } => "failed",
                _ => return None,
            };
            let label = one_line(&self.items[before].label);
            Some(format!("it comes after \"{label}\", which {what}"))
        })
    }
}
