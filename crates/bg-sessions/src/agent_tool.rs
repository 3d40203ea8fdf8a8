//! `SA_<name>`: one agent as a tool.

use std::sync::LazyLock;

use async_trait::async_trait;
use bg_tools::{BoolArg, Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::agents::{Agents, RunOptions};
use crate::error::InvokeError;
use crate::invoke::InvokeAgent;
use crate::session::{Prompted, SessionCommand};

/// What a name of such a tool begins with.
const PREFIX: &str = "SA_";

/// Runs one agent for a model, as [`InvokeAgent`] runs any of them. Its description says what the
/// agent is good for, and what it may use.
#[derive(Clone, Debug)]
pub(crate) struct AgentTool {
    agents: Agents,
    /// The agent. It may be gone by the time of the call.
    name: String,
    description: String,
}

/// What every call of an agent may say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallArgs {
    /// All that it needs: it does not see your conversation.
    pub(crate) prompt: String,
    /// An id, to go on with later.
    pub(crate) session: Option<String>,
    pub(crate) background: Option<BoolArg>,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<EffortArg>,
}

/// The names of the arguments.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let schema = ToolDefinition::of::<CallArgs>(PREFIX, "").parameters;
    let names = schema["properties"].as_object().into_iter().flat_map(|names| names.keys());
    names.cloned().collect()
});

/// Takes an object that has none of our names for data that the agent is to work on: its JSON is the
/// prompt. One that has some is meant as arguments, right or wrong, and an empty one says nothing.
fn or_task_data(args: Value) -> Value {
    let is_foreign = args.as_object().is_some_and(|object| {
        !object.is_empty() && !object.keys().any(|name| NAMES.contains(name))
    });
    if is_foreign { prompt(&args.to_string()) } else { args }
}

/// The arguments that say nothing but a prompt.
fn prompt(text: &str) -> Value {
    json!({"prompt": text})
}

/// An effort as a model writes it; an empty text is the agent's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EffortArg(Option<crate::Effort>);

impl<'de> Deserialize<'de> for EffortArg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.trim() {
            "" => Ok(Self(None)),
            word => word.parse().map(|effort| Self(Some(effort))).map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for EffortArg {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Effort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"enum": ["minimal", "low", "medium", "high", "max"]})
    }
}

impl EffortArg {
    pub(crate) fn effort(self) -> Option<crate::Effort> {
        self.0
    }
}

impl CallArgs {
    /// Starts the agent and answers: at once in the background, else when it has ended or the
    /// patience has.
    pub(crate) async fn call(
        self,
        tool: &str,
        agents: &Agents,
        agent: &str,
        cx: &ToolContext,
        patience: std::time::Duration,
    ) -> Result<ToolOutput, ToolError> {
        let background = self.background == Some(BoolArg(true));
        let wrong = |error| refused(tool, error);
        let effort = self.effort.and_then(EffortArg::effort);
        let resources = cx.resources().to_vec();
        let mut options =
            RunOptions { foreground: !background, effort, resources, ..RunOptions::default() };
        if let Some(label) = self.model.as_deref().filter(|label| !label.trim().is_empty()) {
            options.model = Some(agents.model(label).map_err(wrong)?);
        }
        let session = self.session.filter(|session| !session.trim().is_empty());
        let id = match session {
            None => agents.spawn(cx.scope(), agent, self.prompt, options).map_err(wrong)?,
            Some(session) => {
                let said = SessionCommand::parse(&self.prompt);
                match agents.prompt(cx.scope(), agent, &session, said, options).map_err(wrong)? {
                    Prompted::Queued { task } => task,
                    Prompted::Done(answer) => return ToolOutput::json(&answer),
                }
            }
        };
        if background { cx.background(id) } else { cx.foreground(id, patience).await }
    }
}

fn refused(tool: &str, error: InvokeError) -> ToolError {
    let field = match &error {
        InvokeError::UnknownAgent { .. } => "agent_name",
        InvokeError::EmptyPrompt => "prompt",
        InvokeError::Model(_) => "model",
        InvokeError::SessionId => "session",
        _ => return error.into(),
    };
    ToolError::argument(tool, format!("`{field}`: {error}"))
}

impl AgentTool {
    /// Returns the name of the tool for an agent.
    pub(crate) fn name_of(agent: &str) -> String {
        format!("{PREFIX}{agent}")
    }

    /// Returns the agent that a tool of this name is for. Models write names in any case.
    pub(crate) fn agent_of(tool: &str) -> Option<&str> {
        let (prefix, agent) = tool.split_at_checked(PREFIX.len())?;
        prefix.eq_ignore_ascii_case(PREFIX).then_some(agent)
    }

    /// Makes the tool; `None` if there is no such agent.
    pub(crate) fn new(agents: &Agents, agent: &str) -> Option<Self> {
        let spec = agents.get(agent)?;
        let description = spec.routing();
        Some(Self { agents: agents.clone(), name: spec.name, description })
    }
}

#[async_trait]
impl Tool for AgentTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<CallArgs>(Self::name_of(&self.name), self.description.as_str())
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let name = Self::name_of(&self.name);
        let args: CallArgs = parse_args(&name, or_task_data(args))?;
        args.call(&name, &self.agents, &self.name, cx, InvokeAgent::DEFAULT_PATIENCE).await
    }

    fn plain_text(&self, text: &str) -> Option<Value> {
        Some(prompt(text))
    }

    fn deadline(&self) -> Option<std::time::Duration> {
        Some(InvokeAgent::DEADLINE)
    }
}
