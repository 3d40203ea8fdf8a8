//! Plans: which agents, tasks and processes to run over a folder.
//!
//! A plan is read and checked as a whole before anything is started. Whatever is wrong with it is
//! one [`PlanError`] with the place in the file.

mod builtin;
mod error;
mod raw;

pub(crate) use builtin::BUILTIN;
pub(crate) use error::PlanError;

use bg_agents::sessions::{AgentSpec, Script};

/// A plan that can be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) agents: Vec<AgentSpec>,
    pub(crate) tasks: Vec<PlannedTask>,
    pub(crate) processes: Vec<PlannedProcess>,
}

/// A run of an agent.
#[derive(Debug)]
pub(crate) struct PlannedTask {
    pub(crate) agent: String,
    pub(crate) prompt: String,
    pub(crate) script: Script,
}

/// A child process.
#[derive(Debug)]
pub(crate) struct PlannedProcess {
    pub(crate) label: Option<String>,
    pub(crate) command: String,
    pub(crate) stop_when_done: bool,
}

impl Plan {
    /// Reads the plan with this name: a built-in one, else a file. A file that has the name of a
    /// built-in plan is meant by `./name`.
    pub(crate) fn load(name: &str, tools: &[&str]) -> Result<Self, PlanError> {
        if let Some((_, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
            return raw::parse(name, text, tools);
        }
        let text = std::fs::read_to_string(name).map_err(|source| {
            let builtin = BUILTIN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            PlanError::Unreadable { name: name.to_owned(), builtin, source }
        })?;
        raw::parse(name, &text, tools)
    }
}

/// Returns the description in the text of a built-in plan.
pub(crate) fn description(text: &str) -> String {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    table.get("description").and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}
