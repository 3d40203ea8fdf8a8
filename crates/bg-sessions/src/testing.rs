//! Models for tests.
//!
//! # Invariants
//!
//! 1. Each lock is a leaf: nothing is called while it is held.
//!
//! # Lock order
//!
//! None: no lock is taken under another one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::Usage;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::compaction::is_summary_request;
use crate::history::is_answered;
use crate::message::{Message, Part, ToolCall};
use crate::model::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};

/// What a [`TurnsModel`] does when it is asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Turn {
    /// It answers.
    Reply(ModelReply),
    /// It does not.
    Fail(ModelError),
    /// It does the rest after a while.
    After(Duration, Box<Turn>),
    /// It does nothing, for ever.
    Hang,
    /// It panics with this message.
    Panic(&'static str),
}

impl Turn {
    /// Says something of which no cost is known.
    pub fn say_uncounted(text: impl Into<String>) -> Self {
        Self::Reply(ModelReply::say(text))
    }

    /// Says something, for 10 tokens in and 1 out.
    pub fn say(text: impl Into<String>) -> Self {
        Self::Reply(ModelReply::say(text).with_usage(turn_usage()))
    }

    /// Calls one tool, for 10 tokens in and 1 out; the call's id is the tool's name.
    pub fn call(tool: &str, args: &str) -> Self {
        Self::calls([(tool, args)])
    }

    /// Calls tools, for 10 tokens in and 1 out. The id of a call is made of its number and the
    /// tool's name.
    pub fn calls<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let call = |(number, (tool, args)): (usize, (&str, &str))| {
            ToolCall::new(format!("{number}-{tool}"), tool, args)
        };
        let calls = calls.into_iter().enumerate().map(call);
        Self::Reply(ModelReply::call(calls).with_usage(turn_usage()))
    }

    /// Says what a reply has cost, in place of what it costs.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        match &mut self {
            Self::Reply(reply) => reply.usage = usage,
            Self::After(_, then) => {
                let inner = std::mem::replace(&mut **then, Self::Hang);
                **then = inner.with_usage(usage);
            }
            Self::Fail(_) | Self::Hang | Self::Panic(_) => {}
        }
        self
    }

    /// Does it after a while.
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

fn turn_usage() -> Usage {
    let mut usage = Usage::default();
    (usage.requests, usage.input_tokens, usage.output_tokens) = (1, 10, 1);
    usage
}

/// A model that does one thing after the other. When there is nothing left, it fails.
///
/// Clones share what is left.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Message, Model, ModelRequest, Part, Turn, TurnsModel};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bg_sessions::ModelError> {
/// let model = TurnsModel::new([Turn::say("hello")]);
/// let request = ModelRequest::new(vec![Message::user(vec![Part::text("hi")])]);
/// let reply = model.complete(request.clone(), CancellationToken::new()).await?;
/// assert_eq!(reply.text(), "hello");
/// assert!(model.complete(request, CancellationToken::new()).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TurnsModel {
    left: Arc<Mutex<VecDeque<Turn>>>,
    info: ModelInfo,
}

impl TurnsModel {
    /// Makes a model that takes these turns.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let left = Arc::new(Mutex::new(turns.into_iter().collect()));
        Self { left, info: ModelInfo::new("turns") }
    }

    /// Says how large its window is, in tokens.
    pub fn with_context_window(mut self, tokens: u64) -> Self {
        self.info = self.info.with_context_window(tokens);
        self
    }

    fn next(&self) -> Turn {
        let nothing_left = || Turn::Fail(ModelError::fatal("the test gave no further turn"));
        self.left.lock().pop_front().unwrap_or_else(nothing_left)
    }
}

#[async_trait]
impl Model for TurnsModel {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    async fn complete(
        &self,
        _: ModelRequest,
        _: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        let mut turn = self.next();
        loop {
            match turn {
                Turn::Reply(reply) => return Ok(reply),
                Turn::Fail(error) => return Err(error),
                Turn::After(delay, then) => {
                    tokio::time::sleep(delay).await;
                    turn = *then;
                }
                Turn::Hang => std::future::pending().await,
                Turn::Panic(message) => std::panic::panic_any(message),
            }
        }
    }
}

/// A model whose requests are kept, and checked: each has to be a conversation that providers
/// take, with the result of each call right after it.
///
/// Clones share what is kept.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Message, Model, ModelRequest, Part, Recorded, Turn, TurnsModel};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bg_sessions::ModelError> {
/// let model = Recorded::new(TurnsModel::new([Turn::say("hello")]));
/// let request = ModelRequest::new(vec![Message::user(vec![Part::text("hi")])]);
/// model.complete(request, CancellationToken::new()).await?;
/// assert_eq!(model.requests().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recorded<M> {
    model: M,
    requests: Arc<Mutex<Vec<ModelRequest>>>,
}

impl<M: Model> Recorded<M> {
    /// Keeps what this model is asked.
    pub fn new(model: M) -> Self {
        Self { model, requests: Arc::default() }
    }

    /// Returns what it was asked so far.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().clone()
    }
}

#[async_trait]
impl<M: Model> Model for Recorded<M> {
    fn info(&self) -> ModelInfo {
        self.model.info()
    }

    /// # Panics
    ///
    /// Panics if the conversation is one that providers do not take.
    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        assert!(is_answered(&request.messages), "a call without its result: {request:#?}");
        let is_empty = |message: &Message| message.parts.is_empty();
        assert!(!request.messages.iter().any(is_empty), "an empty message: {request:#?}");
        let is_blank = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        let mut parts = request.messages.iter().flat_map(|message| &message.parts);
        assert!(!parts.any(is_blank), "a blank text: {request:#?}");
        self.requests.lock().push(request.clone());
        self.model.complete(request, token).await
    }
}

/// A model that leaves the requests for summaries of a conversation to another one.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Model, Turn, TurnsModel, WithSummaries};
///
/// let work = TurnsModel::new([Turn::say("done")]).with_context_window(8000);
/// let model = WithSummaries::new(work, TurnsModel::new([Turn::say("so far so good")]));
/// assert_eq!(model.info().context_window, Some(8000));
/// ```
#[derive(Clone, Debug)]
pub struct WithSummaries<M, S> {
    work: M,
    summaries: S,
}

impl<M: Model, S: Model> WithSummaries<M, S> {
    /// Makes a model that is `work` and summarizes as `summaries` does.
    pub fn new(work: M, summaries: S) -> Self {
        Self { work, summaries }
    }
}

#[async_trait]
impl<M: Model, S: Model> Model for WithSummaries<M, S> {
    fn info(&self) -> ModelInfo {
        self.work.info()
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        if is_summary_request(&request) {
            return self.summaries.complete(request, token).await;
        }
        self.work.complete(request, token).await
    }
}
