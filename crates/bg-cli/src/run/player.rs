//! Who plays the agents: scripts, or one language model for all of them.

use std::sync::Arc;

use bg_agents::sessions::{Model, Script, ScriptError, ScriptModel};
use bg_models::{BuildError, OpenAiCompatible};

use super::meter::{Meter, Metered};
use super::script::{Answer, Unscripted};
use crate::model::Choice;

/// Gives every run of an agent its model.
pub(crate) struct Player {
    /// Nothing if scripts play.
    model: Option<OpenAiCompatible>,
    meter: Meter,
}

impl Player {
    /// Sets up what was chosen. Connects to nothing.
    pub(crate) fn new(choice: &Choice, meter: Meter) -> Result<Self, BuildError> {
        let model = match choice {
            Choice::Script => None,
            Choice::Server(server) => Some(server.build()?),
        };
        Ok(Self { model, meter })
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The model of what the plan does not name: agents that others call, and what a session does
    /// unasked.
    pub(crate) fn of_unplanned(&self) -> Result<Arc<dyn Model>, ScriptError> {
        match &self.model {
            Some(model) => Ok(self.metered(model.clone())),
            None => Ok(self.metered(Unscripted::new()?)),
        }
    }

    pub(crate) fn of_task(&self, script: Option<Script>) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(self.metered(model.clone())),
            None => script.map(|script| self.metered(ScriptModel::new(script))),
        }
    }

    pub(crate) fn of_prompt(&self, script: Option<Script>, prompt: &str) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(self.metered(model.clone())),
            None => script.map(|script| self.metered(Answer::new(script, prompt.to_owned()))),
        }
    }

    fn metered(&self, model: impl Model) -> Arc<dyn Model> {
        Arc::new(Metered { model, meter: self.meter.clone() })
    }
}
