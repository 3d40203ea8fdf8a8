//! What a plan starts, before it is known what the names in `after` refer to.

use std::ops::Range;

use bg_agents::sessions::{AgentSpec, Script, ScriptError, is_agent_name};
use toml::Spanned;

use super::error::{PlanError, Source};
use super::raw::{RawProcess, RawPrompt, RawSession, RawTask};
use super::{Ask, Item, PlannedProcess, PlannedPrompt, Work};

/// An item whose `after` is names.
pub(super) struct Draft {
    pub(super) item: Item,
    /// What others name it by.
    pub(super) name: Option<Spanned<String>>,
    pub(super) after: Vec<Spanned<String>>,
}

/// The items of a plan in the order in which they start, if nothing else decides.
pub(super) struct Drafts<'a> {
    source: Source<'a>,
    agents: &'a [AgentSpec],
    /// Scripts play the agents, not a language model.
    plays_scripts: bool,
    ignores_scripts: bool,
    items: Vec<Draft>,
}

impl<'a> Drafts<'a> {
    pub(super) fn new(source: Source<'a>, agents: &'a [AgentSpec], plays_scripts: bool) -> Self {
        Self { source, agents, plays_scripts, ignores_scripts: false, items: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        tasks: Vec<Spanned<RawTask>>,
        sessions: Vec<Spanned<RawSession>>,
        processes: Vec<RawProcess>,
    ) -> Result<(), PlanError> {
        tasks.into_iter().try_for_each(|task| self.task(task))?;
        sessions.into_iter().try_for_each(|session| self.session(session))?;
        processes.into_iter().try_for_each(|process| self.process(process))
    }

    /// Returns the items, and whether there were scripts that nobody plays.
    pub(super) fn done(self) -> (Vec<Draft>, bool) {
        (self.items, self.ignores_scripts)
    }

    fn task(&mut self, task: Spanned<RawTask>) -> Result<(), PlanError> {
        let span = task.span();
        let RawTask { name, agent, after, prompt, script } = task.into_inner();
        let ask = self.ask(&span, &agent, prompt, script)?;
        let label = name.as_ref().unwrap_or(&agent).get_ref().clone();
        self.push(name, after, label, Work::Task(ask))
    }

    /// A session is its prompts, one after the other; its name means the last one.
    fn session(&mut self, session: Spanned<RawSession>) -> Result<(), PlanError> {
        let span = session.span();
        let RawSession { name, agent, prompts } = session.into_inner();
        let (first, of) = (self.items.len(), prompts.len());
        if of == 0 {
            return Err(self.source.wrong(&span, "the session has no [[session.prompt]]"));
        }
        for (number, prompt) in (1..).zip(prompts) {
            let span = prompt.span();
            let RawPrompt { after, prompt, script } = prompt.into_inner();
            let ask = self.ask(&span, &agent, prompt, script)?;
            let session = name.get_ref().clone();
            let label = if of == 1 { session.clone() } else { format!("{session} {number}/{of}") };
            let follows = (number > 1).then(|| first + number - 2);
            let work = Work::Prompt(PlannedPrompt { session, ask, follows });
            let name = (number == of).then(|| name.clone());
            self.push(name, after, label, work)?;
        }
        Ok(())
    }

    fn process(&mut self, raw: RawProcess) -> Result<(), PlanError> {
        let RawProcess { name, label, command, after, stop_when_done } = raw;
        let problem = match command.get_ref() {
            command if command.trim().is_empty() => Some("the command is empty"),
            command if command.contains('\0') => Some("the command has a NUL byte in it"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(self.source.wrong(&command.span(), problem));
        }
        let label = label.or_else(|| name.as_ref().map(|name| name.get_ref().clone()));
        let command = command.into_inner();
        let shown = label.clone().unwrap_or_else(|| command.clone());
        let process = PlannedProcess { label, command, stop_when_done };
        self.push(name, after, shown, Work::Process(process))
    }

    fn push(
        &mut self,
        name: Option<Spanned<String>>,
        after: Vec<Spanned<String>>,
        label: String,
        work: Work,
    ) -> Result<(), PlanError> {
        if let Some(name) = &name {
            self.check_name(name)?;
        }
        self.items.push(Draft {
            item: Item { label, file: String::new(), after: Vec::new(), work },
            name,
            after,
        });
        Ok(())
    }

    fn check_name(&self, name: &Spanned<String>) -> Result<(), PlanError> {
        let text = name.get_ref();
        let wrong = |problem: String| Err(self.source.wrong(&name.span(), problem));
        if !is_agent_name(text) {
            return wrong(format!("\"{text}\" cannot be a name: {NAMES_ARE}"));
        }
        let mut names = self.items.iter().filter_map(|draft| draft.name.as_ref());
        if names.any(|other| other.get_ref() == text) {
            return wrong(format!("there are two with the name \"{text}\""));
        }
        Ok(())
    }

    /// Makes what stands at a place in the plan into something that an agent can be asked.
    fn ask(
        &mut self,
        place: &Range<usize>,
        agent: &Spanned<String>,
        prompt: String,
        script: Option<Spanned<String>>,
    ) -> Result<Ask, PlanError> {
        let prompt = Some(prompt).filter(|prompt| !prompt.trim().is_empty());
        let needed = if self.plays_scripts {
            script.is_none().then_some(NO_SCRIPT)
        } else {
            prompt.is_none().then_some(NO_PROMPT)
        };
        if let Some(problem) = needed {
            return Err(self.source.wrong(place, problem));
        }
        let spec = self.agent(agent)?;
        self.ignores_scripts |= !self.plays_scripts && script.is_some();
        let script = script.filter(|_| self.plays_scripts);
        let script = script.map(|script| script_of(self.source, &script, spec)).transpose()?;
        // A script needs no prompt; lists then show what the agent is for.
        let prompt = prompt.unwrap_or_else(|| spec.summary().to_owned());
        Ok(Ask { agent: spec.name.clone(), prompt, script })
    }

    fn agent(&self, agent: &Spanned<String>) -> Result<&'a AgentSpec, PlanError> {
        let agents = self.agents;
        agents.iter().find(|spec| spec.name == *agent.get_ref()).ok_or_else(|| {
            let known = agents.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
            let problem = format!("unknown agent \"{}\"; the plan has: {known}", agent.get_ref());
            self.source.wrong(&agent.span(), problem)
        })
    }
}

const NO_SCRIPT: &str = "there is no `script`, and `--model script` plays nothing else";

const NO_PROMPT: &str = "there is no `prompt`, and a language model needs one";

const NAMES_ARE: &str =
    "lower-case letters, digits and underscores, starting with a letter, at most 61 bytes";

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
