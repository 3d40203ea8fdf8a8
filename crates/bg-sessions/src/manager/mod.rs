//! `subagents_manager`: a model defines agents, and looks at those that there are.

mod args;

use async_trait::async_trait;
use bg_core::{Failure, text};
use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::agent_tool::{AgentTool, CallArgs};
use crate::agents::{Agents, Upserted};
use crate::error::{AgentsError, ChangeError};
use crate::invoke::InvokeAgent;
use crate::session::SessionStatus;
use crate::spec::{AgentSpec, listed};
use args::{Args, Operation};

/// Longest description and instructions that an answer shows, in bytes.
const MAX_TEXT_BYTES: usize = 2000;
/// The same in a list.
const MAX_ROW_BYTES: usize = 120;

/// Lets a model define agents, change, list and remove them, and run one at once.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "script")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bg_core::Registry;
/// use bg_sessions::{Agents, Models, ScriptModel};
/// use bg_tools::{ToolContext, Toolbox};
///
/// let model = ScriptModel::new("say 3 crates".parse()?);
/// let agents = Agents::builder(Models::new("script", model)).build()?;
/// let toolbox = Toolbox::new().with_source(agents.tools(true));
///
/// let registry = Registry::new();
/// let cx = ToolContext::new(registry.root_scope());
/// let args = r#"{"name": "explore", "description": "Looks around."}"#;
/// let wire = toolbox.call(&cx, "subagents_manager", args).await.into_wire();
/// assert!(wire.output.contains(r#""callable":"SA_explore""#));
/// let wire = toolbox.call(&cx, "SA_explore", r#"{"prompt": "map repo"}"#).await.into_wire();
/// assert!(wire.output.contains("3 crates"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "script"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct ManageAgents {
    agents: Agents,
}

impl ManageAgents {
    /// The name of the tool, by which a definition asks for it.
    pub const NAME: &str = "subagents_manager";

    /// Makes the tool for a host's own toolbox.
    pub fn new(agents: Agents) -> Self {
        Self { agents }
    }

    async fn upsert(&self, cx: &ToolContext, args: Args) -> Result<ToolOutput, ToolError> {
        let name = args.required_name()?;
        let (persist, call) = (args.persist(), args.call());
        let spec = args.applied_to(self.agents.get(&name).unwrap_or_else(|| AgentSpec::new(name)));
        let done = self.agents.upsert(spec.clone(), persist).await.map_err(refused)?;
        let sessions = self.agents.sessions_of(cx.scope(), Some(&spec.name)).len();
        let answer = upserted(&spec, done, sessions);
        match call {
            Some(call) => self.run(cx, &spec.name, call, &answer).await,
            None => ToolOutput::json(&answer),
        }
    }

    /// Runs a task at once. If that fails, the agent is there nevertheless.
    async fn run(
        &self,
        cx: &ToolContext,
        name: &str,
        call: CallArgs,
        subagent: &Value,
    ) -> Result<ToolOutput, ToolError> {
        let cx = cx.with_less_room(&subagent.to_string());
        let patience = InvokeAgent::DEFAULT_PATIENCE;
        match call.call(Self::NAME, &self.agents, name, &cx, patience).await {
            Ok(mut output) => {
                let answer = RawValue::from_string(output.text).map_err(ToolError::failed)?;
                output.text = ToolOutput::json(&Ran { subagent, output: &answer })?.text;
                Ok(output)
            }
            Err(error) => {
                let failed_reason = error.to_text();
                ToolOutput::json(&json!({"subagent": subagent, "failed_reason": failed_reason}))
            }
        }
    }

    /// Lists those whose name has a part, with the caller's sessions of each, as many as fit.
    fn list(&self, cx: &ToolContext, part: &str) -> Result<ToolOutput, ToolError> {
        let specs = self.agents.specs();
        let sessions = self.agents.sessions_of(cx.scope(), None);
        let found: Vec<Value> = specs
            .iter()
            .filter(|spec| spec.name.contains(part))
            .map(|spec| row(spec, sessions.iter().filter(|session| session.agent == spec.name)))
            .collect();
        let mut shown = &found[..];
        loop {
            let omitted = found.len() - shown.len();
            let hint = match omitted {
                0 => "call one by its callable".to_owned(),
                more => format!("{more} more: list with a part of the name"),
            };
            let count = found.len();
            let answer =
                json!({"result": "listed", "count": count, "subagents": shown, "hint": hint});
            let output = ToolOutput::json(&answer)?;
            if cx.budget().fits(&output.text) || shown.is_empty() {
                return Ok(output);
            }
            shown = &shown[..shown.len() - shown.len().div_ceil(8)];
        }
    }

