//! The agents of a host, and how they are run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bg_core::{Finished, Scope, Task, TaskId, text};
use bg_tools::{ToolError, Toolbox, ToolboxError};

use crate::error::{AgentsError, InvokeError};
use crate::invoke::InvokeAgent;
use crate::model::Model;
use crate::models::Models;
use crate::runner::{Run, RunSpec};
use crate::spec::AgentSpec;

/// The agents of a host: definitions, their tools and their models, checked and ready to run.
///
/// A handle; clones share the agents. It holds no registry: every run is a task of the scope that
/// it is started in.
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
pub struct Agents(Arc<BTreeMap<String, Agent>>);

/// A definition with what it names.
struct Agent {
    spec: AgentSpec,
    tools: Toolbox,
    model: Arc<dyn Model>,
    /// Whether each run gets an [`InvokeAgent`] of its own. It is not kept here: it holds the
    /// agents, and would keep them alive for ever.
    invokes: bool,
}

/// What may differ from one run to the next.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// A model in place of the agent's own.
    pub model: Option<Arc<dyn Model>>,
    /// The task's label in place of the agent's name.
    pub label: Option<String>,
    /// Whether somebody waits for it; see [`Task::foreground`].
    pub foreground: bool,
}

impl RunOptions {
    /// Sets a model in place of the agent's own.
    pub fn with_model(mut self, model: impl Model) -> Self {
        self.model = Some(Arc::new(model));
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
        AgentsBuilder { models, toolbox: Toolbox::new(), specs: Vec::new() }
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
        if prompt.trim().is_empty() {
            return Err(InvokeError::EmptyPrompt);
        }
        let label = options.label.unwrap_or_else(|| agent.spec.name.clone());
        let run = RunSpec {
            instructions: agent.spec.instructions.as_str().into(),
            prompt: prompt.clone(),
            tools: self.tools_of(agent),
            model: options.model.unwrap_or_else(|| agent.model.clone()),
            step_cap: agent.spec.step_cap.unwrap_or(AgentSpec::DEFAULT_STEP_CAP),
        };
        let task = Task::agent(label, prompt);
        let task = if options.foreground { task.foreground() } else { task };
        Ok(scope.spawn(task, |cx| Run::new(cx, run).drive())?)
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
    pub fn specs(&self) -> impl Iterator<Item = &AgentSpec> {
        self.0.values().map(|agent| &agent.spec)
    }

    fn find(&self, name: &str) -> Result<&Agent, InvokeError> {
        // Models write names the way they write the beginning of a sentence.
        let agent = self.0.get(&name.trim().to_ascii_lowercase());
        agent.ok_or_else(|| InvokeError::UnknownAgent {
            name: text::prefix(name, 64).escape_debug().to_string(),
            known: self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    fn tools_of(&self, agent: &Agent) -> Toolbox {
        let tools = agent.tools.clone();
        if !agent.invokes {
            return tools;
        }
        // The builder has seen that no other tool has the name.
        let invoke = InvokeAgent::new(self.clone());
        tools.clone().with(invoke).unwrap_or(tools)
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Agents").field(&self.0.keys()).finish()
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
}

impl AgentsBuilder {
    /// Sets the tools that definitions can name. `InvokeAgent` can be named without being in it.
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

    /// Checks the definitions and what they name.
    ///
    /// # Errors
    ///
    /// [`AgentsError`], for the first definition that is wrong.
    pub fn build(self) -> Result<Agents, AgentsError> {
        let mut agents = BTreeMap::new();
        for spec in self.specs {
            spec.check()?;
            let name = spec.name.clone();
            let agent = Agent::new(spec, &self.toolbox, &self.models)?;
            if agents.insert(name.clone(), agent).is_some() {
                return Err(AgentsError::Duplicate(name));
            }
        }
        Ok(Agents(Arc::new(agents)))
    }
}

impl Agent {
    fn new(spec: AgentSpec, toolbox: &Toolbox, models: &Models) -> Result<Self, AgentsError> {
        let is_ours = |name: &str| name == InvokeAgent::NAME && !toolbox.contains(name);
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            spec.tools.iter().map(String::as_str).partition(|name| is_ours(name));
        let wrong_tool = |source: ToolboxError| {
            let agent = spec.name.clone();
            AgentsError::Tools { agent, source }
        };
        let tools = toolbox.select(theirs).map_err(wrong_tool)?;
        let invokes = !ours.is_empty();
        let model = match &spec.model {
            None => models.default_model(),
            Some(label) => models
                .get(label)
                .map_err(|source| AgentsError::Model { agent: spec.name.clone(), source })?,
        };
        Ok(Self { spec, tools, model, invokes })
    }
}
