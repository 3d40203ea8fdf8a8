//! Who works: the agents, their tools, and the processes of a plan.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bg_agents::core::{Scope, TaskId};
use bg_agents::process::{ProcessError, ProcessSpec, Processes};
use bg_agents::sessions::{
    Agents, InvokeError, Model, Models, Prompted, RunOptions, ScriptError, SessionCommand,
};
use bg_agents::{Background, BuildError};

use super::player::Player;
use crate::file_tools::file_tools;
use crate::files::Folder;
use crate::plan::{Ask, Item, Plan, PlannedProcess, PlannedPrompt};

/// The tools for an agent's own background tasks.
pub(crate) const TASK_TOOLS: [&str; 4] =
    ["ListBackgroundTasks", "CancelTask", "WaitTask", "ReadTaskOutput"];

/// From SIGTERM to SIGKILL: shorter than the grace of an interrupt, so that the end of a process which
/// ignores SIGTERM is still seen.
const PROCESS_GRACE: Duration = Duration::from_secs(2);

/// A run could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TeamError {
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    #[error("cannot listen for interrupts: {0}")]
    Signals(#[from] io::Error),
    #[error("cannot set the model up: {0}")]
    Model(#[from] bg_models::BuildError),
    #[error(transparent)]
    Save(#[from] super::save::SaveError),
    #[error("cannot put the team together: {0}")]
    Build(#[from] BuildError),
    #[error("cannot start the agent: {0}")]
    Invoke(#[from] InvokeError),
    #[error("cannot start the process: {0}")]
    Process(#[from] ProcessError),
    #[error("the script cannot be played: {0}")]
    Script(#[from] ScriptError),
    /// Another one would begin, which knows nothing of the prompts before.
    #[error("the session is over: it waited for too long")]
    SessionOver,
}

impl TeamError {
    /// Shows the error with its causes.
    pub(crate) fn chain(&self) -> String {
        // The first cause is in the message.
        let mut cause = self.source().and_then(Error::source);
        let mut text = self.to_string();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

/// The background work of one run.
pub(crate) struct Team {
    pub(crate) background: Background,
    pub(crate) root: Scope,
    agents: Agents,
    folder: Arc<Folder>,
    player: Player,
}

impl Team {
    pub(crate) fn new(
        plan: &Plan,
        folder: &Arc<Folder>,
        player: Player,
    ) -> Result<Self, TeamError> {
        let models = Models::new("model", player.of_unplanned()?);
        let background = Background::builder()
            .models(models)
            .folder(folder.root())
            .tools(file_tools(folder))
            .agents(plan.agents.iter().cloned())
            .build()?;
        let root = background.root_scope();
        let agents = background.agents().cloned().ok_or(BuildError::NoModels)?;
        Ok(Self { background, root, agents, folder: folder.clone(), player })
    }

    pub(crate) fn start_task(
        &self,
        item: &Item,
        ask: Ask,
        prompt: String,
    ) -> Result<TaskId, TeamError> {
        let model = self.player.of_task(&item.file, ask.script);
        let options = options(model, &item.label);
        Ok(self.agents.spawn(&self.root, &ask.agent, prompt, options)?)
    }

    /// Asks a session of the plan. The first prompt to it begins it.
    pub(crate) fn ask(
        &self,
        item: &Item,
        planned: PlannedPrompt,
        prompt: String,
    ) -> Result<TaskId, TeamError> {
        let PlannedPrompt { session, ask, follows } = planned;
        if follows.is_some() && self.session(&ask.agent, &session).is_none() {
            return Err(TeamError::SessionOver);
        }
        let model = self.player.of_prompt(&item.file, ask.script, &prompt);
        let options = options(model, &item.label);
        let prompt = SessionCommand::Prompt(prompt);
        match self.agents.prompt(&self.root, &ask.agent, &session, prompt, options)? {
            Prompted::Queued { task } => Ok(task),
            // Only a command has such an answer.
            _ => Err(TeamError::SessionOver),
        }
    }

    /// Returns the task of a session, if it is there.
    pub(crate) fn session(&self, agent: &str, session: &str) -> Option<TaskId> {
        let sessions = self.agents.sessions_of(&self.root, Some(agent));
        sessions.into_iter().find(|status| status.session == session)?.task_id
    }

    /// Gives a command to a session of the plan.
    pub(crate) fn tell_session(
        &self,
        agent: &str,
        session: &str,
        command: SessionCommand,
    ) -> Result<Prompted, InvokeError> {
        self.agents.prompt(&self.root, agent, session, command, RunOptions::default())
    }

    /// Ends a session that has nothing more to do.
    pub(crate) fn end_session(&self, agent: &str, session: &str) {
        let end = SessionCommand::Cancel("its last prompt was answered".to_owned());
        // It may have ended by itself, and then its outcome says so.
        let _ = self.tell_session(agent, session, end);
    }

    pub(crate) fn start_process(&self, process: &PlannedProcess) -> Result<TaskId, TeamError> {
        let mut spec =
            ProcessSpec::shell(&process.command).cwd(self.folder.root()).grace(PROCESS_GRACE);
        if let Some(label) = &process.label {
            spec = spec.label(label);
        }
        Ok(Processes::new(&self.root).spawn(spec)?)
    }
}

fn options(model: Option<Arc<dyn Model>>, label: &str) -> RunOptions {
    let options = RunOptions::default().with_label(label);
    match model {
        Some(model) => options.with_model(model),
        None => options,
    }
}
