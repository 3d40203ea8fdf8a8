//! From TOML to a plan: the shape first, then what the names refer to.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use bg_agents::sessions::{AgentSpec, Effort};
use serde::Deserialize;
use toml::Spanned;

use super::error::{PlanError, Source};
use super::work::Drafts;
use super::{Item, Plan, files, order};
use crate::model::{Choice, ModelArgs, PlannedModel};

/// How long a session of the plan waits for its next prompt, in seconds: as long as one may.
const SESSION_WAITS_SECS: u64 = 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    model: Option<PlannedModel>,
    #[serde(default, rename = "agent")]
    agents: Vec<RawAgent>,
    #[serde(default, rename = "task")]
    tasks: Vec<Spanned<RawTask>>,
    #[serde(default, rename = "session")]
    sessions: Vec<Spanned<RawSession>>,
    #[serde(default, rename = "process")]
    processes: Vec<RawProcess>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    instructions: String,
    #[serde(default)]
    tools: Vec<Spanned<String>>,
    effort: Option<Effort>,
    output_schema: Option<serde_json::Value>,
    step_cap: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTask {
    pub(super) name: Option<Spanned<String>>,
    pub(super) agent: Spanned<String>,
    #[serde(default)]
    pub(super) after: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) prompt: String,
    pub(super) script: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSession {
    pub(super) name: Spanned<String>,
    pub(super) agent: Spanned<String>,
    #[serde(default, rename = "prompt")]
    pub(super) prompts: Vec<Spanned<RawPrompt>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrompt {
    #[serde(default)]
    pub(super) after: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) prompt: String,
    pub(super) script: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProcess {
    pub(super) name: Option<Spanned<String>>,
    pub(super) label: Option<String>,
    pub(super) command: Spanned<String>,
    #[serde(default)]
    pub(super) after: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) stop_when_done: bool,
}

/// Reads and checks a plan, which may have nothing to do. `tools` are the tools that agents may name.
pub(super) fn parse(
    name: &str,
    text: &str,
    tools: &[&str],
    model: &ModelArgs,
) -> Result<Plan, PlanError> {
    let source = Source { name, text };
    let raw: RawPlan = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        source.wrong(&span, error.message())
    })?;
    let model = model.choose(raw.model)?;
    let agents = agents(source, raw.agents, tools)?;
    let mut drafts = Drafts::new(source, &agents, model == Choice::Script);
    drafts.add(raw.tasks, raw.sessions, raw.processes)?;
    let (drafts, ignores_scripts) = drafts.done();
    let mut items = order::ordered(source, drafts)?;
    files::name_files(&mut items);
    let agents = agents.into_iter().map(|agent| patient(agent, &items)).collect();
    Ok(Plan { name: name.to_owned(), model, ignores_scripts, agents, items })
}

/// Has the sessions of an agent wait for what their prompts come after.
fn patient(agent: AgentSpec, items: &[Item]) -> AgentSpec {
    let has_session =
        |item: &Item| item.session().is_some() && item.agent() == Some(agent.name.as_str());
    if items.iter().any(has_session) {
        return agent.with_idle_timeout_secs(SESSION_WAITS_SECS);
    }
    agent
}

fn agents(
    source: Source<'_>,
    raw: Vec<RawAgent>,
    tools: &[&str],
) -> Result<Vec<AgentSpec>, PlanError> {
    let mut names = BTreeSet::new();
    for agent in &raw {
        let (span, name) = (agent.name.span(), agent.name.get_ref());
        AgentSpec::new(name).check().map_err(|error| source.wrong(&span, error))?;
        if !names.insert(name.clone()) {
            return Err(source.wrong(&span, format!("there are two agents \"{name}\"")));
        }
        for tool in &agent.tools {
            check_tool(source, tool, tools)?;
        }
    }
    Ok(raw.into_iter().map(RawAgent::into_spec).collect())
}

impl RawAgent {
    fn into_spec(self) -> AgentSpec {
        let mut spec = AgentSpec::new(self.name.into_inner())
            .with_description(self.description)
            .with_instructions(self.instructions)
            .with_tools(self.tools.into_iter().map(Spanned::into_inner));
        spec.effort = self.effort;
        spec.output_schema = self.output_schema;
        spec.step_cap = self.step_cap;
        spec
    }
}

fn check_tool(source: Source<'_>, tool: &Spanned<String>, tools: &[&str]) -> Result<(), PlanError> {
    if tools.contains(&tool.get_ref().as_str()) {
        return Ok(());
    }
    let known = tools.join(", ");
    let problem = format!("unknown tool \"{}\"; the tools are: {known}", tool.get_ref());
    Err(source.wrong(&tool.span(), problem))
}
