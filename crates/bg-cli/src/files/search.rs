//! `SearchFiles`: the lines that match a regular expression.

use std::cell::RefCell;
use std::io;

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{Searcher, SearcherBuilder, Sink, SinkMatch};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Rows, cut, name_of, plural};
use super::error::FileError;
use super::folder::{Folder, Scope};
use super::long_lines::{LINE_MAX, ShortLines};
use super::text;
use super::walk::Entry;

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;
/// A line in a row is cut here.
const ROW_TEXT_MAX: usize = 200;
/// Of the compiled expression, and of what its search caches.
const REGEX_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchArgs {
    /// Regular expression, matched line by line, case sensitive.
    pub(crate) pattern: String,
    /// Directory or file, from the folder. Default: everything.
    pub(crate) path: Option<String>,
    /// Only paths that match, e.g. `*.rs` or `src/**/*.md`.
    pub(crate) glob: Option<String>,
    /// Matching lines per file in place of their text.
    #[serde(default)]
    pub(crate) count_only: bool,
    /// Rows, default 100, at most 1000. Totals count all matches.
    pub(crate) limit: Option<u32>,
}

impl Folder {
    /// Searches the text files below a path, with exact totals in the first line.
    ///
    /// # Errors
    ///
    /// If the pattern, the path or the glob is not usable, or [`FileError::Stopped`]. A file that
    /// cannot be read is named in the answer.
    pub(crate) fn search(
        &self,
        args: &SearchArgs,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, FileError> {
        let mut search = Search::new(args)?;
        let scope = Scope { path: args.path.as_deref(), glob: args.glob.as_deref() };
        let unread = self.each_file(&scope, stop, |entry| search.see(entry, stop))?;
        Ok(search.finish(unread.note()))
    }
}

struct Search {
    matcher: RegexMatcher,
    searcher: Searcher,
    count_only: bool,
    rows: Rows,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    lines: u64,
    files: u64,
    searched: u64,
    binary: u64,
    links: u64,
    long_lines: u64,
}

impl Search {
    fn new(args: &SearchArgs) -> Result<Search, FileError> {
        let matcher = RegexMatcherBuilder::new()
            .multi_line(true)
            // `$` matches before a CRLF too, though lines end in LF.
            .crlf(true)
            .line_terminator(Some(b'\n'))
            .size_limit(REGEX_MAX)
            .dfa_size_limit(REGEX_MAX)
            .build(&args.pattern)
            .map_err(|source| FileError::BadPattern { source })?;
        // The limit is a net below `ShortLines`, which lets no line come near it.
        let searcher =
            SearcherBuilder::new().heap_limit(Some(2 * LINE_MAX)).bom_sniffing(false).build();
        let rows = Rows::new(args.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX).into());
        Ok(Search {
            matcher,
            searcher,
            count_only: args.count_only,
            rows,
            totals: Totals::default(),
        })
    }

    fn see(&mut self, entry: &Entry, stop: &dyn Fn() -> bool) -> io::Result<()> {
        if entry.is_link {
            self.totals.links += 1;
            return Ok(());
        }
        let Some(text) = text::open(&entry.path, stop)? else {
            self.totals.binary += 1;
            return Ok(());
        };
        self.totals.searched += 1;
        let long = RefCell::new(Vec::new());
        let rows = (!self.count_only).then_some(&mut self.rows);
        let name = name_of(&entry.name);
        let mut hits = Hits { name: &name, long: &long, rows, lines: 0 };
        let done =
            self.searcher.search_reader(&self.matcher, ShortLines::new(text, &long), &mut hits);
        let lines = hits.lines;
        self.count(&name, lines, long.borrow().len() as u64);
        done
    }

    fn count(&mut self, name: &str, lines: u64, long_lines: u64) {
        self.totals.long_lines += long_lines;
        self.totals.lines += lines;
        self.totals.files += u64::from(lines > 0);
        if self.count_only && lines > 0 {
            self.rows.push(&format!("{name}: {lines}"));
        }
    }

    fn finish(self, unread: Option<String>) -> String {
        let Totals { lines, files, searched, .. } = self.totals;
        let headline = format!("{} in {}", plural(lines, "matching line"), plural(files, "file"));
        let noun = if self.count_only { "file" } else { "matching line" };
        let nothing = (searched == 0)
            .then(|| "no text file there: empty, ignored, or no match for the glob".to_owned());
        let notes = [nothing, self.totals.skipped(), self.totals.too_long(), unread];
        self.rows.finish(&headline, "", noun, &notes)
    }
}

impl Totals {
    fn skipped(&self) -> Option<String> {
        let kinds = [(self.binary, "binary file"), (self.links, "link")];
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|&(count, noun)| plural(count, noun))
            .collect();
        (!kinds.is_empty()).then(|| format!("{} not searched", kinds.join(" and ")))
    }

    fn too_long(&self) -> Option<String> {
        let lines = plural(self.long_lines, "line");
        (self.long_lines > 0).then(|| format!("{lines} longer than {LINE_MAX} bytes not searched"))
    }
}

/// The matching lines of one file.
struct Hits<'a> {
    name: &'a str,
    long: &'a RefCell<Vec<u64>>,
    /// None if lines are only counted.
    rows: Option<&'a mut Rows>,
    lines: u64,
}

impl Sink for Hits<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let line = found.line_number().unwrap_or_default();
        // The start of a long line is no line: whether it matches says nothing.
        if !self.long.borrow().contains(&line) {
            self.lines += 1;
            self.add_row(line, found.bytes());
        }
        Ok(true)
    }
}

impl Hits<'_> {
    fn add_row(&mut self, line: u64, bytes: &[u8]) {
        let Some(rows) = &mut self.rows else { return };
        if rows.is_full() {
            rows.skip(1);
        } else {
            rows.push(&format!("{}:{line}: {}", self.name, row_text(bytes)));
        }
    }
}

/// A line without its end, cut between two graphemes with a mark.
fn row_text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Enough to see whether a grapheme ends at the border; the line may be megabytes long.
    let start = String::from_utf8_lossy(&line[..line.len().min(4 * ROW_TEXT_MAX)]);
    if line.len() <= ROW_TEXT_MAX {
        return start.into_owned();
    }
    let kept = cut(&start, ROW_TEXT_MAX);
    format!("{kept}... [line of {} bytes]", line.len())
}
