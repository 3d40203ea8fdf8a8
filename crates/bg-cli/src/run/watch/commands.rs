//! What is done when a command is typed.

use bg_agents::core::{CancelOutcome, Phase, TaskId};
use bg_agents::sessions::{Prompted, SessionAnswer, SessionCommand};

use super::Watch;
use crate::run::screen::{count, one_line, time};
use crate::run::typed::Typed;

/// What stopped tasks give as their reason.
const REASON: &str = "a command was typed";

/// What a command is about.
enum Target {
    Task(TaskId),
    /// A session, or the prompt to it that is under way.
    Session {
        agent: String,
        name: String,
        is_asked: bool,
    },
}

impl Watch<'_> {
    /// Does what a line says, and tells what came of it.
    pub(super) fn obey(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let answer = match line.parse() {
            Ok(Typed::Quit) => return self.ends.quit.cancel(),
            Ok(Typed::Status) => self.status(),
            Ok(Typed::Steer { task, text }) => self.at(&task, |watch, id| watch.steer(id, text)),
            Ok(Typed::Stop { task }) => self.at(&task, Self::stop),
            Ok(Typed::Cancel { task }) => self.at(&task, Self::cancel),
            Err(help) => help.to_string(),
        };
        self.screen.line(&answer);
    }

    /// Answers for a task of the run.
    fn at(&self, task: &str, answer: impl FnOnce(&Self, TaskId) -> String) -> String {
        match self.team.root.resolve(task) {
            Ok(id) => format!("{id}: {}", one_line(&answer(self, id))),
            Err(error) => one_line(&error.to_string()),
        }
    }

    fn target(&self, id: TaskId) -> Target {
        let named = |agent: &str, name: &str| {
            let mut asked = self.running.values().map(|at| self.order.item(*at).session());
            let is_asked = asked.any(|session| session == Some(name));
            Target::Session { agent: agent.to_owned(), name: name.to_owned(), is_asked }
        };
        let item = self.running.get(&id).map(|at| self.order.item(*at));
        let prompt = item.and_then(|item| Some(named(item.agent()?, item.session()?)));
        let session = || self.sessions.of_task(id).map(|(name, agent)| named(agent, name));
        prompt.or_else(session).unwrap_or(Target::Task(id))
    }

    fn steer(&self, id: TaskId, text: String) -> String {
        match self.target(id) {
            Target::Task(id) => match self.team.root.send(id, text) {
                Ok(()) => "will hear it".to_owned(),
                Err(error) => error.to_string(),
            },
            // It would take it for a prompt, which nobody has planned.
            Target::Session { is_asked: false, .. } => "is asked nothing now".to_owned(),
            Target::Session { agent, name, .. } => {
                self.tell_session(&agent, &name, SessionCommand::Steer(text))
            }
        }
    }

    /// Stops a task, or what a session does now: it goes on with its next prompt.
    fn stop(&self, id: TaskId) -> String {
        match self.target(id) {
            Target::Task(id) => self.cancel_task(id),
            Target::Session { agent, name, .. } => {
                self.tell_session(&agent, &name, SessionCommand::Stop(REASON.to_owned()))
            }
        }
    }

    /// Stops a task, or ends a session.
    fn cancel(&self, id: TaskId) -> String {
        match self.target(id) {
            Target::Task(id) => self.cancel_task(id),
            Target::Session { agent, name, .. } => {
                self.tell_session(&agent, &name, SessionCommand::Cancel(REASON.to_owned()))
            }
        }
    }

    fn cancel_task(&self, id: TaskId) -> String {
        match self.team.root.cancel(id, REASON) {
            Ok(CancelOutcome::AlreadyRequested) => "was being stopped already".to_owned(),
            Ok(CancelOutcome::AlreadyEnded(status)) => format!("is {status} already"),
            Ok(_) => "is being stopped".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn tell_session(&self, agent: &str, name: &str, command: SessionCommand) -> String {
        match self.team.tell_session(agent, name, command) {
            Ok(Prompted::Done(SessionAnswer::Steered { .. }) | Prompted::Queued { .. }) => {
                "will hear it".to_owned()
            }
            Ok(Prompted::Done(SessionAnswer::Stopped { .. })) => {
                format!("what the session {name} does is being stopped")
            }
            Ok(Prompted::Done(SessionAnswer::Cancelled { .. })) => {
                format!("the session {name} is being ended")
            }
            Ok(_) => format!("the session {name} is over"),
            Err(error) => error.to_string(),
        }
    }

    /// What runs and what waits, a line each.
    fn status(&self) -> String {
        let all = self.team.root.snapshot();
        let live = all.iter().filter(|task| !task.status.is_terminal());
        let mut lines: Vec<String> = live
            .map(|task| {
                // Of its own a session knows the agent alone.
                let session = self.sessions.of_task(task.id).map(|(name, _)| name);
                let label = one_line(session.unwrap_or(task.label()));
                let id = task.id.to_string();
                let (status, age) = (task.status, time(task.age));
                format!("  {id:<11} {label}: {status}{}, for {age}", words(task.phase))
            })
            .collect();
        let waiting = self.order.waiting().map(|at| one_line(&self.order.item(at).label));
        lines.extend(waiting.map(|label| format!("  waits       {label}")));
        let tokens = usize::try_from(self.meter.tokens()).unwrap_or(usize::MAX);
        let ended = count(self.results.len(), "result");
        lines.insert(0, format!("status: {ended} so far, {}", count(tokens, "token")));
        lines.join("\n")
    }
}

/// What a task does, behind its status.
fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::WaitingForModel => ", waiting for the model",
        Phase::WaitingForTool => ", waiting for a tool",
        Phase::WaitingForInput => ", waiting for a message",
        Phase::WaitingForApproval => ", waiting for approval",
        // It works.
        _ => "",
    }
}
