//! `InvokeAgent`.

use std::time::Duration;

use async_trait::async_trait;
use bg_core::text;
use bg_tools::{BoolArg, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::agent_tool::{CallArgs, EffortArg};
use crate::agents::Agents;

/// How much longer than the patience a call may take.
const MARGIN: Duration = Duration::from_secs(30);

/// Most agents that the description names.
const MAX_NAMED: usize = 8;

/// Longest description of an agent among the others, in bytes.
const MAX_SUMMARY_BYTES: usize = 120;

/// Runs an agent for a model: in the foreground as long as the patience lasts, in the background if
/// asked for.
///
/// An agent that outlives the patience goes on in the background, and the answer says so. A call
/// that is dropped stops its agent.
///
/// An agent has the tool if its spec lists it. A host adds it to a toolbox of its own to let its
/// main model run agents.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "script")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bg_core::Registry;
/// use bg_sessions::{AgentSpec, Agents, InvokeAgent, Models, ScriptModel};
/// use bg_tools::{ToolContext, Toolbox};
///
/// let models = Models::new("script", ScriptModel::new("say 3 crates".parse()?));
/// let agents = Agents::builder(models).agent(AgentSpec::new("explore")).build()?;
/// let toolbox = Toolbox::new().with(InvokeAgent::new(agents))?;
///
/// let registry = Registry::new();
/// let cx = ToolContext::new(registry.root_scope());
/// let args = r#"{"agent_name": "explore", "prompt": "map repo"}"#;
/// let wire = toolbox.call(&cx, "InvokeAgent", args).await.into_wire();
/// let answer = r#"{"task_id":"agent:1","status":"completed","output":"3 crates"}"#;
/// assert_eq!(wire.output, answer);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "script"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct InvokeAgent {
    agents: Agents,
    patience: Duration,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    agent_name: String,
    /// All that it needs to know: it does not see your conversation.
    prompt: String,
    /// An id: goes on where that left off. Prompts /status, /steer TEXT, /stop and /cancel work then.
    session: Option<String>,
    /// Return its task id at once.
    background: Option<BoolArg>,
    /// A label, in place of its own.
    model: Option<String>,
    effort: Option<EffortArg>,
}

impl InvokeAgent {
    /// The name of the tool, by which a definition asks for it.
    pub const NAME: &str = "InvokeAgent";

    /// How long a call waits, unless the host says otherwise.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(100);

    /// How long a call may take with that patience.
    pub(crate) const DEADLINE: Duration = Duration::from_secs(130);

    /// Makes the tool for a host's own toolbox.
    pub fn new(agents: Agents) -> Self {
        Self { agents, patience: Self::DEFAULT_PATIENCE }
    }

    /// Sets how long a call waits before its agent goes on in the background.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Names the agents, with a word about each.
    fn roster(&self) -> String {
        let specs = self.agents.specs();
        let entry = |spec: &crate::AgentSpec| {
            format!("{}: {}", spec.name, text::excerpt(spec.summary(), MAX_SUMMARY_BYTES))
        };
        let mut entries: Vec<String> = specs.iter().take(MAX_NAMED).map(entry).collect();
        let more = specs.len() - entries.len();
        if more > 0 {
            entries.push(format!("and {more} more"));
        }
        entries.join("; ")
    }
}

#[async_trait]
impl Tool for InvokeAgent {
    fn definition(&self) -> ToolDefinition {
        let description = format!(
            "Runs a sub-agent and returns its answer; a slow one goes on in the background by \
             itself. Set background only if you have other work to do meanwhile: the answer \
             arrives by itself, do not wait or poll for it. Agents: {}",
            self.roster()
        );
        ToolDefinition::of::<Args>(Self::NAME, description)
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let Args { agent_name, prompt, session, background, model, effort } =
            parse_args(Self::NAME, args)?;
        let call = CallArgs { prompt, session, background, model, effort };
        call.call(Self::NAME, &self.agents, &agent_name, cx, self.patience).await
    }

    /// Longer than the patience, which is the bound that answers.
    fn deadline(&self) -> Option<Duration> {
        Some(self.patience.saturating_add(MARGIN))
    }
}
