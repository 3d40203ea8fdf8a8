//! The repository that the commands work on.
//!
//! - Paths are relative to its root, wherever the command was started.
//! - Child cargos are the cargo that built `xtask`, so one run uses one toolchain.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use xshell::{Cmd, Shell};

/// What a command ends with; the error is shown to a person and has no other reader.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

pub(crate) struct Repo {
    shell: Shell,
    cargo: OsString,
    root: PathBuf,
}

impl Repo {
    pub(crate) fn open() -> Result<Self> {
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::at(manifest_dir.parent().ok_or("xtask has no parent folder")?)
    }

    /// A copy of the repository in another folder.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        let shell = Shell::new()?;
        shell.change_dir(root);
        Ok(Self {
            shell,
            cargo: env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()),
            root: root.to_owned(),
        })
    }

    /// A cargo call at the root; `line` is split at spaces.
    pub(crate) fn cargo(&self, line: &str) -> Cmd<'_> {
        self.shell.cmd(&self.cargo).args(line.split(' '))
    }

    /// A call of another program at the root; `line` is split at spaces.
    pub(crate) fn command(&self, program: &str, line: &str) -> Cmd<'_> {
        self.shell.cmd(program).args(line.split_whitespace())
    }

    /// Starts a call of the nightly toolchain's cargo, if rustup has one.
    pub(crate) fn nightly_cargo(&self, line: &str) -> Cmd<'_> {
        self.shell.cmd("cargo").arg("+nightly").args(line.split(' '))
    }

    /// The files that git knows or would know, those that were changed as they are now.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let git = self.shell.cmd("git").args("ls-files -co --exclude-standard".split(' '));
        let listed = git.quiet().read()?;
        let there = |path: &&str| self.root.join(path).is_file();
        Ok(listed.lines().filter(there).map(str::to_owned).collect())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file, `None` when there is no such file.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// Ends a check: one line when nothing was found, else every finding and an error.
pub(crate) fn conclude(check: &str, looked_at: &str, findings: &[String]) -> Result {
    if findings.is_empty() {
        println!("{check}: ok, {looked_at}");
        return Ok(());
    }
    for finding in findings {
        eprintln!("{check}: {finding}");
    }
    Err(format!("{check} found {} to fix", findings.len()).into())
}

/// Exactly one finding, with each of these words in it; none when there are no words.
#[cfg(test)]
#[track_caller]
pub(crate) fn check(findings: &[String], words: &[&str]) {
    let expected = usize::from(!words.is_empty());
    assert_eq!(findings.len(), expected, "{findings:?}");
    for word in words {
        assert!(findings[0].contains(word), "no {word:?} in {findings:?}");
    }
}
