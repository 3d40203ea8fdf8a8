//! The text of an answer: names, rows within a budget, and what was left out.

use std::fmt::Write as _;
use std::path::Path;

use unicode_segmentation::UnicodeSegmentation as _;

/// No answer is longer.
pub(crate) const ANSWER_MAX: usize = 64 * 1024;
/// Kept free for the first line and the notes at the end.
pub(super) const NOTES_MAX: usize = 4 * 1024;
/// A name or message inside an error or a note is cut here.
const BRIEF_MAX: usize = 300;
const UNREAD_NAMED: usize = 5;

/// The longest start of `text` within `max` bytes that ends between two graphemes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let whole = text.grapheme_indices(true).map(|(at, _)| at).take_while(|&at| at <= max).last();
    match whole {
        // One grapheme can be of any length; then a border between characters has to do.
        None | Some(0) => &text[..char_border(text, max)],
        Some(end) => &text[..end],
    }
}

fn char_border(text: &str, max: usize) -> usize {
    (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// `text` on few bytes, for errors and notes.
pub(super) fn brief(text: &str) -> String {
    let kept = cut(text, BRIEF_MAX);
    if kept.len() == text.len() { kept.to_owned() } else { format!("{kept}...") }
}

/// A path as the caller wrote it, fit for an error.
pub(super) fn brief_name(given: &str) -> String {
    // Escaping only makes text longer, so what is dropped here would not survive the cut.
    brief(&escaped(cut(given, BRIEF_MAX + 1).as_bytes()))
}

/// The printed form of a relative path: one line, `/` between its parts, whatever bytes it holds.
pub(super) fn name_of(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|part| escaped(part.as_encoded_bytes())).collect();
    parts.join("/")
}

fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut text, c));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn push_escaped(text: &mut String, c: char) {
    if c.is_control() || reorders_or_breaks(c) {
        text.extend(c.escape_unicode());
    } else {
        text.push(c);
    }
}

/// Marks that show text in another order than it is stored, and line ends that are not controls.
fn reorders_or_breaks(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// `1 file`, `2 files`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Rows in order, up to a number and to the size of an answer; the rest is counted.
pub(super) struct Rows {
    text: String,
    limit: u64,
    shown: u64,
    cut: u64,
}

impl Rows {
    pub(super) fn new(limit: u64) -> Rows {
        Rows { text: String::new(), limit, shown: 0, cut: 0 }
    }

    /// Whether a row would only be counted: its text need not be made.
    pub(super) fn is_full(&self) -> bool {
        self.shown >= self.limit || self.cut > 0
    }

    pub(super) fn push(&mut self, row: &str) {
        // Once a row was cut all after it are, or the answer would have holes.
        if self.is_full() || self.text.len() + row.len() + 1 > ANSWER_MAX - NOTES_MAX {
            self.cut += 1;
            return;
        }
        self.text.push_str(row);
        self.text.push('\n');
        self.shown += 1;
    }

    /// Counts rows that were not made.
    pub(super) fn skip(&mut self, count: u64) {
        self.cut += count;
    }

    /// Counts what is missing from `total` rows.
    pub(super) fn skip_to(&mut self, total: u64) {
        self.cut = total - self.shown;
    }

    /// The answer: the totals, the rows, how many are missing, and the notes. Columns end in a newline.
    pub(super) fn finish(
        self,
        totals: &str,
        columns: &str,
        noun: &str,
        notes: &[Option<String>],
    ) -> String {
        let mut answer = format!("{totals}\n");
        if self.shown > 0 {
            answer.push_str(columns);
            answer.push_str(&self.text);
        }
        if self.cut > 0 {
            let _ = writeln!(answer, "... and {}", plural(self.cut, &format!("more {noun}")));
        }
        for note in notes.iter().flatten() {
            let _ = writeln!(answer, "{note}");
        }
        answer
    }
}

/// Files and directories that could not be read: all counted, the first few named.
#[derive(Default)]
pub(super) struct Unread {
    count: u64,
    named: Vec<String>,
}

impl Unread {
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.named.len() < UNREAD_NAMED {
            self.named.push(brief(&name_of(path)));
        }
    }

    /// Both; those named here come first.
    pub(super) fn and(mut self, other: Unread) -> Unread {
        self.count += other.count;
        self.named.extend(other.named);
        self.named.truncate(UNREAD_NAMED);
        self
    }

    pub(super) fn note(&self) -> Option<String> {
        let rest = self.count - self.named.len() as u64;
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let files = plural(self.count, "file");
        (self.count > 0)
            .then(|| format!("{files} could not be read: {}{more}", self.named.join(", ")))
    }
}
