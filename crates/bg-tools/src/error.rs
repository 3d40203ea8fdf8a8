//! Errors that a model reads.

use std::time::Duration;

use bg_core::{ClaimError, Failure, ResolveError, SendError, SpawnError, TaskError, text};

use crate::hidden;

/// A tool call did not work. The text is made for a model: it says what was wrong and what would
/// be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// No tool has this name.
    #[error("unknown tool \"{name}\"; {known}")]
    UnknownTool {
        /// What was called, cut and escaped.
        name: String,
        /// What could have been, in words.
        known: String,
    },
    /// The arguments are not JSON, or have a key twice in one object.
    #[error("{tool}: invalid JSON in the arguments: {source}")]
    InvalidJson {
        /// The tool.
        tool: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The arguments are larger or nested deeper than anything a tool needs.
    #[error("{tool}: the arguments are too {what}: at most {limit} are taken")]
    TooBig {
        /// The tool.
        tool: String,
        /// What is too much: `long` or `deep`.
        what: &'static str,
        /// How much there may be, with its unit.
        limit: &'static str,
    },
    /// The arguments do not fit the schema.
    #[error("{tool}: {problem}")]
    Arguments {
        /// The tool.
        tool: String,
        /// The field, what was wrong with it, and what would be right.
        problem: String,
    },
    /// The text is not the id of one of the caller's tasks.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The task cannot be touched by the caller.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The outcome cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The message was not sent.
    #[error("not sent: {0}")]
    Send(#[from] SendError),
    /// A task could not be started.
    #[error("could not start: {0}")]
    Spawn(#[from] SpawnError),
    /// The call took longer than it may.
    #[error("{tool} did not answer within {} s and was given up", deadline.as_secs_f64())]
    Deadline {
        /// The tool.
        tool: String,
        /// How long it could have taken.
        deadline: Duration,
    },
    /// The tool panicked.
    #[error("{tool} broke: {message}")]
    Panicked {
        /// The tool.
        tool: String,
        /// What the panic said.
        message: String,
    },
    /// The tool did what it could and failed.
    #[error("{0}")]
    Failed(Failure),
}

impl ToolError {
    /// Longest text of an error that a model gets, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Makes an error of the tool's own.
    pub fn failed(failure: impl Into<Failure>) -> Self {
        Self::Failed(failure.into())
    }

    /// Makes an error about an argument.
    pub fn argument(tool: &str, problem: impl Into<String>) -> Self {
        Self::Arguments { tool: tool.to_owned(), problem: problem.into() }
    }

    /// Returns the text for the model, at most [`MAX_BYTES`](Self::MAX_BYTES) long. What a panic or a
    /// failure says is foreign text: hidden characters in it are written as escapes.
    pub fn to_text(&self) -> String {
        const MARK_BYTES: usize = 40;
        let text = self.to_string();
        let text = hidden::escaped(&text);
        text::excerpt(&text, Self::MAX_BYTES - MARK_BYTES)
    }
}
