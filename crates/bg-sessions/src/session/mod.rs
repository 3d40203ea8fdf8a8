//! Sessions: sub-agents that stay between prompts.
//!
//! A session is a task of the caller's scope, with an id that the caller has chosen; a prompt to it is
//! another one, whose outcome is the reply. There are two ways in. Prompts wait in a bounded queue and
//! are processed in order, those that wait together in one turn. Commands do not wait: a stop and a
//! cancel take hold of the turn under way, and words to steer it go through the session's mailbox.
//!
//! # Invariants
//!
//! 1. A session is found under its key from before its first prompt is accepted until its task is over,
//!    and one that takes no more prompts is replaced in the same critical section that finds it so.
//!    Two callers that race for a key have the same session.
//! 2. The runner alone takes prompts out of the queue, and answers for each that it takes: with a
//!    reply, a failure, or the end of the session. What it does not get to is answered for by the guard
//!    that takes the session off the list.
//! 3. A session holds the scope of its caller weakly, so it keeps no conversation of a host open.
//!
//! # Lock order
//!
//! The list of sessions before the queue of one. The state of a session is a leaf. Nothing of the
//! registry's is called under any of them.

mod answer;
mod askers;
mod command;
mod list;
pub(crate) mod queue;
mod runner;
mod state;

pub use answer::{Child, Prompted, SessionAnswer, SessionStatus};
pub use command::SessionCommand;
pub(crate) use list::{Key, Sessions};
pub(crate) use runner::Worker;
pub(crate) use state::Session;

use std::sync::Arc;

use bg_core::{Completer, Kind, MailboxCaps, Scope, SendError, Task, TaskId};
use bg_tools::Resource;

use crate::agents::{Agent, Agents, RunOptions};
use crate::effort::Effort;
use crate::error::InvokeError;
use crate::model::Model;
use list::Found;
use queue::{Place, Refusal};

/// A prompt that waits for its session.
pub(crate) struct Input {
    pub(crate) text: String,
    pub(crate) resources: Vec<Resource>,
    /// The task whose outcome is the reply.
    pub(crate) asker: Completer,
    pub(crate) model: Option<Arc<dyn Model>>,
    pub(crate) effort: Option<Effort>,
}

/// Longest id of a session, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Longest reason of a stop, in bytes.
const MAX_REASON_BYTES: usize = 400;

impl Agents {
    /// Says something to a session of this scope: a prompt, which starts the session if there is none
    /// with this id, or a command. Ids are compared without regard to case; every agent and every scope
    /// has its own.
    ///
    /// A prompt is a task: the reply is its outcome. Several that wait together are answered in one
    /// turn; then the last one has the reply, and the others name it. Commands are answered at once.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]; nothing was started and nothing is queued. [`SessionFull`] when as many prompts
    /// wait as may.
    ///
    /// [`SessionFull`]: InvokeError::SessionFull
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bg_core::Registry;
    /// use bg_sessions::{
    ///     AgentSpec, Agents, Models, Prompted, RunOptions, SessionCommand, Turn, TurnsModel,
    /// };
    ///
    /// let model = TurnsModel::new([Turn::say("3 crates"), Turn::say("the middle one")]);
    /// let agents =
    ///     Agents::builder(Models::new("test", model)).agent(AgentSpec::new("explore")).build()?;
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// for (prompt, reply) in [("map repo", "3 crates"), ("which is the largest?", "the middle one")] {
    ///     let prompt = SessionCommand::Prompt(prompt.to_owned());
    ///     let asked = agents.prompt(&root, "explore", "s1", prompt, RunOptions::default())?;
    ///     let Prompted::Queued { task, .. } = asked else { panic!("{asked:?}") };
    ///     root.wait([task]).await?;
    ///     let done = root.claim(task)?.ack();
    ///     assert_eq!(done.outcome.output().map(|output| &*output.text), Some(reply));
    /// }
    /// let stop = SessionCommand::Cancel("that is all".to_owned());
    /// agents.prompt(&root, "explore", "s1", stop, RunOptions::default())?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "test-util"))]
    /// # fn main() {}
    /// ```
    pub fn prompt(
        &self,
        scope: &Scope,
        agent: &str,
        session: &str,
        command: SessionCommand,
        options: RunOptions,
    ) -> Result<Prompted, InvokeError> {
        let agent = self.find(agent)?;
        let key = Key::new(scope, &agent.spec.name, session_id(session)?);
        match command {
            SessionCommand::Prompt(text) => self.ask(scope, &agent, key, text, options),
            SessionCommand::Steer(text) => self.steer(scope, &agent, key, text, options),
            SessionCommand::Ping if !options.resources.is_empty() => {
                self.ask(scope, &agent, key, String::new(), options)
            }
            command => Ok(Prompted::Done(self.control(scope, &key, &command))),
        }
    }

