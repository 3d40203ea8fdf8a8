//! The folder, and the two ways into it: one path, or all files below one.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::answer::{Unread, brief_name};
use super::error::FileError;
use super::resolve::resolve;
use super::rules::Rules;
use super::walk::{Entry, Walk};

/// A folder whose files can be listed, read and searched, and nothing else.
///
/// Each call opens the files anew; nothing is kept between two calls.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Canonical.
    root: PathBuf,
}

/// What a path leads to: something in the folder that git does not ignore.
pub(super) struct Place {
    /// From the folder, without links.
    pub(super) name: PathBuf,
    pub(super) path: PathBuf,
    pub(super) meta: Metadata,
    rules: Rules,
}

/// Which files one call looks at.
pub(super) struct Scope<'a> {
    pub(super) path: Option<&'a str>,
    pub(super) glob: Option<&'a str>,
}

impl Folder {
    /// Opens a directory by any path, links included: the caller is trusted.
    ///
    /// # Errors
    ///
    /// [`FileError::Open`] if it does not exist, is not a directory or cannot be resolved.
    pub(crate) fn open(path: impl AsRef<Path>) -> Result<Folder, FileError> {
        let path = path.as_ref();
        let failed = |source| FileError::Open { path: brief_name(&path.to_string_lossy()), source };
        let root = path.canonicalize().map_err(failed)?;
        if !root.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Folder { root })
    }

    /// Where the folder is, without links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Follows a path from the folder, if it stays inside and is not ignored.
    pub(super) fn locate(&self, given: &str) -> Result<Place, FileError> {
        let name = resolve(&self.root, given)?;
        let path = self.root.join(&name);
        let meta = fs::symlink_metadata(&path)
            .map_err(|source| FileError::Read { path: brief_name(given), source })?;
        let rules = self
            .rules_around(&name, meta.is_dir())
            .ok_or_else(|| FileError::Ignored { path: brief_name(given) })?;
        Ok(Place { name, path, meta, rules })
    }

    /// The rules of all directories above `name`; `None` if it or one of them is ignored.
    fn rules_around(&self, name: &Path, is_dir: bool) -> Option<Rules> {
        let mut rules = Rules::new(&self.root);
        let mut here = PathBuf::new();
        for part in name {
            rules.enter(&here);
            here.push(part);
            if rules.hides(&here, is_dir || here != name) {
                return None;
            }
        }
        Some(rules)
    }

    /// Shows each file of the scope to `see`, in git's order; what fails is noted, not an error.
    pub(super) fn each_file(
        &self,
        scope: &Scope<'_>,
        stop: &dyn Fn() -> bool,
        mut see: impl FnMut(&Entry) -> io::Result<()>,
    ) -> Result<Unread, FileError> {
        let glob = scope.glob.filter(|glob| !glob.is_empty()).map(glob_of).transpose()?;
        let mut walk = self.walk(scope.path.unwrap_or_default())?;
        let mut failed = Unread::default();
        while !stop() {
            let Some(found) = walk.next() else {
                return Ok(walk.into_unread().and(failed));
            };
            match found {
                Err(dir) => failed.add(&dir),
                Ok(entry) if glob.as_ref().is_some_and(|glob| !glob.is_match(&entry.name)) => {}
                Ok(entry) => see(&entry).unwrap_or_else(|_| failed.add(&entry.name)),
            }
        }
        Err(FileError::Stopped)
    }

    fn walk(&self, given: &str) -> Result<Walk, FileError> {
        let place = self.locate(given)?;
        Ok(if place.meta.is_dir() {
            Walk::of_dir(&self.root, place.rules, place.name)
        } else {
            Walk::of_file(&self.root, place.rules, &place.name, place.meta.file_type())
        })
    }
}

/// As in `.gitignore`: a glob without a slash is one over file names, at any depth.
fn glob_of(given: &str) -> Result<GlobMatcher, FileError> {
    let given = given.strip_prefix("./").unwrap_or(given).trim_start_matches('/');
    let anywhere = if given.contains('/') { "" } else { "**/" };
    let glob = GlobBuilder::new(&format!("{anywhere}{given}")).literal_separator(true).build();
    Ok(glob.map_err(|source| FileError::BadGlob { source })?.compile_matcher())
}
