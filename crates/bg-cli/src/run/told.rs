//! What an agent reads of those that its prompt comes after.

use bg_agents::core::Finished;
use bg_agents::tools::{Budget, format_outcome_within};

use super::screen::one_line;

/// Most tokens of one result. More than the answer of a tool may have: this agent did not start the
/// work, so there is no tool by which it could read on.
const RESULT_TOKENS: usize = 8000;

/// A prompt, then results.
pub(crate) struct Told(String);

impl Told {
    pub(crate) fn prompt(prompt: &str) -> Self {
        Self(prompt.to_owned())
    }

    /// Adds a result in an envelope that it cannot close.
    pub(crate) fn result(&mut self, finished: &Finished) {
        self.add(&format_outcome_within(finished, &Budget::new(RESULT_TOKENS)));
    }

    pub(crate) fn not_started(&mut self, label: &str, why: &str) {
        self.add(&format!("[\"{}\" was not started: {why}]", one_line(label)));
    }

    fn add(&mut self, text: &str) {
        let end = self.0.trim_end_matches('\n').len();
        self.0.truncate(end);
        self.0.push_str("\n\n");
        self.0.push_str(text);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}
