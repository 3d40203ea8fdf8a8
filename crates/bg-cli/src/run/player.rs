//! Who plays the agents: scripts, or one language model for all of them.

use std::sync::Arc;

use bg_agents::sessions::{Model, Script, ScriptError, ScriptModel};
use bg_models::{BuildError, OpenAiCompatible};

use super::script::{Answer, Unscripted};
use crate::model::Choice;

/// Gives every run of an agent its model.
pub(crate) struct Player {
    /// Nothing if scripts play.
    model: Option<OpenAiCompatible>,
}

impl Player {
    /// Sets up what was chosen. Connects to nothing.
    pub(crate) fn new(choice: &Choice) -> Result<Self, BuildError> {
        let model = match choice {
            Choice::Script => None,
            Choice::Server(server) => Some(server.build()?),
        };
        Ok(Self { model })
    }

    /// The model of what the plan does not name: agents that others call, and what a session does
    /// unasked.
    pub(crate) fn of_unplanned(&self) -> Result<Arc<dyn Model>, ScriptError> {
        match &self.model {
            Some(model) => Ok(Arc::new(model.clone())),
            None => Ok(Arc::new(Unscripted::new()?)),
        }
    }

    pub(crate) fn of_task(&self, script: Option<Script>) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(Arc::new(model.clone())),
            None => script.map(|script| Arc::new(ScriptModel::new(script)) as _),
        }
    }

    pub(crate) fn of_prompt(&self, script: Option<Script>, prompt: &str) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(Arc::new(model.clone())),
            None => script.map(|script| Arc::new(Answer::new(script, prompt.to_owned())) as _),
        }
    }
}
