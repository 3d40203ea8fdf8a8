//! Who plays the agents: scripts, or one language model for all of them.

use std::sync::Arc;

use bg_agents::sessions::{Model, Script, ScriptError, ScriptModel};

use super::meter::{Meter, Metered};
use super::save::Save;
use super::script::{Answer, Unscripted};
use crate::plan::UNPLANNED;

/// Gives every run of an agent its model.
pub(crate) struct Player {
    /// Nothing if scripts play.
    model: Option<Arc<dyn Model>>,
    meter: Meter,
    save: Option<Save>,
}

impl Player {
    pub(crate) fn new(model: Option<Arc<dyn Model>>, meter: Meter, save: Option<Save>) -> Self {
        Self { model, meter, save }
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The model of what the plan does not name: agents that others call, and what a session does
    /// unasked.
    pub(crate) fn of_unplanned(&self) -> Result<Arc<dyn Model>, ScriptError> {
        let file = UNPLANNED;
        match &self.model {
            Some(model) => Ok(self.metered(file, model.clone())),
            None => Ok(self.metered(file, Unscripted::new()?)),
        }
    }

    /// `file` is what the files of the task are called.
    pub(crate) fn of_task(&self, file: &str, script: Option<Script>) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(self.metered(file, model.clone())),
            None => script.map(|script| self.metered(file, ScriptModel::new(script))),
        }
    }

    pub(crate) fn of_prompt(
        &self,
        file: &str,
        script: Option<Script>,
        prompt: &str,
    ) -> Option<Arc<dyn Model>> {
        match &self.model {
            Some(model) => Some(self.metered(file, model.clone())),
            None => script.map(|script| self.metered(file, Answer::new(script, prompt.to_owned()))),
        }
    }

    fn metered(&self, file: &str, model: impl Model) -> Arc<dyn Model> {
        let transcript = self.save.as_ref().map(|save| save.transcript(file));
        Arc::new(Metered { model, meter: self.meter.clone(), transcript })
    }
}
