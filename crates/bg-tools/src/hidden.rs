//! Characters that a reader does not see, or that reorder what is read.
//!
//! An output that carries them could show a human something else than a model reads (bidirectional
//! controls), or tell a model something that no human sees (tags, which spell ASCII invisibly). They
//! are written as escapes: nothing is lost, and nothing is hidden.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::error::ToolError;

/// Returns whether a character is written as an escape. Line feeds and tabs are not; joiners are
/// neither, for many scripts are written with them.
pub(crate) fn is_hidden(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\n' | '\t');
    is_control
        || matches!(c,
            // Marks of direction, and what changes it.
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            // Blanks without a width, and marks for annotations.
            | '\u{AD}' | '\u{180E}' | '\u{200B}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            // Tags.
            | '\u{E0000}'..='\u{E0FFF}')
}

/// Writes hidden characters as `\u{202e}`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Quotes foreign text as one line: what is hidden, quotes and line ends are escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 2);
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '\n' | '\t' => line.extend(c.escape_default()),
            c if is_hidden(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line.push('"');
    line
}

/// Writes JSON in which no character is hidden: whoever parses it gets the text as it was.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, ToolError> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Visible);
    value.serialize(&mut serializer).map_err(ToolError::failed)?;
    String::from_utf8(bytes).map_err(ToolError::failed)
}

/// Compact JSON with hidden characters as `\u202e`.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if !fragment.contains(is_hidden) {
            return writer.write_all(fragment.as_bytes());
        }
        writer.write_all(json_escaped(fragment).as_bytes())
    }
}

fn json_escaped(fragment: &str) -> String {
    let mut shown = String::with_capacity(fragment.len() + 16);
    for c in fragment.chars() {
        if !is_hidden(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a string does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}
