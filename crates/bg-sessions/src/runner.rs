//! One run of an agent: a loop of steps over a state.
//!
//! # Invariants
//!
//! 1. The run owns its history, and a turn enters it whole (see `history.rs`): wherever the run is
//!    dropped, no call in the history is without its result.
//! 2. A claimed outcome is acknowledged after the history has it. A run that ends before that gives
//!    the claim back, and its own outcome lists the task as unclaimed.
//! 3. What a child cost is added when its outcome is acknowledged, so once.
//! 4. A compaction replaces the history in one assignment, after what it awaits (see `compaction`).
//! 5. Nothing is awaited outside [`Run::unless_stopped`]: a stop takes effect at the next poll,
//!    whatever the model or a tool does.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;

use bg_core::{Claim, Failure, Finished, Output, TaskContext, TaskResult};
use bg_tools::{ToolContext, ToolDefinition, Toolbox};
use futures_util::future::{Either, select};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::background::next_burst;
use crate::compaction::{Compaction, CompactionSpec};
use crate::effort::Effort;
use crate::error::RunError;
use crate::history::History;
use crate::message::{Part, ToolCall};
use crate::model::{Model, ModelReply, ModelRequest};
use crate::retry::complete_with_retries;
use crate::tool_calls::call_all;

mod room;

/// What one run needs to know.
pub(crate) struct RunSpec {
    pub(crate) instructions: Arc<str>,
    pub(crate) prompt: String,
    pub(crate) tools: Toolbox,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) compaction: CompactionSpec,
    pub(crate) step_cap: NonZeroU32,
    pub(crate) effort: Option<Effort>,
    pub(crate) output_schema: Option<Arc<Value>>,
}

/// The state of one run.
pub(crate) struct Run {
    cx: TaskContext,
    token: CancellationToken,
    model: Arc<dyn Model>,
    instructions: Arc<str>,
    effort: Option<Effort>,
    output_schema: Option<Arc<Value>>,
    tools: Toolbox,
    /// It remembers what the model has been told, and is made anew when the history is.
    tool_cx: ToolContext,
    /// Of the step: agents come and go, and some tools are described by them.
    definitions: Arc<[ToolDefinition]>,
    step_cap: u32,
    steps: u32,
    history: History,
    compaction: Compaction,
    /// What has been reached: the last text that the model said, and what it all cost.
    output: Output,
}

/// Whether a run goes on after a step.
enum Progress {
    Again,
    Done,
}

impl Run {
    /// Prepares a run in the task that `cx` belongs to.
    pub(crate) fn new(cx: TaskContext, spec: RunSpec) -> Self {
        let token = cx.token();
        let compaction = Compaction::new(&spec);
        Self {
            tool_cx: ToolContext::new(cx.scope()).with_token(token.clone()),
            token,
            output: Output::default().with_model(spec.model.info().name),
            model: spec.model,
            instructions: spec.instructions,
            effort: spec.effort,
            output_schema: spec.output_schema,
            tools: spec.tools,
            definitions: Arc::default(),
            compaction,
            step_cap: spec.step_cap.get(),
            steps: 0,
            history: History::new(spec.prompt),
            cx,
        }
    }

    /// Runs to the answer, or to the error with what had been reached until then.
    pub(crate) async fn drive(mut self) -> TaskResult {
        loop {
            match self.step().await {
                Ok(Progress::Again) => {}
                Ok(Progress::Done) => return Ok(self.answered()),
                Err(error) => return Err(Failure::from(error).with_partial(self.output)),
            }
        }
    }

    /// The output of a run that has ended well; of one that was asked for JSON with what that says.
    fn answered(self) -> Output {
        let data = self.output_schema.and_then(|_| serde_json::from_str(&self.output.text).ok());
        match data {
            Some(data) => self.output.with_data(data),
            None => self.output,
        }
    }

