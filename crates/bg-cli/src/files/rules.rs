//! Which paths git ignores, from the ignore files inside the folder alone.
//!
//! The walkers of the `ignore` crate open `.gitignore` by name and so follow a link out of the folder,
//! or into a device that never ends. git does not follow one; neither does this.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::answer::Unread;

/// Far above any real one; a larger one is reported as not read.
const RULES_MAX: u64 = 1024 * 1024;

/// The ignore files that apply in one directory, those of the directories above it first.
pub(super) struct Rules {
    root: PathBuf,
    layers: Vec<Gitignore>,
    unread: Unread,
}

impl Rules {
    /// The rules above the root's own: what is ignored in this clone alone.
    pub(super) fn new(root: &Path) -> Rules {
        let mut rules =
            Rules { root: root.to_owned(), layers: Vec::new(), unread: Unread::default() };
        // A `.git` file or link leads out of the folder, so only a directory counts.
        let info = Path::new(".git/info");
        if [Path::new(".git"), info].iter().all(|dir| is_directory(&root.join(dir))) {
            rules.add(Path::new(""), &info.join("exclude"));
        }
        rules
    }

    /// Adds the rules of a directory, a path relative to the root.
    pub(super) fn enter(&mut self, dir: &Path) {
        self.add(dir, &dir.join(".gitignore"));
    }

    pub(super) fn leave(&mut self) {
        self.layers.pop();
    }

    pub(super) fn hides(&self, path: &Path, is_dir: bool) -> bool {
        // git refuses the name in any case, because some file systems do not tell them apart.
        if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".git")) {
            return true;
        }
        let path = self.root.join(path);
        let said = self.layers.iter().rev().map(|layer| layer.matched(&path, is_dir));
        said.into_iter()
            .find(|said| !said.is_none())
            .is_some_and(|said| matches!(said, Match::Ignore(_)))
    }

    pub(super) fn into_unread(self) -> Unread {
        self.unread
    }

    fn add(&mut self, dir: &Path, file: &Path) {
        let layer = read(&self.root.join(dir), &self.root.join(file)).unwrap_or_else(|_| {
            self.unread.add(file);
            Gitignore::empty()
        });
        self.layers.push(layer);
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

fn read(dir: &Path, file: &Path) -> io::Result<Gitignore> {
    match fs::symlink_metadata(file) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Ok(Gitignore::empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gitignore::empty()),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(RULES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RULES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    compile(dir, &bytes)
}

fn compile(dir: &Path, bytes: &[u8]) -> io::Result<Gitignore> {
    let text = String::from_utf8_lossy(bytes);
    let mut builder = GitignoreBuilder::new(dir);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // A line that is no glob matches nothing, as in git.
        let _ = builder.add_line(None, line);
    }
    builder.build().map_err(io::Error::other)
}
