//! What work cost, by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::output::Usage;
use crate::text;

/// What work cost, by model and by tool: that of a task and of its children together.
///
/// # Bounds
///
/// What is added to one keeps at most [`MAX_NAMES`](Self::MAX_NAMES) models and as many tools, each
/// name cut at [`MAX_NAME_BYTES`](Self::MAX_NAME_BYTES); what has no place is added up as
/// [`OTHER`](Self::OTHER). A name that has a place keeps it. Additions saturate.
///
/// # Examples
///
/// ```
/// use bg_core::{Breakdown, Output, Usage};
///
/// let mut turn = Usage::default();
/// turn.requests = 1;
/// let mut breakdown = Breakdown::default();
/// breakdown.add_turn("small", &turn);
/// breakdown.add_call("Read", false);
/// let output = Output::text("no such file").with_breakdown(breakdown);
/// let tools = &output.breakdown().ok_or("none")?.tools;
/// assert_eq!((tools["Read"].calls, tools["Read"].failed), (1, 1));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Breakdown {
    /// By the model's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Usage>,
    /// By the tool's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, ToolUsage>,
}

/// How often a tool was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ToolUsage {
    /// All calls.
    pub calls: u64,
    /// Those of them that did not work.
    pub failed: u64,
}

impl Breakdown {
    /// Most names of models, and most of tools, [`OTHER`](Self::OTHER) among them.
    pub const MAX_NAMES: usize = 64;

    /// Longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 128;

    /// What stands for all names that had no place. It is the name of no tool.
    pub const OTHER: &str = "(other)";

    /// Adds what a turn of a model cost.
    pub fn add_turn(&mut self, model: &str, usage: &Usage) {
        place(&mut self.models, model).add(usage);
    }

    /// Adds a call of a tool.
    pub fn add_call(&mut self, tool: &str, success: bool) {
        place(&mut self.tools, tool).add(&ToolUsage { calls: 1, failed: u64::from(!success) });
    }

    /// Adds what a cumulative report has beyond what was added of earlier ones, name by name and count
    /// by count. What that was is kept in `mark`, which begins empty and is of the one who reports.
    ///
    /// So a report that comes twice, late or out of order adds nothing that was added before.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Breakdown;
    ///
    /// let mut report = Breakdown::default();
    /// report.add_call("Read", true);
    /// let (mut total, mut mark) = (Breakdown::default(), Breakdown::default());
    /// total.add_beyond(&report, &mut mark);
    /// total.add_beyond(&report, &mut mark);
    /// assert_eq!(total, report);
    /// ```
    pub fn add_beyond(&mut self, report: &Self, mark: &mut Self) {
        add_beyond(&mut self.models, &report.models, &mut mark.models);
        add_beyond(&mut self.tools, &report.tools, &mut mark.tools);
    }

    /// Returns whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty() && self.tools.is_empty()
    }

    /// The bytes that it takes, roughly.
    pub(crate) fn weight(&self) -> usize {
        let models = self.models.keys().map(|name| name.len() + size_of::<Usage>());
        let tools = self.tools.keys().map(|name| name.len() + size_of::<ToolUsage>());
        models.sum::<usize>() + tools.sum::<usize>()
    }
}

/// Counts that only grow.
trait Counts: Copy + Default {
    fn add(&mut self, other: &Self);

    /// What it has more than another, count by count.
    fn beyond(&self, other: &Self) -> Self;
}

impl Counts for Usage {
    fn add(&mut self, other: &Self) {
        Usage::add(self, other);
    }

    fn beyond(&self, other: &Self) -> Self {
        Usage::beyond(self, other)
    }
}

impl Counts for ToolUsage {
    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
    }

    fn beyond(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            failed: self.failed.saturating_sub(other.failed),
        }
    }
}

/// Returns the name under which a map has, or can have, what has this name. It stays the same: what
/// is in the map stays there, and a full map does not get room.
fn key<'a, V>(map: &BTreeMap<String, V>, name: &'a str) -> &'a str {
    let name = text::prefix(name, Breakdown::MAX_NAME_BYTES);
    let others = usize::from(map.contains_key(Breakdown::OTHER));
    // The last place is for the others.
    let has_room = map.len() - others < Breakdown::MAX_NAMES - 1;
    if has_room || map.contains_key(name) { name } else { Breakdown::OTHER }
}

fn place<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    let key = key(map, name);
    map.entry(key.to_owned()).or_default()
}

fn add_beyond<V: Counts>(
    total: &mut BTreeMap<String, V>,
    report: &BTreeMap<String, V>,
    mark: &mut BTreeMap<String, V>,
) {
    // First the names of the mark, since several of the report may be one of them.
    let mut folded = BTreeMap::<&str, V>::new();
    for (name, counts) in report {
        place(mark, name);
        folded.entry(key(mark, name)).or_default().add(counts);
    }
    for (name, counts) in folded {
        let mark = place(mark, name);
        let more = counts.beyond(mark);
        mark.add(&more);
        place(total, name).add(&more);
    }
}
