//! Why a file operation gave no answer.

use std::io;

/// Names a path only as the caller gave it, escaped and cut; says nothing about what lies outside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The path, or a link on it, leaves the folder.
    #[error("`{path}` is outside the folder: paths are relative to it and stay in it")]
    Outside { path: String },
    /// The path holds a NUL byte.
    #[error("`{path}` is not a path: it has a NUL byte")]
    BadPath { path: String },
    /// Nothing has this name, or a part of the path before its end is not a directory.
    #[error("no such file: `{path}`")]
    Missing { path: String },
    /// git's own data, or ignored by a `.gitignore`.
    #[error("`{path}` is ignored by git and cannot be read here")]
    Ignored { path: String },
    /// Links that lead to links without end.
    #[error("too many symbolic links on the way to `{path}`")]
    TooManyLinks { path: String },
    /// A directory where a file is wanted.
    #[error("`{path}` is a directory: use ListFiles")]
    Directory { path: String },
    /// A socket, a pipe or a device.
    #[error("`{path}` is not a regular file")]
    NotRegular { path: String },
    /// Text was wanted.
    #[error("`{path}` is a binary file of {bytes} bytes")]
    Binary { path: String, bytes: u64 },
    /// The system refused.
    #[error("cannot read `{path}`: {}", source.kind())]
    Read { path: String, source: io::Error },
    /// The folder itself cannot be used.
    #[error("cannot open the folder `{path}`: {}", source.kind())]
    Open { path: String, source: io::Error },
    /// The regular expression does not parse or is too large.
    #[error("bad pattern: {}", super::answer::brief(&source.to_string()))]
    BadPattern { source: grep_regex::Error },
    /// The glob does not parse.
    #[error("bad glob: {}", super::answer::brief(&source.to_string()))]
    BadGlob { source: globset::Error },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}