    /// Queues a prompt (I1).
    fn ask(
        &self,
        scope: &Scope,
        agent: &Arc<Agent>,
        key: Key,
        text: String,
        options: RunOptions,
    ) -> Result<Prompted, InvokeError> {
        let resources = agent.attached(options.resources)?;
        let options = RunOptions { resources, ..options };
        if text.trim().is_empty() && options.resources.is_empty() {
            return Err(InvokeError::EmptyPrompt);
        }
        let Found { session, place, is_new } = self.sessions().find(&key, text.len())?;
        if is_new {
            self.start(scope, agent, key, &session)?;
        }
        let queued = queue(scope, place, text, agent, options);
        if is_new && queued.is_err() {
            session.abandon(scope);
        }
        Ok(Prompted::Queued { task: queued? })
    }

    /// Starts the task of a new session. One that cannot be started takes nothing any more.
    fn start(
        &self,
        scope: &Scope,
        agent: &Arc<Agent>,
        key: Key,
        session: &Arc<Session>,
    ) -> Result<(), InvokeError> {
        let task = Task::of_kind(Kind::SESSION, key.agent().to_owned(), key.id().to_owned());
        // Takes it off the list wherever the task ends, also before it has begun.
        let listed = self.sessions().listed(key, session.clone());
        let (spec, idle) = (self.run_spec(agent), agent.spec.idle_timeout());
        let owner = scope.downgrade();
        let task = scope.spawn(task.mailbox(MailboxCaps::default()), move |cx| {
            Worker::new(cx, spec, owner, listed, idle).live()
        })?;
        session.started(task);
        if session.queue().is_closed() {
            // It was cancelled in this moment, by somebody who did not know the task.
            let _ = scope.cancel(task, "the session was cancelled");
        }
        Ok(())
    }

    /// Tells the turn under way something; where there is none, asks.
    fn steer(
        &self,
        scope: &Scope,
        agent: &Arc<Agent>,
        key: Key,
        text: String,
        options: RunOptions,
    ) -> Result<Prompted, InvokeError> {
        if text.trim().is_empty() {
            return Err(InvokeError::EmptyPrompt);
        }
        let Some(session) = self.sessions().get(&key) else {
            return Ok(Prompted::Done(SessionAnswer::not_active(&key, "steer")));
        };
        // What is attached can only be given to a turn at its beginning.
        let attached = options.resources.iter().any(|resource| agent.spec.takes(resource));
        let Some(task) = session.task().filter(|_| session.is_busy() && !attached) else {
            return self.ask(scope, agent, key, text, options);
        };
        match scope.send(task, text) {
            Ok(()) => Ok(Prompted::Done(SessionAnswer::steered(&key))),
            Err(SendError::Full { messages, bytes, .. }) => {
                Err(InvokeError::SessionFull { prompts: messages, bytes })
            }
            Err(_) => Ok(Prompted::Done(SessionAnswer::not_active(&key, "steer"))),
        }
    }

    fn control(&self, scope: &Scope, key: &Key, command: &SessionCommand) -> SessionAnswer {
        let Some(session) = self.sessions().get(key) else {
            return SessionAnswer::inactive(key, command);
        };
        match command {
            SessionCommand::Stop(reason) => session.stop(scope, key, reason),
            SessionCommand::Cancel(reason) => session.cancel(scope, key, reason),
            SessionCommand::Status => SessionAnswer::Status(Box::new(session.status(key))),
            _ => {
                session.touch();
                SessionAnswer::Pinged { session: key.id().to_owned() }
            }
        }
    }

    /// Returns what the sessions of a scope are doing, those of one agent or of all.
    pub fn sessions_of(&self, scope: &Scope, agent: Option<&str>) -> Vec<SessionStatus> {
        let mine = self.sessions().of(&scope.downgrade(), agent);
        mine.iter().map(|(key, session)| session.status(key)).collect()
    }
}

/// Registers the task of a prompt, and puts the prompt into the place that was kept for it.
fn queue(
    scope: &Scope,
    place: Place<Input>,
    text: String,
    agent: &Agent,
    options: RunOptions,
) -> Result<TaskId, InvokeError> {
    let (id, asker) = scope.register(options.task(&agent.spec.name, &text))?;
    let RunOptions { model, effort, resources, .. } = options;
    if let Err(input) = place.fill(Input { text, resources, asker, model, effort }) {
        // The session was cancelled in this moment.
        askers::refuse(input.asker, "its session has ended");
    }
    Ok(id)
}

fn session_id(written: &str) -> Result<String, InvokeError> {
    let id = written.trim().to_lowercase();
    let is_printable = !id.chars().any(char::is_control);
    if id.is_empty() || id.len() > MAX_ID_BYTES || !is_printable {
        return Err(InvokeError::SessionId);
    }
    Ok(id)
}

impl From<Refusal> for InvokeError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { prompts, bytes } => Self::SessionFull { prompts, bytes },
            // Only the list meets a closed queue, and replaces it.
            Refusal::Closed => Self::SessionFull { prompts: 0, bytes: 0 },
        }
    }
}
