//! What a caller says about a task when it starts one.

use std::time::Duration;

use crate::id::Kind;
use crate::text;

/// Says what a task is: its kind, a label for humans, what it was asked, how it is stopped.
///
/// The prompt is kept whole, however long it is: it is what the task works on.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_core::{Kind, Task};
///
/// let task = Task::agent("explore", "find all tests").grace(Duration::from_secs(2));
/// assert_eq!(task.kind(), Kind::AGENT);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a task does nothing until it is given to `Scope::spawn` or `Scope::register`"]
pub struct Task {
    pub(crate) kind: Kind,
    pub(crate) label: String,
    pub(crate) prompt: String,
    pub(crate) grace: Duration,
}

impl Task {
    /// How long a stopped task that asked for its token may go on before it is aborted.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// Longest label that is kept, in bytes; of a longer one the rest is counted.
    pub const MAX_LABEL_BYTES: usize = 160;

    /// Describes a task of kind [`Kind::TASK`].
    pub fn new(label: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self::of_kind(Kind::TASK, label, prompt)
    }

    /// Describes a run of a sub-agent.
    pub fn agent(label: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self::of_kind(Kind::AGENT, label, prompt)
    }

    /// Describes a child process by its command.
    pub fn process(label: impl Into<String>, command: impl Into<String>) -> Self {
        Self::of_kind(Kind::PROCESS, label, command)
    }

    /// Describes a task of the given kind.
    pub fn of_kind(kind: Kind, label: impl Into<String>, prompt: impl Into<String>) -> Self {
        let label = text::cut(label.into(), Self::MAX_LABEL_BYTES);
        Self { kind, label, prompt: prompt.into(), grace: Self::DEFAULT_GRACE }
    }

    /// Sets how long it may go on after a stop before it is aborted.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// What a list shows of a task: live, or ended and not delivered yet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The id.
    pub id: crate::TaskId,
    /// The short name that the task was given.
    pub label: String,
    /// What it was asked to do.
    pub prompt: String,
    /// What it is doing.
    pub status: crate::Status,
    /// Time since spawn, until its end.
    pub age: Duration,
    /// Its latest trace line.
    pub last_trace: Option<String>,
    /// Bytes that it has written to its output log.
    pub output_bytes: u64,
    /// How a process exited, once it has.
    pub exit: Option<crate::Exit>,
    /// Why there is no complete output, once the task has ended without one.
    pub reason: Option<String>,
}
