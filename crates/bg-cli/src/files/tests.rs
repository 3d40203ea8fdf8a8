//! A throw-away tree of files, a git that ignores the machine's settings, and what both should say.

mod answers;
mod confinement;
mod counts;
mod listing;
mod reading;
mod searching;

use std::path::Path;
use std::process::Command;
use std::{fs, str};

use tempfile::TempDir;

use super::{FileError, Folder, ListArgs, ReadArgs, SearchArgs};

/// A folder at `inside`, beside which a test can put what must not be seen.
pub(super) struct Tree {
    dir: TempDir,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(tree.root()).unwrap();
        for (name, text) in files {
            tree.write(name, text);
        }
        tree
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("inside")
    }

    fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[cfg(unix)]
    fn link(&self, name: &str, target: impl AsRef<Path>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn folder(&self) -> Folder {
        Folder::open(self.root()).unwrap()
    }

    fn list(&self, args: &str) -> String {
        self.try_list(args).unwrap()
    }

    fn try_list(&self, args: &str) -> Result<String, FileError> {
        let args: ListArgs = serde_json::from_str(args).unwrap();
        self.folder().list(&args, &|| false)
    }

    fn read(&self, path: &str) -> String {
        self.try_read(path).unwrap()
    }

    fn try_read(&self, path: &str) -> Result<String, FileError> {
        self.read_from(path, None, None)
    }

    fn read_from(
        &self,
        path: &str,
        from_line: Option<u64>,
        max_lines: Option<u32>,
    ) -> Result<String, FileError> {
        self.folder().read(&ReadArgs { path: path.to_owned(), from_line, max_lines }, &|| false)
    }

    fn search(&self, pattern: &str) -> String {
        self.try_search(&SearchArgs { pattern: pattern.to_owned(), ..SearchArgs::default() })
            .unwrap()
    }

    fn count(&self, pattern: &str) -> String {
        let args =
            SearchArgs { pattern: pattern.to_owned(), count_only: true, ..SearchArgs::default() };
        self.try_search(&args).unwrap()
    }

    fn try_search(&self, args: &SearchArgs) -> Result<String, FileError> {
        self.folder().search(args, &|| false)
    }

    /// Commits everything that is not ignored and clones it to `clone`, a clean one.
    fn clone_of_all(&self) -> std::path::PathBuf {
        let (root, clone) = (self.root(), self.dir.path().join("clone"));
        git(&root, &["init", "-q"]);
        git(&root, &["add", "."]);
        git(&root, &["commit", "-q", "-m", "all"]);
        git(self.dir.path(), &["clone", "-q", "inside", "clone"]);
        clone
    }
}

fn git(dir: &Path, args: &[&str]) -> Vec<u8> {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.autocrlf=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    // `git grep` without a match ends with 1.
    let failed = !done.status.success() && !done.stderr.is_empty();
    assert!(!failed, "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The first column of a table, without the totals, the head and the notes.
fn first_column(answer: &str) -> Vec<&str> {
    answer.lines().skip(2).filter_map(|row| row.split_once('\t')).map(|(first, _)| first).collect()
}

#[track_caller]
fn check(answer: &str, expected: &[&str]) {
    assert_eq!(answer.lines().collect::<Vec<_>>(), expected);
}

#[track_caller]
fn check_error<T: std::fmt::Debug>(result: Result<T, FileError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}
