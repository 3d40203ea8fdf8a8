//! What a run knows about the size of its conversation.

use std::sync::Arc;

use bg_core::text;
use bg_tools::ToolDefinition;

use super::draft::{Draft, Ending, Material};
use super::limits::Limits;
use super::marks::{self, DROPPED_TOKENS, Dropped};
use super::shorten;
use super::size::{self, Meter};
use super::spec::CompactionSpec;
use crate::error::RunError;
use crate::history::History;
use crate::message::Part;
use crate::model::ModelInfo;
use crate::runner::RunSpec;

/// Why room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Only if the conversation is as large as it looks.
    Size,
    /// The provider says that it is too large.
    Overflow,
}

/// What came of a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The history is another one, with a summary.
    Summarized,
    /// The history is another one, without what was old.
    Dropped,
    /// The history is what it was.
    Stands,
}

/// Old results are shortened when they are that part of the size from which on they are.
const SHORTEN_PART: u64 = 16;

/// The parts that a compacted history begins with: pinned facts, and what stands for the older
/// conversation.
const HEAD_PARTS: usize = 2;

/// The size of a run's conversation, and what stands for the part of it that is gone.
#[derive(Debug)]
pub(crate) struct Compaction {
    limits: Limits,
    /// What the worker is at.
    task: Arc<str>,
    head: Head,
    /// What every request has, in tokens: instructions, the schema of the answer.
    told: u64,
    tools: u64,
    meter: Meter,
    /// What stands for the older conversation; `None` as long as it stands itself.
    older: Option<Older>,
    /// No summary is asked for before the conversation is that large again.
    not_before: u64,
    /// The same for one that is asked for ahead.
    not_ahead_before: u64,
}

/// The parts of the first message that are not conversation: a task, or what a compaction has put in
/// its place.
#[derive(Clone, Debug, Default)]
struct Head {
    parts: usize,
    task: Arc<str>,
}

#[derive(Clone, Debug, Default)]
struct Older {
    summary: Option<String>,
    dropped: Dropped,
}

impl Compaction {
    pub(crate) fn new(run: &RunSpec) -> Self {
        let schema = run.schema().map_or(0, |schema| size::text(&schema.to_string()));
        Self {
            limits: Limits::new(&run.compaction, &run.model.info()),
            task: Arc::default(),
            head: Head::default(),
            told: size::text(&run.instructions).saturating_add(schema),
            tools: 0,
            meter: Meter::default(),
            older: None,
            not_before: 0,
            not_ahead_before: 0,
        }
    }

    /// Takes the model of the next turn, whose window may be another one.
    pub(crate) fn choose(&mut self, spec: &CompactionSpec, model: &ModelInfo) {
        self.limits = Limits::new(spec, model);
    }

    /// Takes what the worker is at from now on. At the beginning of a conversation it is written in
    /// so many parts; later it is a part of the conversation.
    pub(crate) fn begin(&mut self, task: &str, parts: usize, history: &History) {
        self.task = task.into();
        if history.is_empty() {
            self.head = Head { parts, task: self.task.clone() };
        }
    }

