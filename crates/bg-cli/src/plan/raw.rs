//! From TOML to a plan: the shape first, then what the names refer to.

use std::collections::BTreeSet;

use bg_agents::sessions::{AgentSpec, Script, ScriptError};
use serde::Deserialize;
use toml::Spanned;

use super::error::{PlanError, Source};
use super::{Plan, PlannedProcess, PlannedTask};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "agent")]
    agents: Vec<RawAgent>,
    #[serde(default, rename = "task")]
    tasks: Vec<Spanned<RawTask>>,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    agent: Spanned<String>,
    #[serde(default)]
    prompt: String,
    script: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProcess {
    label: Option<String>,
    command: Spanned<String>,
    #[serde(default)]
    stop_when_done: bool,
}

/// Reads and checks a plan. `tools` are the tools that agents may name.
pub(super) fn parse(name: &str, text: &str, tools: &[&str]) -> Result<Plan, PlanError> {
    let source = Source { name, text };
    let raw: RawPlan = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        source.wrong(&span, error.message())
    })?;
    if raw.tasks.is_empty() && raw.processes.is_empty() {
        return Err(source.wrong(&(0..0), "the plan has neither a [[task]] nor a [[process]]"));
    }
    let agents = agents(source, raw.agents, tools)?;
    let task = |task| planned_task(source, task, &agents);
    let tasks = raw.tasks.into_iter().map(task).collect::<Result<_, _>>()?;
    let process = |process| planned_process(source, process);
    let processes = raw.processes.into_iter().map(process).collect::<Result<_, _>>()?;
    Ok(Plan { name: name.to_owned(), agents, tasks, processes })
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
        AgentSpec::new(self.name.into_inner())
            .with_description(self.description)
            .with_instructions(self.instructions)
            .with_tools(self.tools.into_iter().map(Spanned::into_inner))
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

fn planned_task(
    source: Source<'_>,
    task: Spanned<RawTask>,
    agents: &[AgentSpec],
) -> Result<PlannedTask, PlanError> {
    let task_span = task.span();
    let RawTask { agent, prompt, script } = task.into_inner();
    let Some(spec) = agents.iter().find(|spec| spec.name == *agent.get_ref()) else {
        let known = agents.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
        let problem = format!("unknown agent \"{}\"; the plan has: {known}", agent.get_ref());
        return Err(source.wrong(&agent.span(), problem));
    };
    let Some(text) = script else {
        let problem = "the task has no `script`, and `--model script` plays nothing else";
        return Err(source.wrong(&task_span, problem));
    };
    let script = script_of(source, &text, spec)?;
    // A script needs no prompt; lists then show what the agent is for.
    let prompt = Some(prompt).filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.unwrap_or_else(|| spec.summary().to_owned());
    Ok(PlannedTask { agent: agent.into_inner(), prompt, script })
}

fn script_of(
    source: Source<'_>,
    text: &Spanned<String>,
    agent: &AgentSpec,
) -> Result<Script, PlanError> {
    let span = text.span();
    let script: Script = text.get_ref().parse().map_err(|error: ScriptError| {
        let problem = format!("in the script: {}", error.problem);
        match lines_before_script(source.text.get(span.clone()).unwrap_or_default()) {
            Some(before) => source.wrong_lines_after(&span, error.line - 1 + before, problem),
            None => source.wrong(&span, problem),
        }
    })?;
    if let Some(tool) = script.tool_names().find(|tool| !agent.tools.iter().any(|t| t == tool)) {
        let problem =
            format!("the script calls {tool}, which the agent {} does not have", agent.name);
        return Err(source.wrong(&span, problem));
    }
    Ok(script)
}

/// Returns how many lines a multi-line string has before its first line of text: none, or that of the
/// quotes. `None` for a string on one line, whose line ends are escapes.
fn lines_before_script(written: &str) -> Option<usize> {
    let text = written.strip_prefix("'''").or_else(|| written.strip_prefix("\"\"\""))?;
    Some(usize::from(text.starts_with(['\n', '\r'])))
}

fn planned_process(source: Source<'_>, raw: RawProcess) -> Result<PlannedProcess, PlanError> {
    let problem = match raw.command.get_ref() {
        command if command.trim().is_empty() => "the command is empty",
        command if command.contains('\0') => "the command has a NUL byte in it",
        _ => {
            let RawProcess { label, command, stop_when_done } = raw;
            return Ok(PlannedProcess { label, command: command.into_inner(), stop_when_done });
        }
    };
    Err(source.wrong(&raw.command.span(), problem))
}
