//! The shapes in which tasks are shown to models.
//!
//! Field names, their order and the words for statuses are a contract with those who parse answers.

use bg_core::{Chunk, Exit, Finished, Kind, OutputLog, Snapshot, Status, TaskId, text};
use serde::Serialize;
use serde_json::Value;

use crate::terminal::{MAX_ESCAPE_BYTES, shown, unfinished, whole_from};

/// Longest description in a list entry, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 200;

/// Most bytes of free text (an output, its trace) in one answer: about 2,000 tokens at four bytes
/// each.
pub const ANSWER_BYTES: usize = 8000;

/// Returns the word for a status. Processes have their own: a child exits or is killed. One that
/// could not be started has done neither: it is `errored`.
///
/// # Examples
///
/// ```
/// use bg_core::{Kind, Status};
/// use bg_tools::status_word;
///
/// assert_eq!(status_word(Kind::AGENT, Status::Failed), "errored");
/// assert_eq!(status_word(Kind::PROCESS, Status::Cancelled), "killed");
/// ```
pub fn status_word(kind: Kind, status: Status) -> &'static str {
    match (kind, status) {
        (Kind::PROCESS, Status::Cancelled) => "killed",
        (Kind::PROCESS, Status::Completed) => "exited",
        (_, Status::Failed | Status::Panicked | Status::Lost) => "errored",
        (_, status) => status.as_str(),
    }
}

/// One task in a list.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    task_id: TaskId,
    task_type: String,
    description: String,
    status: &'static str,
    age_secs: u64,
    #[serde(flatten)]
    exit: Option<ExitView>,
    /// Why it is `errored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<String>,
}

impl Entry {
    /// Shows a task as a list does.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let kind = snapshot.id.kind();
        let description = match kind {
            Kind::PROCESS => snapshot.prompt().to_owned(),
            _ => format!("{}: {}", snapshot.label(), snapshot.prompt()),
        };
        let exited = kind == Kind::PROCESS && snapshot.status == Status::Completed;
        let exit = exited.then(|| ExitView::of(snapshot.exit));
        let status = status_word(kind, snapshot.status);
        let reason = snapshot.reason.clone().filter(|_| status == "errored");
        Self {
            task_id: snapshot.id,
            task_type: kind.to_string(),
            description: text::cut(description, MAX_DESCRIPTION_BYTES),
            status,
            age_secs: snapshot.age.as_secs(),
            exit,
            reason: reason.map(|reason| text::cut(reason, MAX_DESCRIPTION_BYTES)),
            step: None,
            last_event: None,
        }
    }

    /// Shows a task with its news: what it does now.
    pub(crate) fn with_news(snapshot: &Snapshot) -> Self {
        let step = match snapshot.status {
            Status::Running { step } if step > 0 => Some(step),
            _ => None,
        };
        let last_event = snapshot.last_trace.clone();
        let last_event = last_event.map(|line| text::cut(line, MAX_DESCRIPTION_BYTES));
        Self { step, last_event, ..Self::of(snapshot) }
    }
}

/// How a process exited: `exit_code` is there whenever it has, `null` when a signal ended it.
#[derive(Clone, Copy, Debug, Serialize)]
struct ExitView {
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
}

impl ExitView {
    fn of(exit: Option<Exit>) -> Self {
        Self {
            exit_code: exit.and_then(|exit| exit.code),
            signal: exit.and_then(|exit| exit.signal),
        }
    }
}

/// Returns what a stop did to a process, if it was stopped.
pub(crate) fn receipt(finished: &Finished) -> Option<&Value> {
    finished.outcome.output()?.data()?.get("receipt")
}

/// Returns who held the output of a process open when its time was over, if anybody did.
pub fn output_incomplete(finished: &Finished) -> Option<&Value> {
    finished.outcome.output()?.data()?.get("output_incomplete")
}

/// A task that has ended, as a wait answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Ended {
    Process(EndedProcess),
    Agent(EndedAgent),
    Cancelled(EndedCancelled),
}

