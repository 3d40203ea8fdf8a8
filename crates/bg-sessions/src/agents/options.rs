//! What may differ from one run to the next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{MailboxCaps, Task};
use bg_tools::Resource;

use crate::effort::Effort;
use crate::model::Model;

/// What may differ from one run to the next.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// A model in place of the agent's own.
    pub model: Option<Arc<dyn Model>>,
    /// How hard the model thinks, in place of the agent's own effort.
    pub effort: Option<Effort>,
    /// The task's label in place of the agent's name.
    pub label: Option<String>,
    /// What is attached to the prompt. The agent receives what its tags say (see
    /// [`AgentSpec::takes`](crate::AgentSpec::takes)).
    pub resources: Vec<Resource>,
    /// Whether somebody waits for it; see [`Task::foreground`].
    pub foreground: bool,
    /// How long it may take, waiting included; see [`Task::deadline`].
    pub deadline: Option<Duration>,
}

impl RunOptions {
    /// Most resources that one prompt can have.
    pub const MAX_RESOURCES: usize = 64;

    /// Most bytes of content in them.
    pub const MAX_RESOURCE_BYTES: usize = 32 << 20;

    /// Sets a model in place of the agent's own.
    pub fn with_model(mut self, model: impl Model) -> Self {
        self.model = Some(Arc::new(model));
        self
    }

    /// Sets how hard the model thinks, in place of the agent's own effort.
    pub fn with_effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Attaches something to the prompt; see [`resources`](Self::resources).
    pub fn with_resources(mut self, resources: Vec<Resource>) -> Self {
        self.resources = resources;
        self
    }

    /// Makes it a task that somebody waits for.
    pub fn foreground(mut self) -> Self {
        self.foreground = true;
        self
    }

    /// Sets how long it may take, waiting included. Then it is stopped; what it had reached is in its
    /// outcome.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Says what the task of a prompt is.
    pub(crate) fn task(&self, agent: &str, prompt: &str) -> Task {
        let label = self.label.clone().unwrap_or_else(|| agent.to_owned());
        let task = Task::agent(label, prompt.to_owned()).mailbox(MailboxCaps::default());
        let task = if self.foreground { task.foreground() } else { task };
        match self.deadline {
            Some(deadline) => task.deadline(deadline),
            None => task,
        }
    }

    /// Sets the task's label in place of the agent's name.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions").field("label", &self.label).finish_non_exhaustive()
    }
}
