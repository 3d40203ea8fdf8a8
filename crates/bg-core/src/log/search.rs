//! Searching what a log keeps, line by line.
//!
//! Pieces are copied out under the lock and searched outside it. A line that is longer than a
//! window is searched window by window, so that neither its length nor that of the log matters.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::inner::Inner;
use super::{OutputLog, Stream};

/// Bytes copied out at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Most bytes of a line that are looked at together.
const WINDOW_BYTES: usize = 64 << 10;

/// How far two windows of one line overlap: a match that is no longer is found wherever it lies.
const OVERLAP_BYTES: usize = 4 << 10;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4 << 10;

/// Most memory that a pattern may compile to.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// What to look for in an output log: a regular expression and where; see [`OutputLog::search`].
///
/// # Examples
///
/// ```
/// use bg_core::{LogCaps, OutputLog, Search, Stream};
///
/// let log = OutputLog::new(LogCaps::default());
/// log.write(Stream::Stdout, b"compiling\nerror: no such file\nwarning: unused\nerror: two\n");
/// let mut search = Search::new("^error")?.max_lines(1);
/// let found = log.search(&search);
/// assert_eq!((found.lines[0].offset, &found.lines[0].bytes[..]), (10, &b"error: no such file"[..]));
/// search = search.from(found.next);
/// assert_eq!(log.search(&search).lines[0].bytes, b"error: two");
/// # Ok::<(), bg_core::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    pattern: Regex,
    from: u64,
    stream: Option<Stream>,
    max_lines: usize,
    line_bytes: usize,
}

/// Why a pattern cannot be searched for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is longer than 4 KiB.
    #[error("the pattern has {bytes} bytes, and may have {MAX_PATTERN_BYTES}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is no regular expression, or one that takes too much memory.
    #[error("invalid pattern")]
    Invalid(#[source] regex::Error),
}

impl Search {
    /// Looks for lines that match a regular expression, in the syntax of the `regex` crate; the
    /// time that it takes is linear in what is searched.
    ///
    /// At most 100 lines are reported, and 500 bytes of each.
    ///
    /// # Errors
    ///
    /// [`PatternError`].
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong { bytes: pattern.len() });
        }
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_COMPILED_BYTES);
        let pattern = builder.build().map_err(PatternError::Invalid)?;
        Ok(Self { pattern, from: 0, stream: None, max_lines: 100, line_bytes: 500 })
    }

    /// Looks at lines that begin at this offset or behind it.
    pub fn from(mut self, offset: u64) -> Self {
        self.from = offset;
        self
    }

    /// Looks at one stream. A line is what one stream wrote, whatever another one wrote between.
    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Sets how many lines are reported at most; 0 means 1.
    pub fn max_lines(mut self, lines: usize) -> Self {
        self.max_lines = lines.max(1);
        self
    }

    /// Sets how many bytes of a line are reported at most.
    pub fn line_bytes(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The lines that match, in the order in which they begin.
    pub lines: Vec<FoundLine>,
    /// Where to go on: behind the last line here if there may be more; else at the first line that
    /// has not ended and does not match so far, or at the end.
    pub next: u64,
    /// Bytes between the offset that was asked for and the end of what was searched that are not
    /// kept. Nothing is known of them.
    pub omitted: u64,
    /// Whether everything that is there was searched.
    pub complete: bool,
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundLine {
    /// The offset of its first byte, or of the first one that is kept.
    pub offset: u64,
    /// Who wrote it.
    pub stream: Stream,
    /// The line without its end, or an excerpt around the match.
    pub bytes: Vec<u8>,
    /// The offset of the match.
    pub matched_at: u64,
    /// Whether `bytes` lacks something of the line: it is longer than was asked for, a part of it
    /// was dropped, or it has not ended yet.
    pub cut: bool,
}

impl OutputLog {
    /// Searches what is kept for lines that match.
    ///
    /// Memory stays bounded whatever a line and the log are long. In a line of more than 64 KiB a
    /// match of more than 4 KiB may be missed.
    ///
    /// Who goes on from [`next`](Found::next) while the log grows sees each line of one stream
    /// once. Over all streams at once, what lies behind a line that has not ended comes again.
    pub fn search(&self, search: &Search) -> Found {
        // In this order: a log that is closed does not grow.
        let closed = self.is_closed();
        let end = self.total();
        let mut at = search.from.min(end);
        let mut lines = Lines::new(search, self.0.inner.lock().open_lines(at, search.stream));
        let mut omitted = 0;
        while at < end && !lines.are_enough() {
            let piece = self.0.inner.lock().piece(at, search.stream);
            if piece.omitted > 0 {
                lines.gap();
                omitted += piece.omitted;
            }
            lines.feed(&piece);
            at = piece.next;
        }
        lines.into_found(at, omitted, at >= end, closed)
    }
}

/// A copy of a contiguous part of a log.
struct Piece {
    bytes: Vec<u8>,
    /// (stream, offset, length), in order.
    runs: Vec<(Stream, u64, usize)>,
    omitted: u64,
    next: u64,
}

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

impl Inner {
    fn piece(&self, from: u64, wanted: Option<Stream>) -> Piece {
        let head = from < self.head.end;
        let part = if head { &self.head } else { &self.tail };
        let start = from.max(part.start);
        let mut piece =
            Piece { bytes: Vec::new(), runs: Vec::new(), omitted: start - from, next: start };
        for (stream, start, end) in part.runs_from(start) {
            let room = PIECE_BYTES - piece.bytes.len();
            if wanted.is_some_and(|wanted| wanted != stream) {
                piece.next = end;
                continue;
            }
            if room == 0 {
                break;
            }
            let end = end.min(start + room as u64);
            part.copy(&mut piece.bytes, start, end);
            piece.runs.push((stream, start, super::to_index(end - start)));
            piece.next = end;
        }
        piece
    }

    /// Returns for each stream whether an offset lies inside a line of it, as far as is known.
    fn open_lines(&self, at: u64, wanted: Option<Stream>) -> [bool; 2] {
        STREAMS.map(|stream| {
            let last = self.last_byte(at, stream).filter(|_| wanted.is_none_or(|w| w == stream));
            last.is_some_and(|byte| byte != b'\n')
        })
    }

    /// Returns the last byte of a stream before an offset, if it is kept and nothing was dropped
    /// between.
    fn last_byte(&self, at: u64, stream: Stream) -> Option<u8> {
        let tail = self.tail.last_byte(at, stream);
        let behind_gap = self.omitted() > 0 && at >= self.tail.start;
        tail.or_else(|| self.head.last_byte(at, stream).filter(|_| !behind_gap))
    }
}

/// The lines of a search: what is found, and per stream the line that has not ended.
struct Lines<'a> {
    search: &'a Search,
    found: Vec<FoundLine>,
    /// More matched than are reported.
    overflowed: bool,
    states: [State; 2],
}

