//! A copy of the work tree that may be patched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::repo::{Repo, Result};

pub(super) struct Tree {
    root: PathBuf,
    from: PathBuf,
}

impl Tree {
    /// Makes the copy the same as the work tree, and leaves alone what is the same already: what
    /// cargo has built of it stays valid.
    pub(super) fn copy(repo: &Repo, root: &Path) -> Result<Self> {
        let files = repo.files()?;
        for file in &files {
            update(&repo.root().join(file), &root.join(file))?;
        }
        let tree = Self { root: root.to_owned(), from: repo.root().to_owned() };
        tree.remove_all_but(&files)?;
        Ok(tree)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Replaces a text that occurs once.
    pub(super) fn edit(&self, file: &str, from: &str, to: &str) -> Result {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path)?;
        match text.matches(from).count() {
            1 => Ok(fs::write(path, text.replacen(from, to, 1))?),
            count => Err(format!("{file} has {count} times {from:?}").into()),
        }
    }

    pub(super) fn restore(&self, file: &str) -> Result {
        update(&self.from.join(file), &self.root.join(file))
    }

    /// Removes what the work tree does not have any more.
    fn remove_all_but(&self, files: &[String]) -> Result {
        let wanted: BTreeSet<PathBuf> = files.iter().map(|file| self.root.join(file)).collect();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !wanted.contains(&path) && !path.ends_with("Cargo.lock") {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

/// Copies a file unless the copy is the same.
fn update(from: &Path, to: &Path) -> Result {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    Ok(fs::write(to, bytes)?)
}
