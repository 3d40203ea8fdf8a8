//! What a task is doing, and how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a task: pending, running, then one terminal state.
///
/// The terminal states name the variants of [`Outcome`](crate::Outcome). Whoever sees a terminal
/// status can have the outcome at once: both change in one critical section.
///
/// # Examples
///
/// ```
/// use bg_core::Status;
///
/// let status = Status::Running { step: 3 };
/// assert!(!status.is_terminal());
/// assert_eq!(serde_json::to_value(status)?, serde_json::json!({"status": "running", "step": 3}));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Known to the registry, not started yet: it waits for a slot, or for whoever does its work
    /// elsewhere to report a first step.
    Pending,
    /// Started: its future was given to the runtime. An agent counts its model turns: 0 is started,
    /// 1 the first turn.
    Running {
        /// The latest step that the task reported.
        step: u32,
    },
    /// Ended with an output.
    Completed,
    /// Ended with an error of its own.
    Failed,
    /// Ended because somebody stopped it.
    Cancelled,
    /// Ended by a panic.
    Panicked,
    /// The host died under it.
    Lost,
}

impl Status {
    /// Returns whether the task has ended.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running { .. })
    }

    /// Returns the word for the state, without its data.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { step } if *step > 0 => write!(f, "running, step {step}"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// What a running task is doing right now, as far as it says so.
///
/// # Examples
///
/// ```
/// use bg_core::Phase;
///
/// assert_eq!(serde_json::to_value(Phase::WaitingForModel)?, "waiting_for_model");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It works, or does not say what else it does.
    #[default]
    Working,
    /// A model is answering it.
    WaitingForModel,
    /// A tool runs for it.
    WaitingForTool,
    /// It waits for a message.
    WaitingForInput,
    /// It waits for somebody to allow something.
    WaitingForApproval,
}