enum State {
    /// At the beginning of a line, of which something before was dropped.
    Between {
        cut: bool,
    },
    /// In a line that began before what is searched.
    Skipping,
    In(Line),
}

impl<'a> Lines<'a> {
    fn new(search: &'a Search, open: [bool; 2]) -> Self {
        let state = |open| if open { State::Skipping } else { State::Between { cut: false } };
        Self { search, found: Vec::new(), overflowed: false, states: open.map(state) }
    }

    fn feed(&mut self, piece: &Piece) {
        let mut rest = &piece.bytes[..];
        for &(stream, mut offset, len) in &piece.runs {
            let (run, later) = rest.split_at(len);
            rest = later;
            for bytes in run.split_inclusive(|&byte| byte == b'\n') {
                self.feed_line(stream, offset, bytes);
                offset += bytes.len() as u64;
            }
        }
    }

    /// Takes a line or a part of one; the end of a line is its last byte.
    fn feed_line(&mut self, stream: Stream, offset: u64, bytes: &[u8]) {
        let text = bytes.strip_suffix(b"\n");
        let state = &mut self.states[index(stream)];
        if let State::Between { cut } = *state {
            *state = State::In(Line::new(stream, offset, cut));
        }
        if let State::In(line) = state {
            line.offer(self.search, offset, text.unwrap_or(bytes));
        }
        if text.is_some() {
            self.end_line(stream, false, State::Between { cut: false });
        } else {
            self.keep_found(stream);
        }
    }

    /// Ends the line of a stream, if it is in one.
    fn end_line(&mut self, stream: Stream, cut: bool, next: State) {
        self.settle(stream, cut);
        self.states[index(stream)] = next;
    }

    /// Searches the line of a stream to its end, or with `cut` as far as it is there.
    fn settle(&mut self, stream: Stream, cut: bool) {
        if let State::In(line) = &mut self.states[index(stream)] {
            line.end(self.search, cut);
            self.keep_found(stream);
        }
    }

    /// Takes what a line has found, in its place.
    fn keep_found(&mut self, stream: Stream) {
        let State::In(line) = &mut self.states[index(stream)] else { return };
        let Some(found) = line.found.take() else { return };
        let place = self.found.partition_point(|other| other.offset < found.offset);
        self.found.insert(place, found);
        if self.found.len() > self.search.max_lines {
            self.found.truncate(self.search.max_lines);
            self.overflowed = true;
        }
    }

    /// What follows was not written behind what came before.
    fn gap(&mut self) {
        for stream in STREAMS {
            self.end_line(stream, true, State::Between { cut: true });
        }
    }