    /// Takes the tools of the next request. They count in requests without them too: the one after
    /// may have them again.
    pub(crate) fn offer(&mut self, tools: &[ToolDefinition]) {
        self.tools = size::definitions(tools);
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes the provider's count of a request with this history; zero if it does not count.
    pub(crate) fn counted(&mut self, history: &History, input_tokens: u64) {
        self.meter.count(input_tokens, self.estimate(history));
    }

    /// The size of a request with this history, as far as one can know.
    pub(crate) fn size(&self, history: &History) -> u64 {
        self.meter.total(self.estimate(history))
    }

    fn estimate(&self, history: &History) -> u64 {
        size::sum([self.told, self.tools, size::messages(history.as_slice())])
    }

    /// Checks that a request with this history is within the window, if that is known. An estimate
    /// that the provider's counts contradict is not enough to end a run, nor the other way round.
    ///
    /// # Errors
    ///
    /// That it is not.
    pub(crate) fn check(&self, history: &History) -> Result<(), RunError> {
        let tokens = self.size(history).min(self.estimate(history));
        let window = self.limits.window;
        if tokens <= window || !self.limits.window_is_known {
            return Ok(());
        }
        Err(match history.as_slice() {
            [_] => RunError::PromptTooLarge { tokens, window },
            _ => RunError::ConversationTooLarge { tokens, window },
        })
    }

    /// Shortens results of tools: old ones past the first limit, those of the last turn if the
    /// window would not hold them. Returns whether it did.
    pub(crate) fn shorten(&self, history: &mut History, need: Need) -> bool {
        let is_large = need == Need::Overflow || self.size(history) > self.limits.shorten;
        // Not one by one: each time the provider's cache of the conversation is void.
        let enough = if need == Need::Overflow { 1 } else { self.limits.shorten / SHORTEN_PART };
        let old = is_large
            && shorten::old_tokens(history.as_slice()) >= enough.max(1)
            && shorten::old_results(history.as_mut_slice());
        let last = self.must_fit(history, need) && {
            let room = self.target(history, need).saturating_sub(self.fixed_and_pinned());
            shorten::last_results(history.as_mut_slice(), room / 2)
        };
        old || last
    }

    /// Returns whether the conversation is to be compacted now.
    pub(crate) fn is_due(&self, history: &History) -> bool {
        self.size(history) > self.limits.summarize
    }

    /// Begins a compaction, if one is needed and can come to something.
    pub(crate) fn draft(&self, history: &History, need: Need) -> Option<Draft> {
        let must_fit = self.must_fit(history, need);
        let is_due = self.is_due(history) && self.size(history) >= self.not_before;
        if must_fit || is_due { self.divide(history, need) } else { None }
    }

    /// Begins one that is not needed yet. The next one is not begun before the conversation has grown.
    pub(crate) fn draft_ahead(&mut self, history: &History) -> Option<Draft> {
        let size = self.size(history);
        let is_early = self.limits.ahead.is_some_and(|limit| size > limit);
        if !is_early || self.is_due(history) || size < self.not_ahead_before {
            return None;
        }
        self.not_ahead_before = size.saturating_add(self.limits.tail);
        self.divide(history, Need::Size)
    }

    fn divide(&self, history: &History, need: Need) -> Option<Draft> {
        let must_fit = self.must_fit(history, need);
        let material = Material {
            messages: history.as_slice(),
            head_parts: self.head.parts,
            task: &self.task,
            rest_of_task: self.unpinned(),
            earlier: self.older.as_ref().and_then(|older| older.summary.as_deref()),
            limits: &self.limits,
            fixed: self.fixed_and_pinned(),
            target: self.target(history, need),
        };
        Draft::new(&material, !must_fit)
    }

    /// Replaces the history, if what comes of the draft is a conversation and small enough.
    pub(crate) fn settle(
        &mut self,
        history: &mut History,
        draft: Draft,
        ending: Ending,
        manifest: &str,
    ) -> Settled {
        let next = self.next(history, draft, ending, manifest);
        let Some((next, older, settled)) = next else {
            self.not_before = self.size(history).saturating_add(self.limits.tail);
            return Settled::Stands;
        };
        (*history, self.older) = (next, Some(older));
        (self.not_before, self.not_ahead_before) = (0, 0);
        self.head = Head { parts: HEAD_PARTS, task: self.task.clone() };
        settled
    }

    /// What is in the head and would be gone with it: of the task, what the pinned facts have no room
    /// for, unless it was summarized; the whole of an earlier task.
    fn unpinned(&self) -> &str {
        if self.head.task != self.task {
            return &self.head.task;
        }
        let shown = self.limits.pinned_task(&self.task);
        if self.older.is_none() { &self.task[shown.len()..] } else { "" }
    }

    fn next(
        &self,
        history: &History,
        draft: Draft,
        ending: Ending,
        manifest: &str,
    ) -> Option<(History, Older, Settled)> {
        let (older, settled) = self.older_after(&draft, ending)?;
        let head = self.head(&older, &draft, manifest);
        let next = History::compacted(head, draft.tail)?;
        let most = draft.target.min(size::scaled(self.estimate(history), 7, 10));
        (self.estimate(&next) <= most).then_some((next, older, settled))
    }

    fn older_after(&self, draft: &Draft, ending: Ending) -> Option<(Older, Settled)> {
        let dropped = self.older.as_ref().map(|older| older.dropped).unwrap_or_default();
        Some(match ending {
            Ending::Stands => return None,
            Ending::Summary(text) => {
                let most = size::bytes_within(draft.summary_tokens);
                let summary = Some(text::cut(text, most));
                (Older { summary, dropped }, Settled::Summarized)
            }
            Ending::Dropped => {
                let summary = draft.earlier().map(str::to_owned);
                (Older { summary, dropped: draft.lost(dropped) }, Settled::Dropped)
            }
        })
    }

    /// Writes the two parts that a compacted history begins with.
    fn head(&self, older: &Older, draft: &Draft, manifest: &str) -> Vec<Part> {
        let summary = older.summary.as_deref();
        let summary = summary.map(|text| marks::summary(text, draft.summary_tokens));
        let older = marks::dropped(older.dropped) + &summary.unwrap_or_default();
        vec![Part::Text(self.pinned(manifest)), Part::Text(older)]
    }

    fn pinned(&self, manifest: &str) -> String {
        let shown = self.limits.pinned_task(&self.task);
        marks::pinned(shown, self.task.len() - shown.len(), manifest)
    }

    /// What stands in every compacted history, with as much work in the list as it can hold.
    fn fixed_and_pinned(&self) -> u64 {
        let work = u64::try_from(self.limits.manifest().tokens()).unwrap_or(u64::MAX);
        size::sum([self.told, self.tools, size::text(&self.pinned("")), work, DROPPED_TOKENS])
    }

    fn must_fit(&self, history: &History, need: Need) -> bool {
        need == Need::Overflow || self.size(history) > self.limits.window
    }

    /// What a new history may come to by the estimate: seven tenths of the old one, and below the
    /// limit if the old one does not fit the window.
    fn target(&self, history: &History, need: Need) -> u64 {
        let estimate = self.estimate(history);
        let most = size::scaled(estimate, 7, 10);
        if !self.must_fit(history, need) {
            return most;
        }
        most.min(size::scaled(estimate, self.limits.summarize, self.size(history)))
    }
}
