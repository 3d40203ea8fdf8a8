//! Definitions in a folder, one file each.
//!
//! # Guarantee
//!
//! A file holds the old definition or the new one, whole, wherever a write is interrupted: it is
//! written beside its place, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::spec::AgentSpec;

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// How a file of ours ends.
const SUFFIX: &str = "json";

/// A folder of definitions.
#[derive(Clone, Debug)]
pub(crate) struct AgentFolder(PathBuf);

/// A file in a folder of definitions that is none, and was left where it is.
#[derive(Debug, thiserror::Error)]
#[error("{} was skipped: {problem}", path.display())]
#[non_exhaustive]
pub struct SkippedFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// What was in a folder.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) specs: Vec<(AgentSpec, PathBuf)>,
    pub(crate) skipped: Vec<SkippedFile>,
}

impl AgentFolder {
    /// Opens a folder; makes it if it is not there.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Reads what is there, by name of file.
    pub(crate) fn load(&self) -> io::Result<Loaded> {
        let entries = fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|suffix| suffix == SUFFIX));
        paths.sort();
        let mut loaded = Loaded::default();
        for path in paths {
            match self.read(&path) {
                Ok(spec) => loaded.specs.push((spec, path)),
                Err(problem) => loaded.skipped.push(SkippedFile { path, problem }),
            }
        }
        Ok(loaded)
    }

    fn read(&self, path: &Path) -> Result<AgentSpec, String> {
        let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if size > MAX_FILE_BYTES {
            return Err(format!("{size} bytes, more than {MAX_FILE_BYTES}"));
        }
        let text = fs::read(path).map_err(|error| error.to_string())?;
        let spec: AgentSpec = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        spec.check().map_err(|error| error.to_string())?;
        if self.path_of(&spec.name) != path {
            return Err(format!("it defines \"{}\", which is another file's", spec.name));
        }
        Ok(spec)
    }

    /// Writes a definition.
    pub(crate) fn write(&self, spec: &AgentSpec) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(spec)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            let problem =
                format!("a definition of {} bytes, more than {MAX_FILE_BYTES}", text.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        let beside = self.0.join(format!("{}.{}.part", spec.name, std::process::id()));
        let written = write_synced(&beside, &text)
            .and_then(|()| fs::rename(&beside, self.path_of(&spec.name)))
            .and_then(|()| self.sync());
        // Nothing is left of one that did not get there.
        written.inspect_err(|_| drop(fs::remove_file(&beside)))
    }

    /// Removes a definition; returns whether there was one.
    pub(crate) fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.path_of(name)) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A name of an agent is letters, digits and underscores.
    fn path_of(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.{SUFFIX}"))
    }

    /// A rename is on the disk when its folder is.
    fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.0)?.sync_all() } else { Ok(()) }
    }
}

fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}
