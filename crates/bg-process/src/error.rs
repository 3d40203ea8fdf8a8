//! Why a process could not be started.

use std::io;
use std::path::PathBuf;

use bg_core::SpawnError;

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// An argument, a variable or a path has a NUL byte in it.
    #[error("{what} has a NUL byte in it")]
    NulByte {
        /// What has it.
        what: &'static str,
    },
    /// There is no such program.
    #[error("there is no program \"{}\"", program.display())]
    NotFound {
        /// What was looked for.
        program: PathBuf,
    },
    /// The working directory is not there, or is not a directory.
    #[error("cannot run in \"{}\"", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The scope takes no new task.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The system did not start it: no permission, too long an argument list, too many processes.
    #[error("the system did not start \"{}\"", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system does not tell of the process's end.
    #[error("cannot watch the process")]
    Watch(#[source] io::Error),
}
