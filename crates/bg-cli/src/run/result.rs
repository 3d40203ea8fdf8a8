//! How one task of a run ended, in the forms in which it is shown.

use std::borrow::Cow;
use std::sync::Arc;

use bg_agents::core::{Finished, Kind, Output, OutputLog, Status, Usage, text};
use bg_agents::tools::status_word;
use serde::Serialize;
use serde_json::Value;

use super::rest::Rest;
use super::screen::{count, harmless, one_line, time};
use crate::plan::Item;
use crate::secret::Secret;

/// Lines of an output that are printed when it arrives.
const SHOWN_LINES: usize = 40;

/// Bytes of a line that are printed.
const SHOWN_LINE_BYTES: usize = 400;

/// Who it is in the plan; nothing for what the plan does not name.
#[derive(Default, Serialize)]
pub(crate) struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// The session that it is a prompt to.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

impl Origin {
    pub(crate) fn of(item: &Item) -> Self {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Self { agent: owned(item.agent()), session: owned(item.session()) }
    }
}

/// A task that has ended.
pub(crate) struct TaskResult {
    pub(crate) finished: Arc<Finished>,
    pub(crate) origin: Origin,
    /// What it said, or what a process wrote.
    pub(crate) output: String,
    /// How much that was, in bytes, before any of it was dropped or replaced.
    pub(crate) bytes: u64,
    /// Bytes of a process's output that were not kept in memory.
    pub(crate) omitted: u64,
    /// Stopped by us because the others were done.
    pub(crate) dismissed: bool,
    rest: Option<Rest>,
}

impl TaskResult {
    pub(crate) fn of(
        finished: &Arc<Finished>,
        origin: Origin,
        dismissed: bool,
        secret: &Secret,
    ) -> Self {
        let log = finished.log().filter(|_| finished.id.kind() == Kind::PROCESS);
        let said = || finished.outcome.output().map(|output| output.text.clone());
        let output = log.map_or_else(|| said().unwrap_or_default(), whole);
        let omitted = log.map_or(0, OutputLog::omitted);
        let bytes = log.map_or(output.len() as u64, OutputLog::total);
        // Before anything is cut: half a key is a secret too.
        let output = match secret.hidden_in(&output) {
            Cow::Borrowed(_) => output,
            Cow::Owned(hidden) => hidden,
        };
        let rest = if is_cut(&output) { Rest::save(finished.id, &output) } else { None };
        let finished = finished.clone();
        Self { finished, origin, output, bytes, omitted, dismissed, rest }
    }

    /// Whether the run failed because of it.
    pub(crate) fn failed(&self) -> bool {
        let meant = self.dismissed && self.finished.status() == Status::Cancelled;
        !meant && !self.finished.outcome.is_success()
    }

    /// What it has cost, those that it called included.
    pub(crate) fn usage(&self) -> Usage {
        self.finished.outcome.output().map(Output::usage).unwrap_or_default()
    }

    /// What is printed when it arrives.
    pub(crate) fn block(&self) -> String {
        let mut block = format!("\n=== {} {}\n", self.finished.id, summary(&self.finished));
        for line in self.output.lines().take(SHOWN_LINES) {
            let line = text::cut(line.to_owned(), SHOWN_LINE_BYTES);
            block.push_str(&format!("  {}\n", harmless(&line)));
        }
        if let Some(where_rest) = self.where_rest() {
            block.push_str(&format!("  ({where_rest})\n"));
        }
        block.push('\n');
        block
    }

    /// Where the part of the output is that was not printed.
    pub(crate) fn where_rest(&self) -> Option<String> {
        let more = self.output.lines().count().saturating_sub(SHOWN_LINES);
        let more = if more > 0 { count(more, "more line") } else { "the whole lines".to_owned() };
        let dropped = (self.omitted > 0)
            .then(|| format!("{} bytes in the middle were not kept", self.omitted));
        let rest = match &self.rest {
            Some(rest) => Some(format!("{more} in {}", rest.path().display())),
            None => is_cut(&self.output).then(|| format!("{more} with --json")),
        };
        match (rest, dropped) {
            (Some(rest), Some(dropped)) => Some(format!("{rest}; {dropped}")),
            (rest, dropped) => rest.or(dropped),
        }
    }
}

/// The word for how a task ended.
pub(crate) fn status(finished: &Finished) -> &'static str {
    status_word(finished.id.kind(), finished.status())
}

/// How it ended, in words: `exited with code 3`, `errored: no such file: it was moved`.
pub(crate) fn ending(finished: &Finished) -> String {
    let exit = finished.outcome.output().and_then(Output::exit);
    let status = status(finished);
    let words = match (finished.outcome.reason(), exit) {
        (Some(reason), Some(exit)) => format!("{status} ({reason}; {exit})"),
        (Some(reason), None) => format!("{status}: {reason}"),
        (None, Some(exit)) => exit.to_string(),
        (None, None) => status.to_owned(),
    };
    one_line(&words)
}

/// Who it was and how it ended, in one line.
pub(crate) fn summary(finished: &Finished) -> String {
    let label = one_line(finished.label());
    format!("{label}: {}, after {}", ending(finished), time(finished.elapsed()))
}

/// What a stop did to a process, as data.
pub(crate) fn receipt(finished: &Finished) -> Option<&Value> {
    finished.outcome.output()?.data()?.get("receipt")
}

/// The same in words: `receipt: SIGTERM, then ended by signal 15; held by cgroup; gone`.
pub(crate) fn receipt_words(finished: &Finished) -> Option<String> {
    let receipt = receipt(finished)?;
    let words = |field: &str| receipt[field].as_str().unwrap_or("unknown").replace('_', " ");
    let signals = receipt["signals"].as_array()?.iter().filter_map(Value::as_str);
    let signals = signals.collect::<Vec<_>>().join(", ");
    let exit = finished.outcome.output().and_then(Output::exit);
    let exit = exit.map_or_else(|| "did not die".to_owned(), |exit| exit.to_string());
    let left =
        [("survivors", "survived"), ("unattributed", "unattributed")].map(|(field, word)| {
            let left = receipt[field].as_array().map_or(0, Vec::len);
            if left > 0 { format!("; {left} {word}") } else { String::new() }
        });
    let (held, verdict) = (words("containment"), words("verdict"));
    Some(format!("receipt: {signals}, then {exit}; held by {held}; {verdict}{}", left.concat()))
}

/// Returns whether an output is more than is printed.
fn is_cut(output: &str) -> bool {
    let mut lines = output.lines();
    let is_long = |line: &str| line.len() > SHOWN_LINE_BYTES;
    lines.by_ref().take(SHOWN_LINES).any(is_long) || lines.next().is_some()
}

/// Everything of a log that was kept, with a mark where something was not.
fn whole(log: &OutputLog) -> String {
    let head = log.read(0, usize::MAX, None);
    let mut text = String::from_utf8_lossy(&head.bytes).into_owned();
    let tail = log.read(head.next, usize::MAX, None);
    if tail.omitted > 0 {
        text.push_str(&format!("\n... {} bytes were not kept ...\n", tail.omitted));
    }
    text.push_str(&String::from_utf8_lossy(&tail.bytes));
    text
}
