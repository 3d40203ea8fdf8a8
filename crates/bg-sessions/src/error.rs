//! Errors of running agents. Messages are fragments that fit "could not ...: {error}".

use bg_core::SpawnError;
use bg_tools::{ResourceError, ToolError, ToolboxError};

use crate::agents::RunOptions;
use crate::hooks::Refused;
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
    /// The folder of definitions cannot be read.
    #[error("the folder of agents cannot be read: {0}")]
    Folder(std::io::ErrorKind),
    /// An agent names a model that the host does not have.
    #[error("agent \"{agent}\" names a model that is not there")]
    Model {
        /// The agent.
        agent: String,
        /// Which one it is.
        source: ModelsError,
    },
    /// What an agent has as the schema of its answer is none. Seen with the feature `validate` alone.
    #[error("agent \"{agent}\" has an output schema that cannot be used: {problem}")]
    OutputSchema {
        /// The agent.
        agent: String,
        /// What is wrong with it, cut.
        problem: String,
    },
}

/// The agents of a host could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The definition does not fit the host.
    #[error(transparent)]
    Agent(#[from] AgentsError),
    /// There are as many agents as there may be.
    #[error("there are {0} agents, which is as many as there may be")]
    TooMany(usize),
    /// The host has no folder for definitions.
    #[error("the host keeps no definitions: nothing can be persisted")]
    NoFolder,
    /// The definition could not be stored, or what was stored not removed.
    #[error("the definition could not be stored")]
    Store(#[source] std::io::Error),
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
    /// No model has the label that was asked for.
    #[error(transparent)]
    Model(#[from] ModelsError),
    /// Something that is attached is not what can be.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// Too much is attached.
    #[error(
        "{resources} resources of {bytes} bytes are attached; at most {} of {} bytes can be",
        RunOptions::MAX_RESOURCES,
        RunOptions::MAX_RESOURCE_BYTES
    )]
    TooManyResources {
        /// How many the agent would receive.
        resources: usize,
        /// Their content.
        bytes: usize,
    },
    /// This cannot be the id of a session.
    #[error(
        "this cannot be the id of a session: 1 to {} bytes without control characters",
        crate::session::MAX_ID_BYTES
    )]
    SessionId,
    /// The prompt is longer than one to a session can be.
    #[error("the prompt has {bytes} bytes; one to a session has at most {most}")]
    PromptTooLong {
        /// How long it is.
        bytes: usize,
        /// How long it can be.
        most: usize,
    },
    /// As many prompts wait for the session as may: one has to be answered first.
    #[error("the session is busy: {prompts} prompts of {bytes} bytes wait, and no more may")]
    SessionFull {
        /// How many wait.
        prompts: usize,
        /// How many bytes they have.
        bytes: usize,
    },
    /// The caller has as many sessions as it may have.
    #[error("there are {0} sessions, which is as many as there may be")]
    TooManySessions(usize),
    /// The task could not be started.
    #[error("the agent could not start")]
    Spawn(#[from] SpawnError),
    /// The task was started, and its outcome cannot be had: the registry is gone, or somebody else
    /// claimed it first. In the latter case the error carries it for reading.
    #[error("the outcome cannot be had")]
    Outcome(#[from] ToolError),
}

impl From<InvokeError> for ToolError {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::Spawn(error) => error.into(),
            InvokeError::Outcome(error) => error,
            other => Self::failed(other),
        }
    }
}

/// Why a run ends without an answer. It becomes the failure of the task, its chain of causes kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("stopped")]
    Stopped,
    /// Words from outside broke into a step: they are heard, and the turn goes on.
    #[error("interrupted")]
    Interrupted(String),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the answer is not what was asked for: {0}")]
    NotOfSchema(String),
    /// The prompt is blank now, which no provider takes.
    #[error("the hooks left nothing of the prompt")]
    NothingLeft,
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("the model failed")]
    Model(#[source] ModelError),
    #[error("the model failed {attempts} times")]
    Exhausted { attempts: usize, source: ModelError },
    #[error("the prompt has about {tokens} tokens and the model's window {window}")]
    PromptTooLarge { tokens: u64, window: u64 },
    #[error("the conversation has about {tokens} tokens and the model's window {window}")]
    ConversationTooLarge { tokens: u64, window: u64 },
}
