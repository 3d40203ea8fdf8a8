//! Puts agents together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bg_tools::Toolbox;
use parking_lot::RwLock;

use super::agent::Agent;
use super::{Agents, Catalog};
use crate::compaction::CompactionSpec;
use crate::error::AgentsError;
use crate::folder::{AgentFolder, Loaded, SkippedFile};
use crate::hooks::Hooks;
use crate::models::Models;
use crate::session::Sessions;
use crate::spec::AgentSpec;

/// Puts [`Agents`] together.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AgentsBuilder {
    models: Models,
    toolbox: Toolbox,
    specs: Vec<AgentSpec>,
    folder: Option<PathBuf>,
    compaction: CompactionSpec,
    hooks: Hooks,
}

impl AgentsBuilder {
    pub(super) fn new(models: Models) -> Self {
        Self {
            models,
            toolbox: Toolbox::new(),
            specs: Vec::new(),
            folder: None,
            compaction: CompactionSpec::default(),
            hooks: Hooks::new(),
        }
    }

    /// Sets the tools that definitions can name. `InvokeAgent`, `SA_<name>` and `subagents_manager` can
    /// be named without being in it.
    pub fn toolbox(mut self, toolbox: Toolbox) -> Self {
        self.toolbox = toolbox;
        self
    }

    /// Adds a definition.
    pub fn agent(self, spec: AgentSpec) -> Self {
        self.agents([spec])
    }

    /// Adds definitions.
    pub fn agents(mut self, specs: impl IntoIterator<Item = AgentSpec>) -> Self {
        self.specs.extend(specs);
        self
    }

    /// Adds the definitions in a folder, one `<name>.json` each, and keeps there what is
    /// [persisted](Agents::upsert). The folder is made if it is not there. A file that is no
    /// definition, or names what the host does not have, is [skipped](Agents::skipped). A definition
    /// in the folder stands in place of one of the same name that the host has added.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Sets when and how far the conversations of the agents are compacted.
    pub fn compaction(mut self, spec: CompactionSpec) -> Self {
        self.compaction = spec;
        self
    }

    /// Sets who is consulted and told about the runs of the agents.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Checks the definitions and what they name.
    ///
    /// # Errors
    ///
    /// [`AgentsError`], for the first definition of the host's own that is wrong, and for a folder
    /// that cannot be read.
    pub fn build(self) -> Result<Agents, AgentsError> {
        let mut agents = self.own()?;
        let unreadable = |error: std::io::Error| AgentsError::Folder(error.kind());
        let folder = self.folder.clone().map(AgentFolder::open).transpose().map_err(unreadable)?;
        let loaded = folder.as_ref().map(AgentFolder::load).transpose().map_err(unreadable)?;
        let skipped = self.add_loaded(&mut agents, loaded.unwrap_or_default());
        Ok(Agents(Arc::new(Catalog {
            toolbox: self.toolbox,
            models: self.models,
            agents: RwLock::new(agents),
            folder,
            compaction: self.compaction,
            hooks: self.hooks,
            skipped,
            change: tokio::sync::Mutex::new(()),
            sessions: Sessions::default(),
        })))
    }

    /// The host's own.
    fn own(&self) -> Result<BTreeMap<String, Arc<Agent>>, AgentsError> {
        let mut agents = BTreeMap::new();
        for spec in &self.specs {
            spec.check()?;
            let agent = Agent::new(spec.clone(), &self.toolbox, &self.models)?;
            if agents.insert(spec.name.clone(), Arc::new(agent)).is_some() {
                return Err(AgentsError::Duplicate(spec.name.clone()));
            }
        }
        Ok(agents)
    }

    /// Adds those of the folder; returns what was skipped.
    fn add_loaded(
        &self,
        agents: &mut BTreeMap<String, Arc<Agent>>,
        loaded: Loaded,
    ) -> Vec<SkippedFile> {
        let Loaded { specs, mut skipped } = loaded;
        for (spec, path) in specs {
            match Agent::new(spec, &self.toolbox, &self.models) {
                Ok(agent) => drop(agents.insert(agent.spec.name.clone(), Arc::new(agent))),
                Err(error) => {
                    let problem = bg_core::Failure::from(error).to_string();
                    skipped.push(SkippedFile { path, problem });
                }
            }
        }
        skipped
    }
}
