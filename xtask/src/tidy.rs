//! `cargo xtask tidy`: what the text of sources and documents has to be like.
//!
//! Reads every Rust file under `src`, `tests`, `fixtures`, `examples` and `benches` of the crates and of
//! xtask, in a stable order; paths in messages have `/` between their parts on every platform.

use std::fs;
use std::path::{Path, PathBuf};

use crate::planted;
use crate::repo::{Repo, Result, conclude};

mod binaries;
mod rules;

/// Documents whose promises name the tests that keep them.
const NAMING_TESTS: &[&str] = &["docs/guarantees.md", "docs/parity.md"];

/// Folders of a crate that hold its Rust sources; others (build output) are not read.
const SOURCE_FOLDERS: &[&str] = &["src", "tests", "fixtures", "examples", "benches"];

/// A text file; the path is relative to the root.
struct Source {
    path: String,
    text: String,
}

pub(crate) fn run(repo: &Repo) -> Result {
    let sources = sources(repo.root())?;
    let mut findings: Vec<String> = sources.iter().flat_map(rules::source).collect();
    findings.extend(binaries::forgotten(&sources, |path| repo.read(path)));
    for path in NAMING_TESTS {
        findings.extend(document(repo, path));
    }
    findings.extend(planted::findings(|path| repo.read(path)));
    conclude("tidy", &format!("{} files", sources.len()), &findings)
}

fn document(repo: &Repo, path: &str) -> Vec<String> {
    let Some(text) = repo.read(path) else {
        return vec![format!(
            "{path} is missing: restore it, or take it out of `NAMING_TESTS` in xtask/src/tidy.rs"
        )];
    };
    let document = Source { path: path.to_owned(), text };
    rules::named_tests(&document, |file| repo.read(file))
}

fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut folders = entries(&root.join("crates"))?;
    folders.push(root.join("xtask"));
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for name in SOURCE_FOLDERS {
            rust_files(&folder.join(name), &mut files)?;
        }
    }
    files.iter().map(|file| load(root, file)).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in entries(folder)? {
        if entry.is_dir() {
            rust_files(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

fn load(root: &Path, file: &Path) -> Result<Source> {
    let parts = file.strip_prefix(root)?.iter();
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    let path = parts.join("/");
    let text = fs::read_to_string(file).map_err(|error| format!("{path}: {error}"))?;
    Ok(Source { path, text })
}
