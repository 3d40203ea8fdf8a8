//! What the tests of sessions have in common.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use bg_core::{Finished, Scope, TaskId};
use bg_sessions::{
    Agents, InvokeError, Model, ModelError, ModelInfo, ModelReply, ModelRequest, Part, Prompted,
    RunOptions, SessionAnswer, SessionCommand, Turn, TurnsModel,
};
use tokio_util::sync::CancellationToken;

use crate::common::AGENT;

/// The id of the session that most tests have.
pub(crate) const SESSION: &str = "s1";

/// A caller of one session of the agent of the tests.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) agents: Agents,
    pub(crate) scope: Scope,
    pub(crate) session: &'static str,
}

impl Caller {
    pub(crate) fn new(agents: &Agents, scope: &Scope) -> Self {
        Self { agents: agents.clone(), scope: scope.clone(), session: SESSION }
    }

    pub(crate) fn say(&self, text: &str) -> Result<Prompted, InvokeError> {
        let command = SessionCommand::parse(text);
        self.agents.prompt(&self.scope, AGENT, self.session, command, RunOptions::default())
    }

    /// Queues a prompt.
    #[track_caller]
    pub(crate) fn ask(&self, text: &str) -> TaskId {
        match self.say(text).unwrap() {
            Prompted::Queued { task } => task,
            other => panic!("not queued: {other:?}"),
        }
    }

    /// Gives a command.
    #[track_caller]
    pub(crate) fn command(&self, text: &str) -> SessionAnswer {
        match self.say(text).unwrap() {
            Prompted::Done(answer) => answer,
            other => panic!("no command: {other:?}"),
        }
    }

    /// Waits for the reply to a prompt and takes it.
    pub(crate) async fn reply(&self, task: TaskId) -> Arc<Finished> {
        self.scope.wait([task]).await.unwrap();
        self.scope.claim(task).unwrap().ack()
    }

    /// Waits for the reply to a prompt, which is to be a good one.
    pub(crate) async fn text(&self, task: TaskId) -> String {
        let done = self.reply(task).await;
        crate::common::completed(&done).text.clone()
    }

    /// Asks, and waits for the text of the reply.
    pub(crate) async fn talk(&self, text: &str) -> String {
        let task = self.ask(text);
        self.text(task).await
    }
}

/// A model that answers what a function says.
#[derive(Clone)]
pub(crate) struct Answering<F>(pub(crate) F);

#[async_trait]
impl<F> Model for Answering<F>
where
    F: Fn(&ModelRequest) -> Turn + Clone + Send + Sync + 'static,
{
    fn info(&self) -> ModelInfo {
        ModelInfo::new("answering")
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        TurnsModel::new([(self.0)(&request)]).complete(request, token).await
    }
}

/// What everybody says in a request, one text after the other.
pub(crate) fn heard(request: &ModelRequest) -> Vec<String> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    };
    parts.filter_map(text).collect()
}
