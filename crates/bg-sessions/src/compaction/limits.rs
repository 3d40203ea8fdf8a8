//! What a spec means for the window of one model, in tokens.

use bg_core::text;
use bg_tools::Budget;

use super::size;
use super::spec::CompactionSpec;
use crate::model::ModelInfo;

/// The sizes that matter for one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) window: u64,
    /// Whether the model has said so. What is only assumed ends no run.
    pub(super) window_is_known: bool,
    pub(super) shorten: u64,
    /// Where a summary is asked for ahead.
    pub(super) ahead: Option<u64>,
    pub(super) summarize: u64,
    /// Of the recent conversation.
    pub(super) tail: u64,
    /// Of a summary.
    pub(super) summary: u64,
}

impl Limits {
    pub(super) fn new(spec: &CompactionSpec, model: &ModelInfo) -> Self {
        let window = model.context_window.unwrap_or(spec.unknown_window_tokens.get());
        let summarize = spec.summarize_at.of(window);
        let quarter = (summarize / 4).clamp(2000, 8000);
        Self {
            window,
            window_is_known: model.context_window.is_some(),
            ahead: spec.summarize_ahead_at.map(|part| part.of(window)),
            shorten: spec.shorten_at.of(window),
            summarize,
            tail: spec.tail_tokens.map_or(quarter, std::num::NonZeroU64::get),
            summary: quarter,
        }
    }

    /// Most tokens of results of background work that enter the history together.
    pub(crate) fn batch(&self) -> u64 {
        self.tail.min(self.summarize / 4)
    }

    /// The list of live and undelivered work, counted as we count.
    pub(crate) fn manifest(&self) -> Budget {
        let tokens = usize::try_from((self.summarize / 16).min(2000)).unwrap_or(2000);
        Budget::new(tokens)
            .counted_by(|text| usize::try_from(size::text(text)).unwrap_or(usize::MAX))
    }

    /// The start of the task that is kept word for word: no more than a quarter of what there is.
    pub(super) fn pinned_task<'a>(&self, task: &'a str) -> &'a str {
        size::prefix(task, (self.summarize / 4).max(200))
    }
}

/// Cuts a text, and says so, until what is written of it has no more than so many tokens. The last
/// attempt has nothing of it but the mark.
pub(super) fn fit(whole: &str, tokens: u64, write: impl Fn(&str) -> String) -> String {
    let mut room = size::bytes_within(tokens).min(whole.len());
    loop {
        let written = write(&text::excerpt(whole, room));
        if room == 0 || size::text(&written) <= tokens {
            return written;
        }
        room = room / 4 * 3;
    }
}
