//! Why a process could not be started, or kept.

use std::io;
use std::path::{Path, PathBuf};

use bg_core::SpawnError;

use crate::receipt::Containment;

/// A process could not be started, or what kept it was lost.
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
    /// The program may not be run: it is not marked as one, or the host's user may not reach it.
    #[error("no permission to run \"{}\"", program.display())]
    PermissionDenied {
        /// The program.
        program: PathBuf,
    },
    /// The file is marked as a program, and the system does not know how to run it.
    #[error("the system cannot run what is in \"{}\"", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
    },
    /// The working directory is not there, is not a directory, or may not be entered.
    #[error("cannot run in \"{}\"", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Arguments and variables are more than the system passes to a program.
    #[error("the arguments and variables are too long")]
    TooLong(#[source] io::Error),
    /// Somebody has the program open for writing, still after a few attempts.
    #[error("\"{}\" is being written", program.display())]
    TextBusy {
        /// The program.
        program: PathBuf,
    },
    /// There are too many processes, or there is too little memory for another one.
    #[error("the system has no room for another process")]
    ForkLimit(#[source] io::Error),
    /// The system did not start it for another reason.
    #[error("the system did not start \"{}\"", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What the process was to be contained by cannot be had here; see
    /// [`guard_status`](crate::guard_status).
    #[error("there is no containment by {wanted:?} here")]
    Containment {
        /// What was asked for.
        wanted: Containment,
    },
    /// The guard could not be started.
    #[error("the guard could not be started")]
    Guard(#[source] io::Error),
    /// The guard, or the part of it that kept this process, was killed or does not answer. What it
    /// kept is killed with it.
    #[error("the guard of the process died")]
    GuardDied(#[source] io::Error),
    /// The system does not tell of the process's end.
    #[error("cannot watch the process")]
    Watch(#[source] io::Error),
    /// The scope takes no new task.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

/// What can go wrong with a child, before it is said of which program.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The system did not start it.
    Io(io::Error),
    /// The system let nobody see its end.
    Watch(io::Error),
    #[cfg(target_os = "linux")]
    Failed(crate::guard::wire::Failed),
    #[cfg(target_os = "linux")]
    Guard(io::Error),
    /// The guard, or what kept the child, is not there any more.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no guard"))]
    GuardDied(io::Error),
    Containment,
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl StartError {
    /// Returns whether somebody was writing the program: that passes.
    pub(crate) fn is_text_busy(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::ExecutableFileBusy,
            #[cfg(target_os = "linux")]
            Self::Failed(failed) => failed.error().kind() == io::ErrorKind::ExecutableFileBusy,
            _ => false,
        }
    }

    /// Says it of a program, and the folder that it was to run in.
    pub(crate) fn of(
        self,
        program: &Path,
        folder: Option<&Path>,
        wanted: Option<Containment>,
    ) -> ProcessError {
        match self {
            Self::Io(error) => system_said(error, program, folder),
            Self::Watch(error) => ProcessError::Watch(error),
            Self::Containment => {
                ProcessError::Containment { wanted: wanted.unwrap_or(Containment::UNGUARDED) }
            }
            #[cfg(target_os = "linux")]
            Self::Failed(failed) if failed.step == crate::guard::wire::Step::Folder => {
                let path = folder.unwrap_or(Path::new(".")).to_owned();
                ProcessError::Directory { path, source: failed.error() }
            }
            #[cfg(target_os = "linux")]
            Self::Failed(failed) => system_said(failed.error(), program, None),
            #[cfg(target_os = "linux")]
            Self::Guard(error) => ProcessError::Guard(error),
            Self::GuardDied(error) => ProcessError::GuardDied(error),
        }
    }
}

/// What the system calls an error of `exec` for a file of no known kind, on Unix.
const ENOEXEC: i32 = 8;

fn system_said(source: io::Error, program: &Path, folder: Option<&Path>) -> ProcessError {
    // The standard library does not tell which of its steps failed.
    if let Some(error) = folder.and_then(|folder| check_directory(folder).err()) {
        return error;
    }
    let program = program.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ProcessError::NotFound { program },
        io::ErrorKind::PermissionDenied => ProcessError::PermissionDenied { program },
        io::ErrorKind::ArgumentListTooLong => ProcessError::TooLong(source),
        io::ErrorKind::ExecutableFileBusy => ProcessError::TextBusy { program },
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => ProcessError::ForkLimit(source),
        _ if cfg!(unix) && source.raw_os_error() == Some(ENOEXEC) => {
            ProcessError::NotExecutable { program }
        }
        _ => ProcessError::Start { program, source },
    }
}

/// Returns the error that a process would meet in this directory, if there is one.
pub(crate) fn check_directory(path: &Path) -> Result<(), ProcessError> {
    let bad = |source| ProcessError::Directory { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(bad)?;
    if metadata.is_dir() {
        return Ok(());
    }
    Err(bad(io::ErrorKind::NotADirectory.into()))
}
