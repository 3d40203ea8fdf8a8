//! From a path as a model writes it to a path inside the folder, without links.
//!
//! Every step is taken from a directory that is known to lie inside, and only names inside are looked
//! up: a step over the border is refused before anything is asked of the system. The standard
//! library's `canonicalize` would look first, and its error would tell whether the outside exists.

use std::ffi::OsString;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::answer::brief_name;
use super::error::FileError;

/// As many as Linux follows.
const LINKS_MAX: u32 = 40;
/// The longest path that Linux takes; a longer one names nothing.
const PATH_MAX: usize = 4096;

enum Step {
    Up,
    Down(OsString),
}

struct Resolver<'a> {
    root: &'a Path,
    given: &'a str,
    /// Relative to the root; no part of it is a link.
    here: PathBuf,
    /// The last one is taken next.
    ahead: Vec<Step>,
    links: u32,
}

/// The path inside `root` that `given` leads to, relative to it; `root` is canonical.
pub(super) fn resolve(root: &Path, given: &str) -> Result<PathBuf, FileError> {
    if given.contains('\0') {
        return Err(FileError::BadPath { path: brief_name(given) });
    }
    if given.len() > PATH_MAX {
        return Err(FileError::Missing { path: brief_name(given) });
    }
    let mut resolver = Resolver { root, given, here: PathBuf::new(), ahead: Vec::new(), links: 0 };
    resolver.plan(Path::new(given))?;
    while let Some(step) = resolver.ahead.pop() {
        resolver.take(step)?;
    }
    Ok(resolver.here)
}

impl Resolver<'_> {
    fn plan(&mut self, path: &Path) -> Result<(), FileError> {
        for part in path.components().rev() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => self.ahead.push(Step::Up),
                Component::Normal(name) => self.ahead.push(Step::Down(name.to_owned())),
                Component::RootDir | Component::Prefix(_) => return Err(self.outside()),
            }
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), FileError> {
        match step {
            // No part of `here` is a link, so its parent by name is its parent.
            Step::Up if self.here.pop() => Ok(()),
            Step::Up => Err(self.outside()),
            Step::Down(name) => self.enter(name),
        }
    }

    fn enter(&mut self, name: OsString) -> Result<(), FileError> {
        let path = self.root.join(&self.here).join(&name);
        let meta = fs::symlink_metadata(&path).map_err(|error| self.failed(error))?;
        if !meta.is_symlink() {
            self.here.push(name);
            return Ok(());
        }
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(FileError::TooManyLinks { path: brief_name(self.given) });
        }
        let target = fs::read_link(&path).map_err(|error| self.failed(error))?;
        self.follow(&target)
    }

    fn follow(&mut self, target: &Path) -> Result<(), FileError> {
        if !target.has_root() {
            return self.plan(target);
        }
        // An absolute link is inside only if it spells the folder's own path: another spelling may
        // pass through links outside, and those are not looked at.
        let inside = target.strip_prefix(self.root).map_err(|_| self.outside())?;
        self.here = PathBuf::new();
        self.plan(inside)
    }

    fn outside(&self) -> FileError {
        FileError::Outside { path: brief_name(self.given) }
    }

    fn failed(&self, source: Error) -> FileError {
        let path = brief_name(self.given);
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                FileError::Missing { path }
            }
            _ => FileError::Read { path, source },
        }
    }
}
