//! Outputs that are too long for the screen, in files.

use std::io;
use std::path::{Path, PathBuf};

use bg_agents::core::TaskId;

/// A file with a whole output, for whoever wants to read on. It is left where it is.
pub(crate) struct Rest(PathBuf);

impl Rest {
    /// Saves an output to a new file in the system's folder for such things; nothing if that cannot
    /// be written to.
    pub(crate) fn save(id: TaskId, output: &str) -> Option<Self> {
        let save = || -> io::Result<PathBuf> {
            let prefix = format!("bg-{}-{}-", id.kind(), id.number());
            let mut file = tempfile::Builder::new().prefix(&prefix).suffix(".txt").tempfile()?;
            io::Write::write_all(&mut file, output.as_bytes())?;
            Ok(file.into_temp_path().keep()?)
        };
        save().ok().map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}
