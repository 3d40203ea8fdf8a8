//! A host's background work, put together.

use std::sync::Arc;

use bg_core::{Limits, Registry, Scope};
use bg_tools::{Budget, Tool, ToolContext, Toolbox, ToolboxError, task_tools};

#[cfg(feature = "sessions")]
use bg_sessions::{
    AgentSpec, Agents, AgentsBuilder, AgentsError, CompactionSpec, Hooks, InvokeAgent, Models,
};

/// The background work of a host: a registry, the tools for it, and its agents.
///
/// Dropping it aborts everything that runs.
///
/// # Examples
///
/// ```
/// use bg_agents::Background;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bg_agents::BuildError> {
/// let background = Background::builder().build()?;
/// let root = background.root_scope();
/// let cx = background.context(&root);
/// let called = background.toolbox().call(&cx, "ListBackgroundTasks", "{}").await;
/// assert_eq!(called.into_wire().output, "[]");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it aborts everything that runs"]
pub struct Background {
    registry: Registry,
    toolbox: Toolbox,
    #[cfg(feature = "sessions")]
    agents: Option<Agents>,
}

impl Background {
    /// Starts to put one together.
    pub fn builder() -> BackgroundBuilder {
        BackgroundBuilder::default()
    }

    /// Returns the registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Opens a root: one conversation, with ids and an inbox of its own.
    pub fn root_scope(&self) -> Scope {
        self.registry.root_scope()
    }

    /// Returns the tools of the host's own model.
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// Returns how large an answer of these tools may be, for what else the host puts in a prompt.
    pub fn budget(&self) -> &Budget {
        self.toolbox.answer_budget()
    }

    /// Returns a context for calling tools on behalf of a scope. A conversation has one, for it
    /// remembers what its answers have told.
    pub fn context(&self, scope: &Scope) -> ToolContext {
        ToolContext::new(scope.clone())
    }

    /// Returns the agents, if models were given for them.
    #[cfg(feature = "sessions")]
    pub fn agents(&self) -> Option<&Agents> {
        self.agents.as_ref()
    }
}

/// Puts a [`Background`] together.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BackgroundBuilder {
    limits: Option<Limits>,
    budget: Budget,
    tools: Vec<Arc<dyn Tool>>,
    #[cfg(feature = "sessions")]
    agents: Vec<AgentSpec>,
    #[cfg(feature = "sessions")]
    models: Option<Models>,
    #[cfg(feature = "sessions")]
    folder_of_agents: Option<std::path::PathBuf>,
    #[cfg(feature = "sessions")]
    manages_agents: bool,
    #[cfg(feature = "sessions")]
    hooks: Hooks,
    #[cfg(feature = "sessions")]
    compaction: CompactionSpec,
}

/// A [`Background`] could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The tools do not fit together.
    #[error(transparent)]
    Tools(#[from] ToolboxError),
    /// The agents do not fit together.
    #[cfg(feature = "sessions")]
    #[error(transparent)]
    Agents(#[from] AgentsError),
    /// There are agents, and no model to run them on.
    #[cfg(feature = "sessions")]
    #[error("there are agents, and no model to run them on")]
    NoModels,
}

impl BackgroundBuilder {
    /// Sets how much each root may have. By default 32 tasks run at once, 1,024 wait, tasks nest 4
    /// deep, and 1,024 outcomes or 64 MiB of them may be undelivered.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_agents::{Background, core::Limits};
    ///
    /// let background = Background::builder().limits(Limits::default().running(4)).build()?;
    /// # Ok::<(), bg_agents::BuildError>(())
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets how large an answer of a tool may be. By default 2,000 tokens, estimated.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Adds the `Bash` tool, which runs commands in this folder.
    #[cfg(feature = "process")]
    pub fn folder(self, folder: impl AsRef<std::path::Path>) -> Self {
        self.tools([Arc::new(bg_process::Bash::new(folder)) as Arc<dyn Tool>])
    }

    /// Adds tools of the host's own, for its model and for the agents that list them.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Adds agents.
    #[cfg(feature = "sessions")]
    pub fn agents(mut self, agents: impl IntoIterator<Item = AgentSpec>) -> Self {
        self.agents.extend(agents);
        self
    }

    /// Sets the models that agents run on.
    #[cfg(feature = "sessions")]
    pub fn models(mut self, models: Models) -> Self {
        self.models = Some(models);
        self
    }

    /// Adds the agents that are defined in a folder, and keeps there what a model wants to keep; see
    /// [`AgentsBuilder::folder`](bg_sessions::AgentsBuilder::folder).
    #[cfg(feature = "sessions")]
    pub fn agents_in(mut self, folder: impl Into<std::path::PathBuf>) -> Self {
        self.folder_of_agents = Some(folder.into());
        self
    }

    /// Lets the host's model define agents, and call each as a tool of its own: adds
    /// `subagents_manager` and `SA_<name>`.
    #[cfg(feature = "sessions")]
    pub fn manage_agents(mut self) -> Self {
        self.manages_agents = true;
        self
    }

    /// Sets who is consulted and told about the runs of agents.
    #[cfg(feature = "sessions")]
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Sets when and how far the conversations of agents are compacted.
    #[cfg(feature = "sessions")]
    pub fn compaction(mut self, spec: CompactionSpec) -> Self {
        self.compaction = spec;
        self
    }

    /// Puts it together: the task tools, the tools that were added, and `InvokeAgent` if there are
    /// models for agents.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: two tools of one name, an agent that lists a tool which is not there, agents
    /// without a model.
    pub fn build(self) -> Result<Background, BuildError> {
        let limits = self.limits.unwrap_or_else(default_limits);
        let toolbox =
            Toolbox::new().budget(self.budget).with_all(task_tools())?.with_all(self.tools)?;
        #[cfg(feature = "sessions")]
        let (agents, toolbox) = {
            let builder =
                self.models.map(|models| Agents::builder(models).agents(self.agents.clone()));
            let builder =
                builder.map(|builder| builder.hooks(self.hooks).compaction(self.compaction));
            let builder = builder.map(|builder| match self.folder_of_agents {
                Some(folder) => builder.folder(folder),
                None => builder,
            });
            with_agents(toolbox, &self.agents, builder, self.manages_agents)?
        };
        Ok(Background {
            registry: Registry::builder().limits(limits).build(),
            toolbox,
            #[cfg(feature = "sessions")]
            agents,
        })
    }
}

fn default_limits() -> Limits {
    Limits::default().running(32).queued(1024).depth(4).output_bytes(64 << 20)
}

#[cfg(feature = "sessions")]
fn with_agents(
    toolbox: Toolbox,
    specs: &[AgentSpec],
    builder: Option<AgentsBuilder>,
    manages: bool,
) -> Result<(Option<Agents>, Toolbox), BuildError> {
    let Some(builder) = builder else {
        return if specs.is_empty() { Ok((None, toolbox)) } else { Err(BuildError::NoModels) };
    };
    let agents = builder.toolbox(toolbox.clone()).build()?;
    let toolbox = toolbox.with(InvokeAgent::new(agents.clone()))?;
    let toolbox = if manages { toolbox.with_source(agents.tools(true)) } else { toolbox };
    Ok((Some(agents), toolbox))
}

impl std::fmt::Debug for BackgroundBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackgroundBuilder").finish_non_exhaustive()
    }
}
