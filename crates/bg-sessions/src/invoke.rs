//! `InvokeAgent`.

use std::time::Duration;

use async_trait::async_trait;
use bg_core::{ClaimError, Finished, Scope, Status, TaskId, text};
use bg_tools::{
    ANSWER_BYTES, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args, status_word,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agents::{Agents, RunOptions};
use crate::error::InvokeError;

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
    #[serde(default)]
    background: Option<bool>,
}

impl InvokeAgent {
    /// The name of the tool, by which a definition asks for it.
    pub const NAME: &str = "InvokeAgent";

    /// How long a call waits, unless the host says otherwise.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(100);

    /// Makes the tool for a host's own toolbox.
    pub fn new(agents: Agents) -> Self {
        Self { agents, patience: Self::DEFAULT_PATIENCE }
    }

    /// Sets how long a call waits before its agent goes on in the background.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn spawn(&self, scope: &Scope, args: Args, background: bool) -> Result<TaskId, ToolError> {
        let options = RunOptions::default();
        let options = if background { options } else { options.foreground() };
        let spawned = self.agents.spawn(scope, &args.agent_name, args.prompt, options);
        spawned.map_err(|error| match error {
            InvokeError::UnknownAgent { .. } => {
                ToolError::argument(Self::NAME, format!("`agent_name`: {error}"))
            }
            InvokeError::EmptyPrompt => {
                ToolError::argument(Self::NAME, format!("`prompt`: {error}"))
            }
            InvokeError::Spawn(error) => error.into(),
            InvokeError::Outcome(error) => error,
        })
    }

    /// Names the agents, with a word about each.
    fn roster(&self) -> String {
        let entry = |spec: &crate::AgentSpec| {
            let summary = text::cut(spec.summary().to_owned(), MAX_SUMMARY_BYTES);
            format!("{}: {summary}", spec.name)
        };
        let mut entries: Vec<String> = self.agents.specs().take(MAX_NAMED).map(entry).collect();
        let more = self.agents.specs().count() - entries.len();
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
            "Runs a sub-agent and returns its answer. Set background only if you have other work \
             to do meanwhile, not if you need the answer next: it arrives by itself, do not poll. \
             Agents: {}",
            self.roster()
        );
        ToolDefinition::of::<Args>(Self::NAME, description)
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(Self::NAME, args)?;
        let background = args.background.unwrap_or(false);
        let scope = cx.scope();
        let id = self.spawn(scope, args, background)?;
        if background {
            return ToolOutput::json(&Started::of(scope, id));
        }
        match scope.foreground(id)?.within(self.patience).await {
            Ok(Some(claim)) => Ok(ToolOutput::json(&Ended::of(&claim, false))?.with_claim(claim)),
            Ok(None) => ToolOutput::json(&Started::of(scope, id).after(self.patience)),
            Err(ClaimError::Delivered(other)) => {
                ToolOutput::json(&Ended::of(other.finished(), true))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Longer than the patience, which is the bound that answers.
    fn deadline(&self) -> Option<Duration> {
        Some(self.patience.saturating_add(Duration::from_secs(30)))
    }
}

/// An agent that runs in the background.
#[derive(Serialize)]
struct Started {
    task_id: TaskId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Started {
    fn of(scope: &Scope, task_id: TaskId) -> Self {
        // One that has ended by now is still told as running: the result comes through the inbox.
        let pending = scope.inspect(task_id).is_ok_and(|task| task.status == Status::Pending);
        let status = if pending { "pending" } else { "running" };
        Self { task_id, status, note: None }
    }

    fn after(mut self, patience: Duration) -> Self {
        self.note = Some(format!(
            "no answer within {} s: it goes on in the background, and its result will arrive by \
             itself",
            patience.as_secs()
        ));
        self
    }
}

/// An agent that has ended.
#[derive(Serialize)]
struct Ended {
    task_id: TaskId,
    status: &'static str,
    output: String,
    /// Where `ReadTaskOutput` goes on when `output` was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Another call of the same turn waited for the agent as well, and was first.
    #[serde(skip_serializing_if = "Option::is_none")]
    already_delivered: Option<bool>,
}

impl Ended {
    fn of(finished: &Finished, already_delivered: bool) -> Self {
        let status = status_word(finished.id.kind(), finished.status());
        let whole = finished.outcome.output().map_or("", |output| &output.text);
        let output = text::prefix(whole, ANSWER_BYTES);
        let omitted = whole.len() - output.len();
        Self {
            task_id: finished.id,
            status,
            output: output.to_owned(),
            next_cursor: (omitted > 0).then_some(output.len()),
            omitted_bytes: (omitted > 0).then_some(omitted),
            reason: finished.outcome.reason().map(|reason| text::cut(reason, 200)),
            already_delivered: already_delivered.then_some(true),
        }
    }
}
