//! Who works: the agents, their tools, and the processes of a plan.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bg_agents::core::{Scope, TaskId};
use bg_agents::process::{ProcessError, ProcessSpec, Processes};
use bg_agents::sessions::{Agents, InvokeError, Models, RunOptions, ScriptError, ScriptModel};
use bg_agents::{Background, BuildError};

use crate::file_tools::file_tools;
use crate::files::Folder;
use crate::plan::{Plan, PlannedProcess, PlannedTask};

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
    #[error("cannot put the team together: {0}")]
    Build(#[from] BuildError),
    #[error("cannot start the agent: {0}")]
    Invoke(#[from] InvokeError),
    #[error("cannot start the process: {0}")]
    Process(#[from] ProcessError),
    #[error("the script cannot be played: {0}")]
    Script(#[from] ScriptError),
}

/// The background work of one run.
pub(crate) struct Team {
    pub(crate) background: Background,
    pub(crate) root: Scope,
    agents: Agents,
    folder: Arc<Folder>,
}

/// What an agent plays that was called by another agent: scripts belong to the plan's tasks.
const NO_SCRIPT: &str = "fail only the tasks of a plan have scripts";

impl Team {
    pub(crate) fn new(plan: &Plan, folder: &Arc<Folder>) -> Result<Self, TeamError> {
        let models = Models::new("script", ScriptModel::new(NO_SCRIPT.parse()?));
        let background = Background::builder()
            .models(models)
            .folder(folder.root())
            .tools(file_tools(folder))
            .agents(plan.agents.iter().cloned())
            .build()?;
        let root = background.root_scope();
        let agents = background.agents().cloned().ok_or(BuildError::NoModels)?;
        Ok(Self { background, root, agents, folder: folder.clone() })
    }

    pub(crate) fn start_task(&self, task: PlannedTask) -> Result<TaskId, TeamError> {
        let options = RunOptions::default().with_model(ScriptModel::new(task.script));
        Ok(self.agents.spawn(&self.root, &task.agent, task.prompt, options)?)
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
