//! The agents of a host, and how they are run.
//!
//! # Invariants
//!
//! - I1: What is stored and what is in memory change together, one change at a time, the store first: a
//!   write that fails leaves both as they were.
//! - I2: A run has what its agent was when it started. A later change does not reach it.
//!
//! # Lock order
//!
//! `change` before `agents`. Under `agents` nothing is called and nothing is awaited.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bg_core::{Finished, Scope, TaskId, text};
use bg_tools::{Tool, ToolError, ToolSource, Toolbox};
use parking_lot::RwLock;

use crate::agent_tool::AgentTool;
use crate::compaction::CompactionSpec;
use crate::error::{AgentsError, ChangeError, InvokeError};
use crate::folder::{AgentFolder, SkippedFile};
use crate::hooks::{Hooks, RunInfo};
use crate::invoke::InvokeAgent;
use crate::manager::ManageAgents;
use crate::model::Model;
use crate::models::Models;
use crate::runner::{Given, Run, RunSpec};
use crate::session::Sessions;
use crate::spec::AgentSpec;
pub(crate) use agent::Agent;
pub use builder::AgentsBuilder;
pub use options::RunOptions;
use tools::AgentTools;

mod agent;
mod builder;
mod options;
mod tools;

/// The agents of a host: definitions, their tools and their models, checked and ready to run.
///
/// A handle; clones share the agents, which can be [changed](Self::upsert) while others run. It holds no
/// registry: every run is a task of the scope that it is started in.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "script")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bg_core::Registry;
/// use bg_sessions::{AgentSpec, Agents, Models, ScriptModel};
///
/// let model = ScriptModel::new("say 3 crates".parse()?);
/// let agents = Agents::builder(Models::new("script", model))
///     .agent(AgentSpec::new("explore"))
///     .build()?;
///
/// let registry = Registry::new();
/// let finished = agents.run(&registry.root_scope(), "explore", "map repo").await?;
/// assert_eq!(finished.outcome.output().map(|output| &*output.text), Some("3 crates"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "script"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Agents(Arc<Catalog>);

struct Catalog {
    toolbox: Toolbox,
    models: Models,
    agents: RwLock<BTreeMap<String, Arc<Agent>>>,
    folder: Option<AgentFolder>,
    compaction: CompactionSpec,
    hooks: Hooks,
    skipped: Vec<SkippedFile>,
    change: tokio::sync::Mutex<()>,
    sessions: Sessions,
}

/// What a change has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upserted {
    /// There was no agent of this name.
    pub is_new: bool,
    /// The definition is stored.
    pub is_persisted: bool,
}

impl Agents {
    /// Starts to put agents together.
    pub fn builder(models: Models) -> AgentsBuilder {
        AgentsBuilder::new(models)
    }

    /// Starts an agent in the background. Its outcome comes to the inbox of the scope.
    ///
    /// A run that ends well gives the text of the model's last turn. One that does not gives the
    /// cause, and what had been reached as the partial output.
    ///
    /// # Errors
    ///
    /// [`InvokeError`], but not [`Outcome`](InvokeError::Outcome); nothing was started.
    pub fn spawn(
        &self,
        scope: &Scope,
        agent: &str,
        prompt: impl Into<String>,
        options: RunOptions,
    ) -> Result<TaskId, InvokeError> {
        let agent = self.find(agent)?;
        let prompt = prompt.into();
        let task = options.task(&agent.spec.name, &prompt);
        let resources = agent.attached(options.resources)?;
        if prompt.trim().is_empty() && resources.is_empty() {
            return Err(InvokeError::EmptyPrompt);
        }
        let mut run = self.run_spec(&agent);
        run.model = options.model.unwrap_or(run.model);
        run.effort = options.effort.or(run.effort);
        let given = Given::prompt(prompt, resources);
        Ok(scope.spawn(task, |cx| {
            let info = RunInfo::new(cx.id(), &*run.agent);
            let run = Run::new(cx, run);
            let courier = run.courier_of(info);
            run.drive(given, courier)
        })?)
    }

    /// What a worker of an agent has.
    pub(crate) fn run_spec(&self, agent: &Agent) -> RunSpec {
        RunSpec {
            agent: agent.spec.name.as_str().into(),
            hooks: self.0.hooks.clone(),
            started_by: tracing::Span::current(),
            instructions: agent.spec.instructions.as_str().into(),
            tools: self.tools_of(agent),
            model: agent.model.clone(),
            compaction: self.0.compaction,
            step_cap: agent.spec.step_cap.unwrap_or(AgentSpec::DEFAULT_STEP_CAP),
            effort: agent.spec.effort,
            output_schema: agent.output_schema.clone(),
        }
    }

    /// Runs an agent and waits for its outcome, which is delivered by this call alone.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]. That an agent fails is none: the outcome says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the agent.
    pub async fn run(
        &self,
        scope: &Scope,
        agent: &str,
        prompt: impl Into<String>,
    ) -> Result<Arc<Finished>, InvokeError> {
        let id = self.spawn(scope, agent, prompt, RunOptions::default().foreground())?;
        let running = scope.foreground(id).map_err(ToolError::from)?;
        Ok(running.await.map_err(ToolError::from)?.ack())
    }

