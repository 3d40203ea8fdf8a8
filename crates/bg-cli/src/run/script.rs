//! Scripts that are played in the middle of a conversation, and what is said where there is none.

use std::sync::Arc;

use async_trait::async_trait;
use bg_agents::sessions::{
    Message, Model, ModelError, ModelInfo, ModelReply, ModelRequest, Part, Role, Script,
    ScriptError, ScriptModel,
};
use tokio_util::sync::CancellationToken;

/// Plays a script in answer to one prompt, whatever was said before it.
pub(crate) struct Answer {
    model: ScriptModel,
    prompt: String,
}

impl Answer {
    pub(crate) fn new(script: Script, prompt: String) -> Self {
        Self { model: ScriptModel::new(script), prompt }
    }

    /// Leaves out what was said before the prompt. If that is not there word for word, it is in what
    /// was made of a conversation that had grown too long.
    fn since_prompt(&self, mut request: ModelRequest) -> ModelRequest {
        let is_prompt = |part: &Part| matches!(part, Part::Text(text) if *text == self.prompt);
        let has_prompt = |message: &Message| message.parts.iter().any(is_prompt);
        let from = request.messages.iter().rposition(has_prompt).unwrap_or(0);
        request.messages = Arc::new(request.messages[from..].to_vec());
        request
    }
}

/// Plays agents that the plan has no script for: those that are called by other agents, which fails,
/// and sessions that are told of their background work between two prompts, which they pass on.
pub(crate) struct Unscripted {
    called: ScriptModel,
    told: ScriptModel,
}

impl Unscripted {
    pub(crate) fn new() -> Result<Self, ScriptError> {
        let called = "fail only the tasks and the prompts of a plan have scripts".parse()?;
        let told = "say {{prompt}}".parse()?;
        Ok(Self { called: ScriptModel::new(called), told: ScriptModel::new(told) })
    }
}

#[async_trait]
impl Model for Unscripted {
    fn info(&self) -> ModelInfo {
        self.called.info()
    }

    async fn complete(
        &self,
        mut request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        // Only a script can have answered before.
        if !request.messages.iter().any(|message| message.role == Role::Assistant) {
            return self.called.complete(request, token).await;
        }
        request.messages = Arc::new(request.messages.last().cloned().into_iter().collect());
        self.told.complete(request, token).await
    }
}

#[async_trait]
impl Model for Answer {
    fn info(&self) -> ModelInfo {
        self.model.info()
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        self.model.complete(self.since_prompt(request), token).await
    }
}
