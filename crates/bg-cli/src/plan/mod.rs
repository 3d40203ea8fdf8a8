//! Plans: which agents, tasks, sessions and processes to run over a folder, and in which order.
//!
//! A plan is read and checked as a whole before anything is started. Whatever is wrong with it is
//! one [`PlanError`] with the place in the file.

mod builtin;
mod error;
mod files;
mod order;
mod raw;
mod work;

pub(crate) use builtin::BUILTIN;
pub(crate) use error::PlanError;
pub(crate) use files::UNPLANNED;

use std::borrow::Cow;

use bg_agents::sessions::{AgentSpec, Script};

use crate::model::{Choice, ModelArgs};
use error::Source;

/// A plan that can be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) model: Choice,
    /// Whether there are scripts that nobody plays.
    pub(crate) ignores_scripts: bool,
    pub(crate) agents: Vec<AgentSpec>,
    pub(crate) items: Vec<Item>,
}

/// Something that is started, once what it comes after has ended.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What it is called wherever it is shown.
    pub(crate) label: String,
    /// What its files are called, without an ending.
    pub(crate) file: String,
    /// The places in the plan of those that it names in `after`. None of them waits for this one.
    pub(crate) after: Vec<usize>,
    pub(crate) work: Work,
}

/// What is started.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A run of an agent.
    Task(Ask),
    Prompt(PlannedPrompt),
    Process(PlannedProcess),
}

/// What an agent is asked, and what plays it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) agent: String,
    pub(crate) prompt: String,
    /// Nothing if a language model plays it.
    pub(crate) script: Option<Script>,
}

/// One prompt to an agent that stays between prompts.
#[derive(Clone, Debug)]
pub(crate) struct PlannedPrompt {
    pub(crate) session: String,
    pub(crate) ask: Ask,
    /// The place in the plan of the session's prompt before this one.
    pub(crate) follows: Option<usize>,
}

/// A child process.
#[derive(Clone, Debug)]
pub(crate) struct PlannedProcess {
    pub(crate) label: Option<String>,
    pub(crate) command: String,
    pub(crate) stop_when_done: bool,
}

impl Item {
    /// All that it waits for, by their places in the plan.
    pub(crate) fn waits_for(&self) -> impl Iterator<Item = usize> {
        self.after.iter().copied().chain(self.follows())
    }

    /// The prompt before this one in the same session.
    pub(crate) fn follows(&self) -> Option<usize> {
        match &self.work {
            Work::Prompt(prompt) => prompt.follows,
            Work::Task(_) | Work::Process(_) => None,
        }
    }

    /// Whether it is stopped when the others are done.
    pub(crate) fn serves(&self) -> bool {
        matches!(&self.work, Work::Process(process) if process.stop_when_done)
    }

    pub(crate) fn agent(&self) -> Option<&str> {
        match &self.work {
            Work::Task(ask) | Work::Prompt(PlannedPrompt { ask, .. }) => Some(&ask.agent),
            Work::Process(_) => None,
        }
    }

    /// The name of the session that it is a prompt to.
    pub(crate) fn session(&self) -> Option<&str> {
        match &self.work {
            Work::Prompt(prompt) => Some(&prompt.session),
            Work::Task(_) | Work::Process(_) => None,
        }
    }
}

impl Plan {
    /// Reads the plan with this name: a built-in one, else a file. A file that has the name of a
    /// built-in plan is meant by `./name`.
    pub(crate) fn load(name: &str, tools: &[&str], model: &ModelArgs) -> Result<Self, PlanError> {
        let text = text_of(name)?;
        let plan = raw::parse(name, &text, tools, model)?;
        if plan.items.is_empty() {
            let problem = "the plan has neither a [[task]] nor a [[session]] nor a [[process]]";
            return Err(Source { name, text: &text }.wrong(&(0..0), problem));
        }
        Ok(plan)
    }

    /// Reads a plan for its agents and its model: it may have nothing to do.
    #[cfg(feature = "mcp")]
    pub(crate) fn load_agents(
        name: &str,
        tools: &[&str],
        model: &ModelArgs,
    ) -> Result<Self, PlanError> {
        raw::parse(name, &text_of(name)?, tools, model)
    }
}

fn text_of(name: &str) -> Result<Cow<'static, str>, PlanError> {
    if let Some((_, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return Ok(Cow::Borrowed(text));
    }
    let text = std::fs::read_to_string(name).map_err(|source| {
        let builtin = BUILTIN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        PlanError::Unreadable { name: name.to_owned(), builtin, source }
    })?;
    Ok(Cow::Owned(text))
}

/// Returns the description in the text of a built-in plan.
pub(crate) fn description(text: &str) -> String {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    table.get("description").and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}
