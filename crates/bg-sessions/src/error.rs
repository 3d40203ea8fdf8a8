//! Errors of running agents. Messages are fragments that fit "could not ...: {error}".

use bg_core::SpawnError;
use bg_tools::{ToolError, ToolboxError};

use crate::model::ModelError;
use crate::models::ModelsError;
use crate::spec::SpecError;

/// Agents could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentsError {
    /// A spec does not define an agent.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Two agents have this name.
    #[error("there are two agents with the name \"{0}\"")]
    Duplicate(String),
    /// An agent names a tool that the host does not have.
    #[error("agent \"{agent}\" names a tool that is not there")]
    Tools {
        /// The agent.
        agent: String,
        /// Which one it is.
        source: ToolboxError,
    },
    /// An agent names a model that the host does not have.
    #[error("agent \"{agent}\" names a model that is not there")]
    Model {
        /// The agent.
        agent: String,
        /// Which one it is.
        source: ModelsError,
    },
}

/// An agent could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// No agent has this name.
    #[error("there is no agent \"{name}\"; the agents are: {known}")]
    UnknownAgent {
        /// What was asked for, cut and escaped.
        name: String,
        /// What could have been.
        known: String,
    },
    /// The prompt is blank, which no provider takes.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The task could not be started.
    #[error("the agent could not start")]
    Spawn(#[from] SpawnError),
    /// The task was started, and its outcome cannot be had: the registry is gone, or somebody else
    /// claimed it first. In the latter case the error carries it for reading.
    #[error("the outcome cannot be had")]
    Outcome(#[from] ToolError),
}

/// Why a run ends without an answer. It becomes the failure of the task, its chain of causes kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("stopped")]
    Stopped,
    #[error("the model failed")]
    Model(#[source] ModelError),
    #[error("the model failed {attempts} times")]
    Exhausted { attempts: usize, source: ModelError },
}
