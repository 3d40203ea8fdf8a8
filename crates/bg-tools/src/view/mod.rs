//! The shapes in which tasks are shown to models.
//!
//! Field names, their order and the words for statuses are a contract with those who parse answers.

mod data;
mod ended;
mod entry;
mod log;

use bg_core::{Exit, Finished, Kind, OutputLog, Status, text};
use serde::Serialize;

pub(crate) use data::{bytes, receipt, within};
pub(crate) use ended::{Ended, Ending};
pub(crate) use entry::{Entry, listed, seen};
pub use log::LogView;

/// Longest reason, line of a trace and the like, in bytes.
const MAX_LINE_BYTES: usize = 200;

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

/// Returns where the text of an outcome begins in what [`ReadTaskOutput`](crate::ReadTaskOutput)
/// reads: behind the log.
pub(crate) fn text_start(finished: &Finished) -> u64 {
    finished.log().map_or(0, OutputLog::total)
}

/// Cuts a line to its place, or to the room that is left if that is less.
fn line(text: &str, room: usize) -> String {
    text::excerpt(text, MAX_LINE_BYTES.min(room))
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

/// So many bytes more are not cut: the mark would take half of them.
const ABRIDGED_BYTES: usize = 24;

/// Cuts a text of which this is the begin, and says how many bytes there were in all beyond it.
fn abridged(begin: &str, whole_bytes: usize, max_bytes: usize) -> String {
    if whole_bytes <= max_bytes + ABRIDGED_BYTES {
        return begin.to_owned();
    }
    let kept = text::prefix(begin, max_bytes);
    format!("{kept}... (+{})", whole_bytes - kept.len())
}