    /// Returns the definitions, sorted by name.
    pub fn specs(&self) -> Vec<AgentSpec> {
        self.0.agents.read().values().map(|agent| agent.spec.clone()).collect()
    }

    /// Returns the definition of one agent; its name may be written in any case.
    pub fn get(&self, name: &str) -> Option<AgentSpec> {
        self.agent(name).map(|agent| agent.spec.clone())
    }

    /// Returns the files of the folder that were no definitions when the agents were put together.
    pub fn skipped(&self) -> &[SkippedFile] {
        &self.0.skipped
    }

    /// Adds an agent, or changes one: runs that are under way keep what they have. With `persist` its
    /// definition is stored first, and is there after a restart.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; then nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a definition that is stored and not used before the next start.
    pub async fn upsert(&self, spec: AgentSpec, persist: bool) -> Result<Upserted, ChangeError> {
        spec.check().map_err(AgentsError::from)?;
        let agent = Agent::new(spec, &self.0.toolbox, &self.0.models)?;
        let _change = self.0.change.lock().await;
        let name = agent.spec.name.clone();
        let is_new = self.agent(&name).is_none();
        if is_new && self.0.agents.read().len() >= Self::MAX_AGENTS {
            return Err(ChangeError::TooMany(Self::MAX_AGENTS));
        }
        if persist {
            let spec = agent.spec.clone();
            self.stored(move |folder| folder.write(&spec)).await?;
        }
        self.0.agents.write().insert(name, Arc::new(agent));
        Ok(Upserted { is_new, is_persisted: persist })
    }

    /// Removes an agent and its stored definition; runs that are under way go on. Returns whether
    /// there was one.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Store`]; then nothing has changed.
    pub async fn remove(&self, name: &str) -> Result<bool, ChangeError> {
        let _change = self.0.change.lock().await;
        let Some(agent) = self.agent(name) else { return Ok(false) };
        let name = agent.spec.name.clone();
        if self.0.folder.is_some() {
            let stored = name.clone();
            self.stored(move |folder| folder.remove(&stored)).await?;
        }
        Ok(self.0.agents.write().remove(&name).is_some())
    }

    /// Has the folder do something, on a thread that may wait for the disk.
    async fn stored<T: Send + 'static>(
        &self,
        act: impl FnOnce(&AgentFolder) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let folder = self.0.folder.clone().ok_or(ChangeError::NoFolder)?;
        let done = tokio::task::spawn_blocking(move || act(&folder)).await;
        done.map_err(|error| ChangeError::Store(error.into()))?.map_err(ChangeError::Store)
    }

    /// Returns the tools by which a model runs agents: `InvokeAgent`, and `SA_<name>` for each of
    /// them; with `managing` the tool that changes them too.
    pub fn tools(&self, managing: bool) -> impl ToolSource {
        AgentTools { agents: self.clone(), managing }
    }

    /// Returns the labels of the models that agents can have.
    pub(crate) fn model_labels(&self) -> Vec<String> {
        self.0.models.labels().map(str::to_owned).collect()
    }

    /// Returns the names of the tools that agents can have.
    pub(crate) fn tool_names(&self) -> Vec<String> {
        self.0.toolbox.names().map(str::to_owned).collect()
    }

    pub(crate) fn model(&self, label: &str) -> Result<Arc<dyn Model>, InvokeError> {
        Ok(self.0.models.get(label)?)
    }

    fn agent(&self, name: &str) -> Option<Arc<Agent>> {
        // Models write names the way they write the beginning of a sentence.
        self.0.agents.read().get(&name.trim().to_ascii_lowercase()).cloned()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(crate) fn find(&self, name: &str) -> Result<Arc<Agent>, InvokeError> {
        let names = || self.0.agents.read().keys().cloned().collect::<Vec<_>>().join(", ");
        self.agent(name).ok_or_else(|| InvokeError::UnknownAgent {
            name: text::prefix(name, 64).escape_debug().to_string(),
            known: text::excerpt(&names(), Self::MAX_NAMES_BYTES),
        })
    }

    /// The tools of a run. One of ours that names an agent which is gone is left out.
    fn tools_of(&self, agent: &Agent) -> Toolbox {
        let ours = agent.ours.iter().filter_map(|name| self.tool(name));
        // The builder has seen that no other tool has the name.
        let with = |tools: Toolbox, tool| tools.clone().with_all([tool]).unwrap_or(tools);
        ours.fold(agent.tools.clone(), with)
    }

    /// Returns a tool of ours.
    fn tool(&self, name: &str) -> Option<Arc<dyn Tool>> {
        match name {
            InvokeAgent::NAME => Some(Arc::new(InvokeAgent::new(self.clone()))),
            ManageAgents::NAME => Some(Arc::new(ManageAgents::new(self.clone()))),
            name => {
                let tool = AgentTool::new(self, AgentTool::agent_of(name)?)?;
                Some(Arc::new(tool))
            }
        }
    }

    /// Most agents of a host.
    pub const MAX_AGENTS: usize = 256;

    /// Longest list of names in an error, in bytes.
    const MAX_NAMES_BYTES: usize = 400;
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Agents").field(&self.0.agents.read().keys()).finish()
    }
}