impl Ended {
    pub(crate) fn of(finished: &Finished, already_delivered: bool) -> Self {
        let status = status_word(finished.id.kind(), finished.status());
        let reason = finished.outcome.reason().map(|r| text::cut(r, MAX_DESCRIPTION_BYTES));
        let already_delivered = already_delivered.then_some(true);
        let task_id = finished.id;
        if task_id.kind() == Kind::PROCESS {
            let output = finished.log().map(LogView::of).unwrap_or_default();
            let exit = finished.outcome.output().and_then(bg_core::Output::exit);
            let exit = ExitView::of(exit);
            return Self::Process(EndedProcess {
                task_id,
                status,
                exit,
                receipt: receipt(finished).cloned(),
                output_incomplete: output_incomplete(finished).cloned(),
                output,
                reason,
                already_delivered,
            });
        }
        if finished.status() == Status::Cancelled {
            return Self::Cancelled(EndedCancelled { task_id, status, reason, already_delivered });
        }
        Self::Agent(EndedAgent::of(finished, status, reason, already_delivered))
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

#[derive(Debug, Serialize)]
pub(crate) struct EndedAgent {
    task_id: TaskId,
    status: &'static str,
    agent_name: String,
    prompt: String,
    output: String,
    events: Vec<String>,
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
    /// Lines of the trace that an answer shows: the last ones say how it ended.
    const EVENTS: usize = 20;
    /// Most bytes of them: even when every byte has to be escaped, output and events together
    /// stay below what a toolbox passes on whole.
    const EVENT_BYTES: usize = 2000;

    fn of(
        finished: &Finished,
        status: &'static str,
        reason: Option<String>,
        already_delivered: Option<bool>,
    ) -> Self {
        let whole = finished.outcome.output().map_or("", |output| &output.text);
        let shown = text::prefix(whole, ANSWER_BYTES);
        let omitted = whole.len() - shown.len();
        let cursor = text_start(finished) + shown.len() as u64;
        let events = Self::events(finished.trace());
        let earlier = finished.trace().len() - events.len();
        Self {
            task_id: finished.id,
            status,
            agent_name: text::cut(finished.label().to_owned(), MAX_DESCRIPTION_BYTES),
            prompt: text::cut(finished.prompt().to_owned(), MAX_DESCRIPTION_BYTES),
            output: shown.to_owned(),
            events,
            omitted_events: (earlier > 0).then_some(earlier),
            next_cursor: (omitted > 0).then_some(cursor),
            omitted_bytes: (omitted > 0).then_some(omitted as u64),
            reason,
            already_delivered,
        }
    }

    /// Returns the last lines of a trace that fit.
    fn events(trace: &[String]) -> Vec<String> {
        let mut room = Self::EVENT_BYTES;
        let mut fits = |line: &String| {
            let left = room.checked_sub(line.len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let last = trace.iter().rev().take(Self::EVENTS);
        let cut = last.map(|line| text::cut(line.clone(), MAX_DESCRIPTION_BYTES));
        let mut events: Vec<_> = cut.take_while(|line| fits(line)).collect();
        events.reverse();
        events
    }
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

/// The end of an output log: what fits, how much came before it, and where to go on.
///
/// The text is what a terminal would show in the end: escape sequences are left out, and so is what
/// a carriage return wrote over. The log keeps all of it, and offsets count it.
///
/// # Examples
///
/// ```
/// use bg_core::{LogCaps, OutputLog, Stream};
/// use bg_tools::LogView;
///
/// let log = OutputLog::new(LogCaps::default());
/// log.write(Stream::Stdout, b"10%\r20%\r\x1b[32mdone\x1b[0m\n");
/// let view = LogView::of(&log);
/// assert_eq!((&*view.text, view.next_cursor), ("done\n", log.total()));
/// ```
#[derive(Debug, Default, Serialize)]
pub struct LogView {
    /// The last part of what was written.
    pub text: String,
    /// Bytes before `text`; those still kept can be read from cursor 0 on.
    pub omitted_bytes: u64,
    /// The end of the log: reading from here repeats nothing.
    pub next_cursor: u64,
    /// Bytes in `text` that are not UTF-8; each run of them shows as U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    pub invalid_utf8_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl LogView {
    /// Shows the end of a log, at most 8,000 bytes of it.
    pub fn of(log: &OutputLog) -> Self {
        let chunk = Self::end_of(log);
        let bytes = &chunk.bytes[..];
        let held_back = if chunk.eof { 0 } else { unfinished(bytes) };
        let end = bytes.len() - held_back;
        let begin = match bytes.len().saturating_sub(ANSWER_BYTES) {
            0 if chunk.next == bytes.len() as u64 => 0,
            index => whole_from(bytes, index).min(end),
        };
        let (text, invalid_utf8_bytes) = shown(&bytes[begin..end]);
        Self {
            text,
            omitted_bytes: chunk.next - (bytes.len() - begin) as u64,
            next_cursor: chunk.next - held_back as u64,
            invalid_utf8_bytes,
        }
    }

    /// Reads the end, and before it as much as an escape sequence may take.
    fn end_of(log: &OutputLog) -> Chunk {
        const BYTES: usize = ANSWER_BYTES + MAX_ESCAPE_BYTES;
        let total = log.total();
        let chunk = log.read(total.saturating_sub(BYTES as u64), BYTES, None);
        if chunk.next >= total {
            return chunk;
        }
        // It stopped at a gap; the end is what lies behind it.
        log.read(chunk.next, BYTES, None)
    }
}

/// Returns where the text of an outcome begins in what [`ReadTaskOutput`](crate::ReadTaskOutput)
/// reads: behind the log.
pub(crate) fn text_start(finished: &Finished) -> u64 {
    finished.log().map_or(0, OutputLog::total)
}
