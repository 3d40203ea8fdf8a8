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
use std::path::PathBuf;
use std::sync::Arc;

use bg_core::{Finished, MailboxCaps, Scope, Task, TaskId, text};
use bg_tools::{Resource, Tool, ToolError, ToolSource, Toolbox, ToolboxError};
use parking_lot::RwLock;

use crate::agent_tool::AgentTool;
use crate::compaction::CompactionSpec;
use crate::effort::Effort;
use crate::error::{AgentsError, ChangeError, InvokeError};
use crate::folder::{AgentFolder, Loaded, SkippedFile};
use crate::hooks::{Hooks, RunInfo};
use crate::invoke::InvokeAgent;
use crate::manager::ManageAgents;
use crate::model::Model;
use crate::models::Models;
use crate::runner::{Given, Run, RunSpec};
use crate::session::Sessions;
use crate::spec::AgentSpec;

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

/// A definition with what it names.
pub(crate) struct Agent {
    pub(crate) spec: AgentSpec,
    tools: Toolbox,
    model: Arc<dyn Model>,
    /// The tools of ours that it names. They are not kept here: they hold the agents, and would keep
    /// them alive for ever.
    ours: Vec<String>,
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
    /// [`AgentSpec::takes`]).
    pub resources: Vec<Resource>,
    /// Whether somebody waits for it; see [`Task::foreground`].
    pub foreground: bool,
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

    /// Sets the task's label in place of the agent's name.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl Agents {
    /// Starts to put agents together.
    pub fn builder(models: Models) -> AgentsBuilder {
        AgentsBuilder {
            models,
            toolbox: Toolbox::new(),
            specs: Vec::new(),
            folder: None,
            compaction: CompactionSpec::default(),
            hooks: Hooks::new(),
        }
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
        let (prompt, resources) = (prompt.into(), agent.attached(options.resources)?);
        if prompt.trim().is_empty() && resources.is_empty() {
            return Err(InvokeError::EmptyPrompt);
        }
        let label = options.label.unwrap_or_else(|| agent.spec.name.clone());
        let mut run = self.run_spec(&agent);
        run.model = options.model.unwrap_or(run.model);
        run.effort = options.effort.or(run.effort);
        let task = Task::agent(label, prompt.clone()).mailbox(MailboxCaps::default());
        let task = if options.foreground { task.foreground() } else { task };
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
            output_schema: agent.spec.output_schema.clone().map(Arc::new),
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

/// Tools that come and go with the agents.
struct AgentTools {
    agents: Agents,
    managing: bool,
}

impl ToolSource for AgentTools {
    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let names = self.agents.0.agents.read().keys().cloned().collect::<Vec<_>>();
        let each = names.iter().map(|name| AgentTool::name_of(name));
        let all =
            [InvokeAgent::NAME, ManageAgents::NAME].map(str::to_owned).into_iter().chain(each);
        all.filter_map(|name| self.tool(&name)).collect()
    }

    fn tool(&self, name: &str) -> Option<Arc<dyn Tool>> {
        if name == ManageAgents::NAME && !self.managing {
            return None;
        }
        self.agents.tool(name)
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Agents").field(&self.0.agents.read().keys()).finish()
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions").field("label", &self.label).finish_non_exhaustive()
    }
}

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
        let mut agents = BTreeMap::new();
        for spec in self.specs {
            spec.check()?;
            let name = spec.name.clone();
            let agent = Agent::new(spec, &self.toolbox, &self.models)?;
            if agents.insert(name.clone(), Arc::new(agent)).is_some() {
                return Err(AgentsError::Duplicate(name));
            }
        }
        let unreadable = |error: std::io::Error| AgentsError::Folder(error.kind());
        let folder = self.folder.map(AgentFolder::open).transpose().map_err(unreadable)?;
        let loaded = folder.as_ref().map(AgentFolder::load).transpose().map_err(unreadable)?;
        let Loaded { specs, mut skipped } = loaded.unwrap_or_default();
        for (spec, path) in specs {
            match Agent::new(spec, &self.toolbox, &self.models) {
                Ok(agent) => drop(agents.insert(agent.spec.name.clone(), Arc::new(agent))),
                Err(error) => {
                    let problem = bg_core::Failure::from(error).to_string();
                    skipped.push(SkippedFile { path, problem });
                }
            }
        }
        let (toolbox, models, compaction) = (self.toolbox, self.models, self.compaction);
        let (agents, change) = (RwLock::new(agents), tokio::sync::Mutex::new(()));
        Ok(Agents(Arc::new(Catalog {
            toolbox,
            models,
            agents,
            folder,
            compaction,
            hooks: self.hooks,
            skipped,
            change,
            sessions: Sessions::default(),
        })))
    }
}

impl Agent {
    /// Selects what the agent receives of what is attached to a prompt, and checks it.
    pub(crate) fn attached(&self, resources: Vec<Resource>) -> Result<Vec<Resource>, InvokeError> {
        let taken: Vec<_> =
            resources.into_iter().filter(|resource| self.spec.takes(resource)).collect();
        let sizes = taken.iter().filter_map(|resource| resource.content.size_bytes());
        let bytes = sizes.fold(0_usize, usize::saturating_add);
        if taken.len() > RunOptions::MAX_RESOURCES || bytes > RunOptions::MAX_RESOURCE_BYTES {
            return Err(InvokeError::TooManyResources { resources: taken.len(), bytes });
        }
        taken.iter().try_for_each(Resource::check)?;
        Ok(taken)
    }

    fn new(spec: AgentSpec, toolbox: &Toolbox, models: &Models) -> Result<Self, AgentsError> {
        let (ours, theirs): (Vec<&String>, Vec<&String>) =
            spec.tools.iter().partition(|name| is_ours(name) && !toolbox.contains(name));
        let ours = ours.into_iter().cloned().collect();
        let wrong_tool = |source: ToolboxError| {
            let agent = spec.name.clone();
            AgentsError::Tools { agent, source }
        };
        let tools = toolbox.select(theirs.into_iter().map(String::as_str)).map_err(wrong_tool)?;
        let model = match &spec.model {
            None => models.default_model(),
            Some(label) => models
                .get(label)
                .map_err(|source| AgentsError::Model { agent: spec.name.clone(), source })?,
        };
        Ok(Self { spec, tools, model, ours })
    }
}

/// Returns whether a tool is one by which agents are run.
fn is_ours(name: &str) -> bool {
    let is_agent = || AgentTool::agent_of(name).is_some_and(crate::spec::is_agent_name);
    name == InvokeAgent::NAME || name == ManageAgents::NAME || is_agent()
}