    /// One model turn and what it leads to.
    async fn step(&mut self) -> Result<Progress, RunError> {
        self.begin_step();
        let reply = self.turn().await?;
        self.book(&reply);
        let calls: Vec<ToolCall> = reply.tool_calls().cloned().collect();
        if calls.is_empty() || self.is_past_cap() {
            return self.answer(reply.parts).await;
        }
        self.exchange(reply.parts, calls).await?;
        Ok(Progress::Again)
    }

    fn begin_step(&mut self) {
        let was_past_cap = self.is_past_cap();
        self.steps = self.steps.saturating_add(1);
        self.cx.step(self.steps);
        if self.is_past_cap() && !was_past_cap {
            self.cx.trace(format!("step cap of {} reached", self.step_cap));
        }
        if !self.is_past_cap() {
            self.definitions = self.tools.definitions().into();
            self.compaction.offer(&self.definitions);
        }
    }

    /// The request of this step. Past the cap it has no tools: the model has to answer.
    fn request(&self) -> ModelRequest {
        let request = ModelRequest::new(self.history.messages())
            .with_instructions(self.instructions.clone())
            .with_effort(self.effort)
            .with_output_schema(self.output_schema.clone());
        if self.is_past_cap() {
            return request;
        }
        request.with_tools(self.definitions.clone())
    }

    fn is_past_cap(&self) -> bool {
        self.steps > self.step_cap
    }

    async fn ask(&self, request: ModelRequest) -> Result<ModelReply, RunError> {
        let model = &*self.model;
        let reply = complete_with_retries(model, &self.cx, request, &self.token);
        self.unless_stopped(reply).await?
    }

    /// Keeps what the turn cost and said. A turn without text does not hide an earlier one.
    fn book(&mut self, reply: &ModelReply) {
        self.output.usage_mut().add(&reply.usage);
        let text = reply.text();
        if !text.trim().is_empty() {
            self.output.text = text;
        }
        if let Some(thoughts) = reply.thoughts() {
            self.output.set_thoughts(thoughts);
        }
    }

    /// Runs the calls of a turn. The turn enters the history with their results or not at all.
    async fn exchange(&mut self, turn: Vec<Part>, calls: Vec<ToolCall>) -> Result<(), RunError> {
        let asked = calls.len().try_into().unwrap_or(u64::MAX);
        let usage = self.output.usage_mut();
        usage.tool_calls = usage.tool_calls.saturating_add(asked);
        let called = call_all(&self.tools, &self.tool_cx, &self.cx, &calls);
        let (answers, claims) = self.unless_stopped(called).await?;
        self.history.push_exchange(turn, answers);
        for claims in claims {
            self.book_children(&claims.ack());
        }
        Ok(())
    }

    /// Takes a turn without calls. It is the last one unless background work is left, whose
    /// outcomes are then the next thing that the model reads.
    async fn answer(&mut self, turn: Vec<Part>) -> Result<Progress, RunError> {
        let scope = self.cx.scope();
        let burst = next_burst(&scope, self.compaction.limits().batch());
        let Some((text, claims)) = self.unless_stopped(burst).await? else {
            return Ok(Progress::Done);
        };
        self.history.push_answer(turn);
        self.history.push_text(text);
        let children: Vec<_> = claims.into_iter().map(Claim::ack).collect();
        self.book_children(&children);
        Ok(Progress::Again)
    }

    /// Books what children cost whose outcomes are in the history now (I2, I3).
    fn book_children(&mut self, children: &[Arc<Finished>]) {
        for output in children.iter().filter_map(|child| child.outcome.output()) {
            self.output.usage_mut().add(&output.usage());
        }
    }

    /// Awaits something, or the stop of the task, whichever comes first; the stop if both are there.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        match select(pin!(self.token.cancelled()), pin!(work)).await {
            Either::Left(((), _)) => Err(RunError::Stopped),
            Either::Right((done, _)) => Ok(done),
        }
    }
}
