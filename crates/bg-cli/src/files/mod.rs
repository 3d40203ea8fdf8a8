//! Read-only, bounded access to one folder: what the built-in agents of `bg run --path` can see.
//!
//! # What holds
//!
//! - A path leads to a file of the folder or to an error. Links are resolved here, step by step, and
//!   a path or link that leaves the folder ends at the border: nothing outside is looked at, so no
//!   answer can tell what is there.
//! - The files are those of `git ls-files` in a clean clone: hidden files too, `.git` and what
//!   `.gitignore` names not. This is one rule for all three operations: what is not listed is not read.
//! - An answer is at most 64 KiB, whatever the folder holds; what is cut is counted. Totals count everything.
//! - A file is streamed. Memory is bounded by the longest line that is searched (8 MiB), the rows of
//!   an answer, and the entries of the directories on the way to one file.
//! - A file name cannot forge a row: control and bidirectional characters are escaped.
//!
//! # What does not
//!
//! - Nothing holds against someone who changes the folder in the meantime: a directory that turns
//!   into a link between the check and the open is followed.
//! - git's index is not read: a file that is tracked although ignored is left out, and one that is
//!   neither tracked nor ignored is in. The files of a checked-out submodule are in.
//! - Text is data and is handed over raw, except that invalid UTF-8 is replaced. UTF-16 counts as binary.
//! - A file whose name is not UTF-8 is listed and searched, but has no spelling that reads it.

mod answer;
mod error;
mod folder;
mod language;
mod list;
mod long_lines;
mod read;
mod resolve;
mod rules;
mod search;
mod size;
#[cfg(test)]
mod tests;
mod text;
mod walk;

pub(crate) use answer::ANSWER_MAX;
pub(crate) use error::FileError;
pub(crate) use folder::Folder;
pub(crate) use list::ListArgs;
pub(crate) use read::ReadArgs;
pub(crate) use search::SearchArgs;