    fn get(&self, name: &str) -> Result<ToolOutput, ToolError> {
        let spec = self.agents.get(name).ok_or_else(|| unknown(name))?;
        ToolOutput::json(&json!({
            "result": "found",
            "name": spec.name,
            "callable": AgentTool::name_of(&spec.name),
            "description": text::excerpt(spec.summary(), MAX_TEXT_BYTES / 4),
            "instructions": text::excerpt(&spec.instructions, MAX_TEXT_BYTES),
            "tools": spec.tools,
            "tags": spec.tags,
            "has_output_schema": spec.output_schema.is_some(),
            "model": spec.model,
            "effort": spec.effort,
            "idle_timeout": spec.idle_timeout().as_secs(),
        }))
    }

    async fn remove(&self, name: &str) -> Result<ToolOutput, ToolError> {
        if !self.agents.remove(name).await.map_err(refused)? {
            return Err(unknown(name));
        }
        ToolOutput::json(&json!({"result": "removed", "name": name}))
    }
}

/// An agent, and what it has answered.
#[derive(Serialize)]
struct Ran<'a> {
    subagent: &'a Value,
    output: &'a RawValue,
}

fn upserted(spec: &AgentSpec, done: Upserted, sessions: usize) -> Value {
    let callable = AgentTool::name_of(&spec.name);
    let result = if done.is_persisted { "persisted" } else { "created" };
    let change = if done.is_new { "it is new" } else { "it was changed" };
    json!({
        "result": result,
        "name": spec.name,
        "callable": callable,
        "persisted": done.is_persisted,
        "model": spec.model,
        "effort": spec.effort,
        "active_sessions": sessions,
        "hint": format!("{change}; call it as {callable}"),
    })
}

fn row<'a>(spec: &AgentSpec, sessions: impl Iterator<Item = &'a SessionStatus>) -> Value {
    let sessions: Vec<&SessionStatus> = sessions.collect();
    let mut row = json!({
        "name": spec.name,
        "callable": AgentTool::name_of(&spec.name),
        "description": text::excerpt(spec.summary(), MAX_ROW_BYTES),
        "tools": spec.tools,
        "tags": spec.tags,
        "has_output_schema": spec.output_schema.is_some(),
        "model": spec.model,
        "effort": spec.effort,
        "idle_timeout": spec.idle_timeout().as_secs(),
        "active_sessions": sessions.len(),
    });
    if !sessions.is_empty() {
        row["sessions"] = json!(sessions);
    }
    row
}

fn unknown(name: &str) -> ToolError {
    let name = text::prefix(name, 64).escape_debug().to_string();
    ToolError::argument(ManageAgents::NAME, format!("`name`: there is no agent \"{name}\""))
}

fn refused(error: ChangeError) -> ToolError {
    let field = match &error {
        ChangeError::Agent(AgentsError::Spec(_)) => "name",
        ChangeError::Agent(AgentsError::Tools { .. }) => "tools",
        ChangeError::Agent(AgentsError::Model { .. }) => "model",
        ChangeError::NoFolder => "persist",
        _ => return ToolError::failed(error),
    };
    ToolError::argument(ManageAgents::NAME, format!("`{field}`: {}", Failure::from(error)))
}

#[async_trait]
impl Tool for ManageAgents {
    fn definition(&self) -> ToolDefinition {
        let labels = self.agents.model_labels();
        let tools = self.agents.tool_names();
        let description = format!(
            "Defines sub-agents that you can call as tools, changes, lists, shows and removes them. \
             What you leave out of a change stays as it is. Models: {}. Tools they can have: {}.",
            listed(&labels),
            listed(&tools)
        );
        ToolDefinition::of::<Args>(Self::NAME, description)
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
        let args: Args = parse_args(Self::NAME, args)?;
        match args.operation.unwrap_or(Operation::Upsert) {
            Operation::Upsert => self.upsert(cx, args).await,
            Operation::List => self.list(cx, &args.required_name().unwrap_or_default()),
            Operation::Get => self.get(&args.required_name()?),
            Operation::Remove => self.remove(&args.required_name()?).await,
        }
    }

    fn deadline(&self) -> Option<std::time::Duration> {
        Some(InvokeAgent::DEADLINE)
    }
}
