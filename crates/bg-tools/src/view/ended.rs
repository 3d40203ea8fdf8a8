//! A task that has ended.

use bg_core::{Finished, Kind, Output, Status, TaskId, text};
use serde::Serialize;
use serde_json::Value;

use super::data::{bytes, output_incomplete, receipt, within};
use super::{ExitView, LogView, abridged, line, status_word, text_start};
use crate::told::{Mark, Note};

/// Longest prompt, in bytes, that an answer repeats; and of a task that the caller has seen.
const NEW_PROMPT_BYTES: usize = 40;
const KNOWN_PROMPT_BYTES: usize = 0;

/// Lines of the trace that an answer shows: the last ones say how it ended.
const MAX_EVENTS: usize = 20;
/// Most bytes of them.
const EVENT_BYTES: usize = 2000;

/// A task that has ended, as an answer shows it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Ended {
    Process(EndedProcess),
    Agent(EndedAgent),
    Cancelled(EndedCancelled),
}

/// What is to be shown, and to whom.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) finished: &'a Finished,
    /// What the caller knows of it.
    pub(crate) note: Note,
    /// Somebody has got the outcome before.
    pub(crate) already_delivered: bool,
    /// The caller's own call has started it: who it is and what it was asked is known.
    pub(crate) is_own: bool,
}

impl Ended {
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Process(ended) => ended.status,
            Self::Agent(ended) => ended.status,
            Self::Cancelled(ended) => ended.status,
        }
    }
}

impl<'a> Ending<'a> {
    /// Shows it to somebody who knows nothing of it.
    pub(crate) fn of(finished: &'a Finished, is_claimed: bool) -> Self {
        let note = Note::default();
        Self { finished, note, already_delivered: !is_claimed, is_own: false }
    }

    /// Most bytes of free text that there are to show.
    pub(crate) fn most_bytes(self) -> usize {
        let log =
            self.finished.log().map_or(0, |log| usize::try_from(log.total()).unwrap_or(usize::MAX));
        let data = [receipt(self.finished), output_incomplete(self.finished)];
        let data: usize = data.into_iter().flatten().map(bytes).sum();
        log.max(self.text().len()).max(data).saturating_add(EVENT_BYTES)
    }

    /// Shows it with so many bytes of free text, and says which piece of the output that is.
    pub(crate) fn at(self, room: usize) -> (Ended, Option<Mark>) {
        match self.finished.id.kind() {
            Kind::PROCESS => {
                let process = EndedProcess::of(self, room);
                let mark = Mark::Shown(process.output.from, process.output.next_cursor);
                (Ended::Process(process), Some(mark))
            }
            _ if self.finished.status() == Status::Cancelled => {
                (Ended::Cancelled(EndedCancelled::of(self, room)), None)
            }
            _ => {
                let agent = EndedAgent::of(self, room);
                let start = text_start(self.finished);
                let mark = Mark::Shown(start, start + agent.output.len() as u64);
                (Ended::Agent(agent), Some(mark))
            }
        }
    }

    fn text(self) -> &'a str {
        self.finished.outcome.output().map_or("", |output| &output.text)
    }

    fn status(self) -> &'static str {
        status_word(self.finished.id.kind(), self.finished.status())
    }

    fn reason(self, room: usize) -> Option<String> {
        self.finished.outcome.reason().map(|reason| line(&reason, room))
    }

    fn already_delivered(self) -> Option<bool> {
        self.already_delivered.then_some(true)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct EndedProcess {
    task_id: TaskId,
    status: &'static str,
    #[serde(flatten)]
    exit: ExitView,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
    output: LogView,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_incomplete: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_delivered: Option<bool>,
}

impl EndedProcess {
    fn of(ending: Ending<'_>, room: usize) -> Self {
        let (finished, log) = (ending.finished, ending.finished.log());
        Self {
            task_id: finished.id,
            status: ending.status(),
            exit: ExitView::of(finished.outcome.output().and_then(Output::exit)),
            receipt: receipt(finished).map(|receipt| within(receipt, room)),
            output: log.map(|log| LogView::new(log, room, ending.note)).unwrap_or_default(),
            output_incomplete: output_incomplete(finished).map(|holders| within(holders, room)),
            reason: ending.reason(room),
            already_delivered: ending.already_delivered(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct EndedAgent {
    task_id: TaskId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    /// Lines of the trace before `events`.
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_events: Option<usize>,
    /// Where to go on reading when `output` was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_delivered: Option<bool>,
}

impl EndedAgent {
    fn of(ending: Ending<'_>, room: usize) -> Self {
        let finished = ending.finished;
        let whole = ending.text();
        // What the caller has read of it stands in the conversation.
        let is_known = ending.note.ended;
        let output = if is_known { "" } else { text::prefix(whole, room) };
        let omitted = (whole.len() - output.len()) as u64;
        let cursor = text_start(finished) + output.len() as u64;
        let event_bytes = if is_known { 0 } else { EVENT_BYTES.min(room) };
        let events = (!ending.is_own).then(|| last_events(finished.trace(), event_bytes));
        let (events, earlier) = events.unzip();
        Self {
            task_id: finished.id,
            status: ending.status(),
            agent_name: (!ending.is_own).then(|| line(finished.label(), room)),
            prompt: (!ending.is_own).then(|| Self::prompt(ending, room)),
            output: output.to_owned(),
            events,
            omitted_events: earlier.filter(|&earlier| earlier > 0),
            next_cursor: (omitted > 0).then_some(cursor),
            omitted_bytes: (omitted > 0).then_some(omitted),
            reason: ending.reason(room),
            already_delivered: ending.already_delivered(),
        }
    }

    fn prompt(ending: Ending<'_>, room: usize) -> String {
        let is_known = ending.note.is_known();
        let bytes = if is_known { KNOWN_PROMPT_BYTES } else { NEW_PROMPT_BYTES };
        let prompt = ending.finished.prompt();
        abridged(prompt, prompt.len(), bytes.min(room))
    }
}

/// Returns the last lines of a trace that fit, equal ones in a row as one, and how many lines were
/// before them.
fn last_events(trace: &[String], bytes: usize) -> (Vec<String>, usize) {
    let (mut events, mut left, mut room) = (Vec::new(), trace.len(), bytes);
    while let Some(last) = trace[..left].last().filter(|_| events.len() < MAX_EVENTS) {
        let repeats = trace[..left].iter().rev().take_while(|line| *line == last).count();
        let event = line(last, bytes / 5);
        let event = if repeats > 1 { format!("{event} (x{repeats})") } else { event };
        let Some(less) = room.checked_sub(event.len()) else { break };
        room = less;
        left -= repeats;
        events.push(event);
    }
    events.reverse();
    (events, left)
}

#[derive(Debug, Serialize)]
pub(crate) struct EndedCancelled {
    task_id: TaskId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_delivered: Option<bool>,
}

impl EndedCancelled {
    fn of(ending: Ending<'_>, room: usize) -> Self {
        Self {
            task_id: ending.finished.id,
            status: ending.status(),
            reason: ending.reason(room),
            already_delivered: ending.already_delivered(),
        }
    }
}
