//! What a run leaves in a folder: outputs, traces, what models were asked and said, the document.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::result::TaskResult;
use super::transcript::Transcript;
use crate::secret::Secret;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error("cannot save to {}: {source}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot save to {}: there is something in it, and nothing is written over", .0.display())]
    NotEmpty(PathBuf),
}

/// A new folder of files. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct Save {
    folder: PathBuf,
    secret: Secret,
    /// Why not everything was saved: the first reason.
    problem: Arc<OnceLock<String>>,
}

impl Save {
    /// Makes the folder, or takes one that is empty.
    pub(crate) fn new(folder: &Path, secret: Secret) -> Result<Self, SaveError> {
        let wrong = |source| SaveError::Folder { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(wrong)?;
        if std::fs::read_dir(folder).map_err(wrong)?.next().is_some() {
            return Err(SaveError::NotEmpty(folder.to_owned()));
        }
        // A relative one is not to follow where somebody goes.
        let folder = std::fs::canonicalize(folder).map_err(wrong)?;
        Ok(Self { folder, secret, problem: Arc::default() })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves what a task said or wrote, and its trace if it has one.
    pub(crate) fn result(&self, name: &str, result: &TaskResult) {
        self.write(&format!("{name}.output.txt"), &result.output);
        let trace = result.finished.trace();
        if !trace.is_empty() {
            self.write(&format!("{name}.trace.txt"), &format!("{}\n", trace.join("\n")));
        }
    }

    /// Saves the document of the run.
    pub(crate) fn document(&self, document: &str) {
        self.write("report.json", &format!("{document}\n"));
    }

    /// Begins to save what a model is asked and says.
    pub(crate) fn transcript(&self, name: &str) -> Transcript {
        Transcript::new(format!("{name}.transcript.jsonl"), self.clone())
    }

    /// Returns why not everything was saved, if it was not.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.get().map(String::as_str)
    }

    /// Writes a whole file.
    fn write(&self, name: &str, text: &str) {
        let text = self.secret.hidden_in(text);
        let written = self.new_file(name).and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            self.failed(name, &error);
        }
    }

    /// Adds a line to a file that was made for that.
    pub(super) fn line(&self, name: &str, file: &File, line: &str) {
        let line = format!("{}\n", self.secret.hidden_in(line));
        // In one piece to the end: those that write at the same time need no lock.
        let mut file = file;
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failed(name, &error);
        }
    }

    /// Makes a file for lines.
    pub(super) fn lines(&self, name: &str) -> Option<File> {
        self.new_file(name).map_err(|error| self.failed(name, &error)).ok()
    }

    /// The folder was empty, so what is there by now is somebody else's.
    fn new_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).open(self.folder.join(name))
    }

    fn failed(&self, name: &str, error: &io::Error) {
        let _ = self.problem.set(format!("{name}: {error}"));
    }
}
