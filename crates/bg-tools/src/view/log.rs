//! The end of what a task wrote.

use bg_core::{Chunk, OutputLog};
use serde::Serialize;

use crate::terminal::{MAX_ESCAPE_BYTES, overwrites, shown, unfinished, whole_from};
use crate::told::Note;

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
/// let view = LogView::of(&log, 8000);
/// assert_eq!((&*view.text, view.next_cursor), ("done\n", log.total()));
/// ```
#[derive(Debug, Default, Serialize)]
pub struct LogView {
    /// The last part of what was written.
    pub text: String,
    /// Bytes before `text` that were not shown; those still kept can be read by cursor.
    pub omitted_bytes: u64,
    /// The end of the log: reading from here repeats nothing.
    pub next_cursor: u64,
    /// Bytes in `text` that are not UTF-8; each run of them shows as U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    pub invalid_utf8_bytes: u64,
    /// Where `text` begins.
    #[serde(skip)]
    pub(crate) from: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl LogView {
    /// Shows the end of a log, at most `max_bytes` of it.
    pub fn of(log: &OutputLog, max_bytes: usize) -> Self {
        Self::new(log, max_bytes, Note::default())
    }

    /// Shows the end of what a caller has not been shown.
    pub(crate) fn new(log: &OutputLog, max_bytes: usize, note: Note) -> Self {
        let chunk = Self::end_of(log, max_bytes, note.shown);
        let bytes = &chunk.bytes[..];
        let from = chunk.next - bytes.len() as u64;
        let held_back = if chunk.eof { 0 } else { unfinished(bytes) };
        let end = bytes.len() - held_back;
        let begin = match bytes.len().saturating_sub(max_bytes) {
            0 if from <= note.shown => 0,
            index => whole_from(bytes, index).min(end),
        };
        let (mut text, invalid_utf8_bytes) = shown(&bytes[begin..end]);
        let from = from + begin as u64;
        if from > 0 && from == note.shown && overwrites(&bytes[begin..end]) {
            // It goes on with a line that was shown.
            text.insert(0, '\n');
        }
        Self {
            text,
            omitted_bytes: from.saturating_sub(note.read),
            next_cursor: chunk.next - held_back as u64,
            invalid_utf8_bytes,
            from,
        }
    }

    /// Reads the end, and before it as much as an escape sequence may take.
    fn end_of(log: &OutputLog, max_bytes: usize, shown: u64) -> Chunk {
        let most = max_bytes + MAX_ESCAPE_BYTES;
        let total = log.total();
        let chunk = log.read(total.saturating_sub(most as u64).max(shown), most, None);
        if chunk.next >= total {
            return chunk;
        }
        // It stopped at a gap; the end is what lies behind it.
        log.read(chunk.next, most, None)
    }
}
