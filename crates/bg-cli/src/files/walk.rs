//! The files below a place in the folder, in git's order, following no link.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::vec;

use super::answer::Unread;
use super::rules::Rules;

/// A file or a symbolic link, as git stores them; a link is not followed.
pub(super) struct Entry {
    /// From the folder.
    pub(super) name: PathBuf,
    pub(super) path: PathBuf,
    pub(super) is_link: bool,
}

struct Level {
    dir: PathBuf,
    names: vec::IntoIter<(OsString, FileType)>,
}

/// Yields files, and the names of directories that could not be read.
pub(super) struct Walk {
    root: PathBuf,
    rules: Rules,
    levels: Vec<Level>,
    unread: Option<PathBuf>,
}

impl Walk {
    /// Of a directory, with the rules that hold around it.
    pub(super) fn of_dir(root: &Path, rules: Rules, dir: PathBuf) -> Walk {
        let mut walk = Walk { root: root.to_owned(), rules, levels: Vec::new(), unread: None };
        walk.unread = walk.descend(dir).err();
        walk
    }

    /// Of one file, which `rules` do not hide.
    pub(super) fn of_file(root: &Path, rules: Rules, file: &Path, kind: FileType) -> Walk {
        let dir = file.parent().unwrap_or(Path::new("")).to_owned();
        let names =
            file.file_name().map(|name| (name.to_owned(), kind)).into_iter().collect::<Vec<_>>();
        let levels = vec![Level { dir, names: names.into_iter() }];
        Walk { root: root.to_owned(), rules, levels, unread: None }
    }

    /// Ignore files that could not be read on the way.
    pub(super) fn into_unread(self) -> Unread {
        self.rules.into_unread()
    }

    fn descend(&mut self, dir: PathBuf) -> Result<(), PathBuf> {
        let Ok(names) = sorted_names(&self.root.join(&dir)) else {
            return Err(dir);
        };
        self.rules.enter(&dir);
        self.levels.push(Level { dir, names: names.into_iter() });
        Ok(())
    }

    fn visit(&mut self, name: PathBuf, kind: FileType) -> Option<Result<Entry, PathBuf>> {
        if self.rules.hides(&name, kind.is_dir()) {
            return None;
        }
        if kind.is_dir() {
            return self.descend(name).err().map(Err);
        }
        // Sockets, pipes and devices cannot be in a repository, and opening one may block.
        let stored = kind.is_file() || kind.is_symlink();
        let path = self.root.join(&name);
        stored.then(|| Ok(Entry { name, path, is_link: kind.is_symlink() }))
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(dir) = self.unread.take() {
            return Some(Err(dir));
        }
        loop {
            let level = self.levels.last_mut()?;
            let Some((name, kind)) = level.names.next() else {
                self.levels.pop();
                self.rules.leave();
                continue;
            };
            let name = level.dir.join(name);
            if let Some(found) = self.visit(name, kind) {
                return Some(found);
            }
        }
    }
}

fn sorted_names(dir: &Path) -> io::Result<Vec<(OsString, FileType)>> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
    Ok(names)
}

/// git sorts whole paths by bytes, so a directory counts as its name with the slash that follows.
fn sort_key((name, kind): &(OsString, FileType)) -> impl Iterator<Item = u8> + '_ {
    let slash = kind.is_dir().then_some(b'/');
    name.as_encoded_bytes().iter().copied().chain(slash)
}