    /// Where the first line begins that has not ended and has not matched.
    fn first_open(&self) -> Option<u64> {
        let open = |state: &State| match state {
            State::In(line) if !line.matched => Some(line.start),
            _ => None,
        };
        self.states.iter().filter_map(open).min()
    }

    /// Returns whether no line that is looked at now or later comes before those that are found.
    fn are_enough(&self) -> bool {
        let last = self.found.get(self.search.max_lines - 1);
        last.is_some_and(|last| self.first_open().is_none_or(|open| open > last.offset))
    }

    fn into_found(mut self, at: u64, omitted: u64, at_end: bool, closed: bool) -> Found {
        for stream in STREAMS {
            self.settle(stream, !closed);
        }
        let complete = at_end && !self.overflowed;
        let next = match self.found.last() {
            Some(last) if !complete => last.offset + 1,
            _ => self.first_open().filter(|_| !closed).unwrap_or(at),
        };
        Found { lines: self.found, next, omitted, complete }
    }
}

fn index(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

/// A line that has not ended.
struct Line {
    stream: Stream,
    start: u64,
    /// The last part of it that was not searched, or may be the beginning of a match.
    window: Vec<u8>,
    /// Where parts of the window lie in the log: (index, offset), in order.
    places: Vec<(usize, u64)>,
    /// The window is not all of it.
    slid: bool,
    cut: bool,
    matched: bool,
    found: Option<FoundLine>,
}

impl Line {
    fn new(stream: Stream, start: u64, cut: bool) -> Self {
        let (window, places) = (Vec::new(), Vec::new());
        Self { stream, start, window, places, slid: false, cut, matched: false, found: None }
    }

    /// Adds bytes, and searches what does not fit into a window.
    fn offer(&mut self, search: &Search, offset: u64, bytes: &[u8]) {
        let mut offset = offset;
        for bytes in bytes.chunks(WINDOW_BYTES) {
            if self.matched {
                return;
            }
            self.places.push((self.window.len(), offset));
            self.window.extend_from_slice(bytes);
            offset += bytes.len() as u64;
            if self.window.len() > WINDOW_BYTES {
                self.look(search, false);
                self.slide();
            }
        }
    }

    fn end(&mut self, search: &Search, cut: bool) {
        self.cut |= cut;
        if !cut && self.window.last() == Some(&b'\r') {
            self.window.pop();
        }
        if !self.matched {
            self.look(search, true);
        }
    }

    /// Forgets all of the window but what the next one overlaps.
    fn slide(&mut self) {
        let gone = self.window.len() - OVERLAP_BYTES;
        self.window.drain(..gone);
        let first = self.places.partition_point(|&(index, _)| index <= gone) - 1;
        self.places.drain(..first);
        for (index, offset) in &mut self.places {
            let before = gone.saturating_sub(*index);
            (*index, *offset) = ((*index).saturating_sub(gone), *offset + before as u64);
        }
        self.slid = true;
    }

    /// Searches the window. A match that reaches its end may go on; the next window has it if it
    /// begins in the overlap.
    fn look(&mut self, search: &Search, last: bool) {
        let len = self.window.len();
        let Some(found) = self.find(search, last) else { return };
        if !last && found.end >= len && found.start > len - OVERLAP_BYTES {
            return;
        }
        let found = found.start.min(len)..found.end.min(len);
        let shown = excerpt(&found, len, search.line_bytes);
        let whole = last && !self.slid && shown.len() == len;
        self.matched = true;
        self.found = Some(FoundLine {
            offset: self.start,
            stream: self.stream,
            matched_at: self.place(found.start),
            bytes: self.window[shown].to_vec(),
            cut: self.cut || !whole,
        });
    }

    /// Returns the first match. In the middle of a line a window has a byte of context before it
    /// and another one behind it, so that `^` and `$` are not there.
    fn find(&mut self, search: &Search, last: bool) -> Option<Range<usize>> {
        let begin = usize::from(self.slid);
        if last {
            return Some(search.pattern.find_at(&self.window, begin)?.range());
        }
        self.window.push(b'\n');
        let found = search.pattern.find_at(&self.window, begin).map(|found| found.range());
        self.window.pop();
        found
    }

    /// Returns where a byte of the window lies in the log.
    fn place(&self, at: usize) -> u64 {
        let last = self.places.partition_point(|&(index, _)| index <= at).checked_sub(1);
        last.map_or(self.start, |last| {
            let (index, offset) = self.places[last];
            offset + (at - index) as u64
        })
    }
}

/// Returns what to show of a window: so many bytes, with the match in the middle.
fn excerpt(found: &Range<usize>, window: usize, bytes: usize) -> Range<usize> {
    let around = bytes.saturating_sub(found.len()) / 2;
    let start = found.start.saturating_sub(around);
    let end = start.saturating_add(bytes).min(window);
    start.min(end.saturating_sub(bytes))..end
}
