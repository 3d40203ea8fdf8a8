//! `ReadFile`: lines of one text file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{ANSWER_MAX, NOTES_MAX, brief_name, cut, name_of, plural};
use super::error::FileError;
use super::folder::{Folder, Place};
use super::text::{self, Text};

const LINES: u32 = 200;
const LINES_MAX: u32 = 2000;
/// No character is longer: with this much more than fits, the cut falls before a torn character.
const CHAR_MAX: usize = 4;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadArgs {
    /// File, from the folder.
    pub(crate) path: String,
    /// First line, counted from 1. Default: 1.
    pub(crate) from_line: Option<u64>,
    /// Lines, default 200, at most 2000.
    pub(crate) max_lines: Option<u32>,
}

impl Folder {
    /// Reads whole lines of a text file; the first line of the answer says which, of how many, and
    /// how to read on, where the file's own text cannot be taken for it.
    ///
    /// # Errors
    ///
    /// If the path is not usable or not that of a text file, it cannot be read, or
    /// [`FileError::Stopped`].
    pub(crate) fn read(
        &self,
        args: &ReadArgs,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, FileError> {
        let place = self.locate(&args.path)?;
        let text = open(&place, &args.path, stop)?;
        let name = name_of(&place.name);
        let mut page = Page::new(args, (ANSWER_MAX - NOTES_MAX).saturating_sub(name.len()));
        let done = text.each_chunk(|chunk| page.take(chunk));
        if stop() {
            return Err(FileError::Stopped);
        }
        done.map_err(|source| FileError::Read { path: brief_name(&args.path), source })?;
        Ok(page.finish(&name))
    }
}

fn open<'a>(place: &Place, given: &str, stop: &'a dyn Fn() -> bool) -> Result<Text<'a>, FileError> {
    let path = brief_name(given);
    if place.meta.is_dir() {
        return Err(FileError::Directory { path });
    }
    // Opening a pipe would block until someone writes to it.
    if !place.meta.is_file() {
        return Err(FileError::NotRegular { path });
    }
    match text::open(&place.path, stop) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(FileError::Binary { path, bytes: place.meta.len() }),
        Err(source) => Err(FileError::Read { path, source }),
    }
}

/// The lines that are wanted and fit, out of a stream whose lines are all counted.
struct Page {
    from: u64,
    /// The first line that is not wanted.
    until: u64,
    /// Bytes of text at most.
    room: usize,
    /// The number of the line that is being read.
    line: u64,
    /// What it has so far, of which `raw` keeps the start.
    line_bytes: u64,
    raw: Vec<u8>,
    text: String,
    replaced: u64,
    /// Lines that are in `text`.
    shown: u64,
    /// The length of a line that did not fit although it is the first one.
    cut_line: Option<u64>,
    is_full: bool,
}

impl Page {
    fn new(args: &ReadArgs, room: usize) -> Page {
        let from = args.from_line.unwrap_or(1).max(1);
        let lines = args.max_lines.unwrap_or(LINES).clamp(1, LINES_MAX);
        Page {
            from,
            until: from.saturating_add(lines.into()),
            room,
            line: 1,
            line_bytes: 0,
            raw: Vec::new(),
            text: String::new(),
            replaced: 0,
            shown: 0,
            cut_line: None,
            is_full: false,
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            self.line_bytes += piece.len() as u64;
            if self.is_wanted() {
                let free = (self.room + CHAR_MAX).saturating_sub(self.raw.len());
                self.raw.extend_from_slice(&piece[..piece.len().min(free)]);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn is_wanted(&self) -> bool {
        !self.is_full && (self.from..self.until).contains(&self.line)
    }

    fn end_line(&mut self) {
        if self.is_wanted() {
            self.show_line();
        }
        self.raw.clear();
        self.line_bytes = 0;
        self.line += 1;
    }

    fn show_line(&mut self) {
        let (line, replaced, is_whole) = decode(&self.raw, self.room);
        let fits = is_whole && self.text.len() + line.len() <= self.room;
        self.is_full = !fits;
        if fits || self.text.is_empty() {
            self.text.push_str(&line);
            self.replaced += replaced;
            self.shown += 1;
            self.cut_line = (!fits).then_some(self.line_bytes);
        }
    }

    fn finish(mut self, name: &str) -> String {
        if self.line_bytes > 0 {
            self.end_line();
        }
        let (from, total) = (self.from, self.line - 1);
        if self.shown == 0 {
            let past = if total == 0 {
                String::new()
            } else {
                format!("; from_line {from} is past the end")
            };
            return format!("{name}: {}{past}\n", plural(total, "line"));
        }
        let to = from + self.shown - 1;
        let notes = [
            self.cut_line.map(|bytes| format!("; line {to} is cut, it has {bytes} bytes")),
            (self.replaced > 0)
                .then(|| format!("; {} replaced", plural(self.replaced, "invalid UTF-8 sequence"))),
            (to < total).then(|| format!("; read on with from_line {}", to + 1)),
        ];
        format!(
            "{name}: lines {from}-{to} of {total}{}\n{}",
            notes.into_iter().flatten().collect::<String>(),
            self.text
        )
    }
}

/// Text within `room` bytes, how many invalid sequences were replaced in it, and whether it is all.
fn decode(bytes: &[u8], room: usize) -> (String, u64, bool) {
    let (mut text, mut replaced) = (String::new(), 0);
    for chunk in bytes.utf8_chunks() {
        let valid = cut(chunk.valid(), room - text.len());
        text.push_str(valid);
        if valid.len() < chunk.valid().len() {
            return (text, replaced, false);
        }
        if !chunk.invalid().is_empty() {
            if text.len() + char::REPLACEMENT_CHARACTER.len_utf8() > room {
                return (text, replaced, false);
            }
            text.push(char::REPLACEMENT_CHARACTER);
            replaced += 1;
        }
    }
    (text, replaced, true)
}
