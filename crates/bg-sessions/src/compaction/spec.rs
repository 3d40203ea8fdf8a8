//! When conversations are made smaller, as a host says it.

use std::num::NonZeroU64;

/// A part of a model's window: from 1 to 100 percent.
///
/// # Examples
///
/// ```
/// use bg_sessions::Percent;
///
/// assert_eq!(Percent::new(80).map(Percent::get), Some(80));
/// assert_eq!(Percent::new(0), None);
/// assert_eq!(Percent::new(101), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// Makes a part; `None` for nothing and for more than the whole.
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Self(percent)),
            _ => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns this part of so many tokens, rounded down.
    pub(super) fn of(self, tokens: u64) -> u64 {
        let percent = u64::from(self.0);
        tokens / 100 * percent + tokens % 100 * percent / 100
    }
}

/// When and how far conversations are compacted; given to
/// [`AgentsBuilder::compaction`](crate::AgentsBuilder::compaction).
///
/// Sizes are in tokens: what the provider has counted, and an estimate for what it has not seen yet.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "script")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bg_sessions::{AgentSpec, Agents, CompactionSpec, Models, Percent, ScriptModel};
///
/// let spec = CompactionSpec::default();
/// assert_eq!((spec.shorten_at.get(), spec.summarize_at.get()), (60, 80));
/// let early = Percent::new(50).ok_or("50 is a percentage")?;
/// let agents = Agents::builder(Models::new("script", ScriptModel::new("say hi".parse()?)))
///     .agent(AgentSpec::new("explore"))
///     .compaction(spec.with_summarize_at(early))
///     .build()?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "script"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionSpec {
    /// The part of the window past which old, large results of tools are shortened.
    pub shorten_at: Percent,
    /// The part of the window past which a summary is asked for while the work goes on; `None` for
    /// none. One that is ready takes the place of the older conversation before that is due.
    pub summarize_ahead_at: Option<Percent>,
    /// The part of the window past which the older conversation is summarized, and the work waits.
    pub summarize_at: Percent,
    /// The window of a model that does not say how large its own is.
    pub unknown_window_tokens: NonZeroU64,
    /// How much of the recent conversation a summary leaves as it is; `None` for a quarter of the
    /// size at which it is due, from 2,000 to 8,000 tokens.
    pub tail_tokens: Option<NonZeroU64>,
}

impl CompactionSpec {
    /// Sets the part of the window past which old, large results of tools are shortened.
    pub fn with_shorten_at(mut self, part: Percent) -> Self {
        self.shorten_at = part;
        self
    }

    /// Sets the part of the window past which a summary is asked for while the work goes on; `None` for
    /// none.
    pub fn with_summarize_ahead_at(mut self, part: Option<Percent>) -> Self {
        self.summarize_ahead_at = part;
        self
    }

    /// Sets the part of the window past which the older conversation is summarized.
    pub fn with_summarize_at(mut self, part: Percent) -> Self {
        self.summarize_at = part;
        self
    }

    /// Sets the window of a model that does not say how large its own is.
    pub fn with_unknown_window_tokens(mut self, tokens: NonZeroU64) -> Self {
        self.unknown_window_tokens = tokens;
        self
    }

    /// Sets how much of the recent conversation a summary leaves as it is.
    pub fn with_tail_tokens(mut self, tokens: NonZeroU64) -> Self {
        self.tail_tokens = Some(tokens);
        self
    }
}

impl Default for CompactionSpec {
    fn default() -> Self {
        Self {
            shorten_at: Percent(60),
            summarize_ahead_at: Some(Percent(70)),
            summarize_at: Percent(80),
            unknown_window_tokens: const { NonZeroU64::new(100_000).unwrap() },
            tail_tokens: None,
        }
    }
}
