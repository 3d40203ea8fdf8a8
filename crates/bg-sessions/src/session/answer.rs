//! What a session answers at once.

use bg_core::{Breakdown, Snapshot, Status, TaskId, Usage, text};
use serde::Serialize;

use super::command::SessionCommand;
use super::list::Key;

/// Longest description of a child in a status, in bytes.
const MAX_CHILD_BYTES: usize = 80;

/// What became of something that was said to a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Prompted {
    /// It waits for its turn, or is in it; the reply is the outcome of this task of the caller's.
    Queued {
        /// The task.
        task: TaskId,
    },
    /// It was a command, and this is the answer.
    Done(SessionAnswer),
}

impl Prompted {
    /// Returns the task whose outcome is the reply, if there is to be one.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Queued { task } => Some(*task),
            Self::Done(_) => None,
        }
    }

    /// Returns the answer to a command.
    pub fn answer(&self) -> Option<&SessionAnswer> {
        match self {
            Self::Queued { .. } => None,
            Self::Done(answer) => Some(answer),
        }
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionAnswer {
    /// How the session is.
    Status(Box<SessionStatus>),
    /// It stays for another idle time.
    Pinged {
        /// Its id.
        session: String,
    },
    /// The turn under way will hear it.
    Steered {
        /// Its id.
        session: String,
    },
    /// The turn was stopped; the session goes on with the prompts that wait.
    Stopped {
        /// Its id.
        session: String,
        /// The prompts that will have no reply; none if it was idle.
        stopped: Vec<TaskId>,
        /// Its background work, which was stopped, or had ended, and of which it is told nothing.
        dropped: Vec<TaskId>,
        /// How many prompts wait.
        waiting: usize,
    },
    /// The session is ended.
    Cancelled {
        /// Its id.
        session: String,
        /// Its task; `None` in the moment before that has started.
        #[serde(skip_serializing_if = "Option::is_none")]
        task_id: Option<TaskId>,
        /// The prompts that will have no reply.
        stopped: Vec<TaskId>,
        /// The prompts that had waited and are not processed.
        dropped: Vec<TaskId>,
    },
    /// There is no such session, and nothing was done.
    NotActive {
        /// The id.
        session: String,
        /// Always false.
        active: bool,
        /// What there is nothing to do.
        note: String,
    },
}

impl SessionAnswer {
    pub(super) fn steered(key: &Key) -> Self {
        Self::Steered { session: key.id().to_owned() }
    }

    pub(super) fn not_active(key: &Key, what: &str) -> Self {
        let note = format!("session \"{}\" is not active; nothing to {what}", key.id());
        Self::NotActive { session: key.id().to_owned(), active: false, note }
    }

    pub(super) fn inactive(key: &Key, command: &SessionCommand) -> Self {
        Self::not_active(
            key,
            match command {
                SessionCommand::Stop(_) => "stop",
                SessionCommand::Cancel(_) => "cancel",
                SessionCommand::Status => "show",
                _ => "wake",
            },
        )
    }
}

/// How a session is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Its id.
    pub session: String,
    /// Its agent.
    pub agent: String,
    /// Its task; `None` in the moment before that has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// Whether it takes prompts.
    pub active: bool,
    /// Whether a turn is under way.
    pub busy: bool,
    /// How many prompts wait.
    pub waiting: usize,
    /// Seconds since it was started.
    pub elapsed_secs: u64,
    /// Seconds since it last had something to do; 0 while it has.
    pub idle_secs: u64,
    /// Turns that its model has answered.
    pub turns: u64,
    /// Its model; empty before it runs.
    pub model: String,
    /// What it has cost in all, the turn under way not counted.
    pub usage: Usage,
    /// The same by model and tool.
    #[serde(flatten)]
    pub by: Breakdown,
    /// How many children it has, live or undelivered.
    pub children_total: usize,
    /// The first of them.
    pub children: Vec<Child>,
    /// What its last turn said, or why that failed; at most 2,000 bytes, cut between two graphemes.
    pub last_progress: String,
}

/// A child in a status.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Child {
    /// The task.
    pub task_id: TaskId,
    /// Label and prompt, cut.
    pub description: String,
    /// How it is.
    #[serde(flatten)]
    pub status: Status,
    /// Its latest trace line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

impl Child {
    pub(super) fn of(child: &Snapshot) -> Self {
        let description = format!("{}: {}", child.label(), child.prompt());
        Self {
            task_id: child.id,
            description: text::excerpt(&description, MAX_CHILD_BYTES),
            status: child.status,
            progress: child.last_trace.as_deref().map(|line| text::excerpt(line, MAX_CHILD_BYTES)),
        }
    }
}
