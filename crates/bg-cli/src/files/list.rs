//! `ListFiles`: every file with its size, or one row a language.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Rows, Unread, name_of};
use super::error::FileError;
use super::folder::{Folder, Scope};
use super::language::language_of;
use super::size::{Size, Sum};
use super::walk::Entry;

const LIMIT: u32 = 200;
const LIMIT_MAX: u32 = 2000;
/// Made-up extensions cannot make the table grow past this; the rest is `other`.
const LANGUAGES_MAX: usize = 4096;

// The doc comments below are descriptions in the tool's schema: a model pays for every word, so the
// types and variants, which their names explain, have none.

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArgs {
    /// Directory or file, from the folder. Default: everything.
    pub(crate) path: Option<String>,
    /// Only paths that match, e.g. `*.rs` or `src/**/*.md`.
    pub(crate) glob: Option<String>,
    /// One row a language, most lines first, in place of one a file.
    pub(crate) group_by: Option<GroupBy>,
    /// Order of the files, the largest first. Default: path.
    pub(crate) sort_by: Option<SortBy>,
    /// Rows, default 200, at most 2000. Totals count all files.
    pub(crate) limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum GroupBy {
    Language,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum SortBy {
    #[default]
    Path,
    Size,
    Lines,
}

impl Folder {
    /// Lists the files below a path, with exact totals in the first line.
    ///
    /// # Errors
    ///
    /// If the path or the glob is not usable, or [`FileError::Stopped`]. A file that cannot be read
    /// is named in the answer.
    pub(crate) fn list(
        &self,
        args: &ListArgs,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, FileError> {
        let scope = Scope { path: args.path.as_deref(), glob: args.glob.as_deref() };
        let limit = args.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        match args.group_by {
            Some(GroupBy::Language) => self.list_languages(&scope, limit, stop),
            None => self.list_files(&scope, args.sort_by.unwrap_or_default(), limit, stop),
        }
    }

    fn list_files(
        &self,
        scope: &Scope<'_>,
        sort_by: SortBy,
        limit: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, FileError> {
        let (mut totals, mut first) = (Sum::default(), First::new(sort_by, limit));
        let unread = self.each_file(scope, stop, |entry| {
            let size = Size::of(entry, stop)?;
            totals.add(&size);
            first.add(name_of(&entry.name), size);
            size.unless_unread()
        })?;
        let mut rows = Rows::new(limit.into());
        for (name, size) in first.into_sorted() {
            rows.push(&size.row(&name));
        }
        rows.skip_to(totals.files);
        Ok(finish(&totals, rows, "path\tbytes\tlines\n", "file", &unread))
    }

    fn list_languages(
        &self,
        scope: &Scope<'_>,
        limit: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, FileError> {
        let (mut totals, mut languages) = (Sum::default(), BTreeMap::new());
        let unread = self.each_file(scope, stop, |entry| {
            let size = Size::of(entry, stop)?;
            totals.add(&size);
            sum_of(&mut languages, entry).add(&size);
            size.unless_unread()
        })?;
        let mut languages: Vec<(String, Sum)> = languages.into_iter().collect();
        // The sort is stable and the map was ordered: what is equal stays ordered by name.
        languages.sort_by_key(|(_, sum)| Reverse((sum.lines, sum.files)));
        let mut rows = Rows::new(limit.into());
        for (language, sum) in &languages {
            rows.push(&sum.row(language));
        }
        Ok(finish(&totals, rows, "language\tfiles\tlines\tbytes\n", "language", &unread))
    }
}

fn finish(totals: &Sum, rows: Rows, columns: &str, noun: &str, unread: &Unread) -> String {
    let nothing =
        (totals.files == 0).then(|| "nothing there: empty, ignored, or no match".to_owned());
    rows.finish(&totals.headline(), columns, noun, &[nothing, unread.note()])
}

fn sum_of<'a>(languages: &'a mut BTreeMap<String, Sum>, entry: &Entry) -> &'a mut Sum {
    let mut language =
        if entry.is_link { "symbolic link".to_owned() } else { language_of(&entry.name) };
    if languages.len() >= LANGUAGES_MAX && !languages.contains_key(&language) {
        "other".clone_into(&mut language);
    }
    languages.entry(language).or_default()
}

/// The first files in an order, out of any number, in memory for twice as many.
struct First {
    sort_by: SortBy,
    limit: usize,
    files: Vec<(String, Size)>,
}

impl First {
    fn new(sort_by: SortBy, limit: u32) -> First {
        First { sort_by, limit: limit as usize, files: Vec::new() }
    }

    fn add(&mut self, name: String, size: Size) {
        self.files.push((name, size));
        if self.files.len() >= 2 * self.limit {
            self.trim();
        }
    }

    /// Files come by path and the sort is stable, so equal ones stay in that order.
    fn trim(&mut self) {
        let sort_by = self.sort_by;
        self.files.sort_by_key(|(_, size)| match sort_by {
            SortBy::Path => Reverse(0),
            SortBy::Size => Reverse(size.bytes),
            SortBy::Lines => Reverse(size.lines.count()),
        });
        self.files.truncate(self.limit);
    }

    fn into_sorted(mut self) -> Vec<(String, Size)> {
        self.trim();
        self.files
    }
}
