//! Errors, one enum for each boundary. Messages are fragments that fit "could not ...: {error}".

use crate::claim::Delivered;
use crate::id::{Kind, ParseIdError, TaskId, TaskRef};
use crate::limits::LimitKind;
use crate::status::Status;

/// A task could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The registry is gone, or the scope is closed, cancelled or ended.
    #[error("the scope is closed")]
    Closed,
    /// The kind was not registered with the registry.
    #[error("the kind \"{0}\" is not registered")]
    UnknownKind(Kind),
    /// The caller is not inside a tokio runtime.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// The root has used up its numbers.
    #[error("the root has no task number left")]
    NumbersExhausted,
    /// A limit of the host's is reached.
    #[error("the limit of {value} {limit} is reached")]
    Limit {
        /// Which one.
        limit: LimitKind,
        /// Its value.
        value: u64,
    },
}

/// A task cannot be touched by this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// There is no such task in this root, or it is not kept any more.
    #[error("no background task with id {0}")]
    NotFound(DisplayRef),
    /// The task belongs to another scope of this root.
    #[error("task {0} is not owned by this caller")]
    Forbidden(DisplayRef),
    /// A task cannot wait for itself or for one above it: neither would end.
    #[error("task {0} cannot be waited for by itself or by a task below it")]
    WaitsForItself(DisplayRef),
    /// The registry is gone.
    #[error("the registry is closed")]
    Closed,
}

impl TaskError {
    pub(crate) fn waits_for_itself(task: impl Into<TaskRef>) -> Self {
        Self::WaitsForItself(DisplayRef(task.into()))
    }

    pub(crate) fn not_found(task: impl Into<TaskRef>) -> Self {
        Self::NotFound(DisplayRef(task.into()))
    }

    pub(crate) fn forbidden(task: impl Into<TaskRef>) -> Self {
        Self::Forbidden(DisplayRef(task.into()))
    }
}

/// Shows a [`TaskRef`] the way it was meant: `agent:7`, or `7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisplayRef(TaskRef);

impl std::fmt::Display for DisplayRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.kind() {
            Some(kind) => write!(f, "{kind}:{}", self.0.number()),
            None => write!(f, "{}", self.0.number()),
        }
    }
}

/// A text does not name a task of this caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// It is not a task id.
    #[error(transparent)]
    Malformed(#[from] ParseIdError),
    /// It is one, but not one of this caller's.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// An outcome could not be claimed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The task cannot be touched by this caller.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The task has not ended.
    #[error("task {id} is {status}")]
    NotEnded {
        /// The task.
        id: TaskId,
        /// What it is doing.
        status: Status,
    },
    /// Another holder has the outcome, or had it and acknowledged it. It can still be read.
    #[error("the outcome of task {} is delivered already", .0.finished.id)]
    Delivered(Delivered),
}

/// A message could not be delivered; it was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The task cannot be touched by this caller.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The task has ended.
    #[error("task {id} is {status}")]
    Ended {
        /// The task.
        id: TaskId,
        /// How it ended.
        status: Status,
    },
    /// The task takes no messages: it has not asked for its mailbox.
    #[error("task {0} takes no messages")]
    NoMailbox(TaskId),
    /// The task takes no more messages: it has closed its mailbox, or was sent its
    /// [last one](crate::Task::last_message).
    #[error("task {0} takes no more messages")]
    Closed(TaskId),
    /// The task has as many messages, or as many bytes of them, as its mailbox holds.
    #[error("the mailbox of task {id} is full ({messages} messages, {bytes} bytes)")]
    Full {
        /// The task.
        id: TaskId,
        /// Messages that wait in it.
        messages: usize,
        /// Bytes that these have.
        bytes: usize,
    },
}
