//! A worker: a conversation with a model that goes on from turn to turn.
//!
//! A turn begins with what the worker is given to read, and is a loop of steps until the model answers
//! without calls. An agent's run is one turn that also waits for the background work it has started; a
//! session has one after the other.
//!
//! # Invariants
//!
//! 1. The worker owns its history, and what a model says enters it whole (see `history.rs`): wherever a
//!    turn is dropped, no call in the history is without its result.
//! 2. What the worker was given is committed with the first reply to it. Until then the outcomes of
//!    children in it stay claimed; a turn that fails before gives them back and takes the rest out of
//!    the history, so the next turn finds what was there before.
//! 3. What a child cost is added when its outcome is committed, so once.
//! 4. A compaction replaces the history in one assignment, after what it awaits (see `compaction`).
//! 5. Nothing is awaited outside [`Run::unless_stopped`] and [`Run::unless_interrupted`]: a stop takes
//!    effect at the next poll, whatever the model or a tool does.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;

use bg_core::{Artifact, Claim, Failure, Finished, Output, Phase, TaskContext, TaskResult, Usage};
use bg_tools::{Claims, ToolContext, ToolDefinition, Toolbox};
use futures_util::future::{Either, select};
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::answer_schema::AnswerSchema;
use crate::background::{Burst, next_burst};
use crate::compaction::{Compaction, CompactionSpec};
use crate::effort::Effort;
use crate::error::RunError;
use crate::history::History;
use crate::hooks::{Courier, Hooks, RunInfo};
use crate::ledger::Ledger;
use crate::message::{Part, ToolCall};
use crate::model::{Model, ModelReply, ModelRequest};
use crate::retry::complete_with_retries;
use crate::tool_calls::{AllCalled, Calls};
use ahead::Ahead;
use interrupt::Interrupts;
use report::Reports;

pub(crate) use attended::TurnEnded;
pub(crate) use given::Given;

mod ahead;
mod answer;
mod attended;
mod given;
pub(crate) mod interrupt;
pub(crate) mod report;
mod room;

/// Most things that children have made and that a turn carries on.
const MAX_ARTIFACTS: usize = 256;

/// What a worker needs to know.
#[derive(Clone)]
pub(crate) struct RunSpec {
    pub(crate) agent: Arc<str>,
    pub(crate) hooks: Hooks,
    /// What was under way where it was started.
    pub(crate) started_by: Span,
    pub(crate) instructions: Arc<str>,
    pub(crate) tools: Toolbox,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) compaction: CompactionSpec,
    pub(crate) step_cap: NonZeroU32,
    pub(crate) effort: Option<Effort>,
    pub(crate) output_schema: Option<Arc<AnswerSchema>>,
}

impl RunSpec {
    /// The schema of the answer, as a provider takes it.
    pub(crate) fn schema(&self) -> Option<&Arc<Value>> {
        self.output_schema.as_deref().map(AnswerSchema::schema)
    }
}

/// The state of a worker.
pub(crate) struct Run {
    pub(crate) reports: Reports,
    interrupts: Interrupts,
    spec: RunSpec,
    /// Of the turn.
    model: Arc<dyn Model>,
    effort: Option<Effort>,
    /// It remembers what the model has been told, and is made anew when the history is.
    tool_cx: ToolContext,
    /// Of the step: agents come and go, and some tools are described by them.
    definitions: Arc<[ToolDefinition]>,
    /// Steps of this turn, and of the turns before.
    steps: u32,
    earlier_steps: u32,
    history: History,
    compaction: Compaction,
    /// A summary that is written while the work goes on.
    ahead: Option<Ahead>,
    /// The parts at the end of the history that no reply has followed yet, and the outcomes in them.
    uncommitted: usize,
    claims: Vec<Claim>,
    /// What results of tools deliver that no reply has followed yet.
    delivered: Vec<Claims>,
    courier: Courier,
    /// Whether the conversation goes on after a turn. If not, the turn is not over before all
    /// background work is.
    lives_on: bool,
    /// What this turn has reached: the last text that the model said.
    output: Output,
    /// The same as data, if it was asked for JSON, and whether it had to be asked again.
    data: Option<Value>,
    is_repaired: bool,
    /// Whether the end of that text is missing.
    is_cut: bool,
    /// What it has cost.
    ledger: Ledger,
}

/// Whether a turn goes on after a step.
enum Progress {
    Again,
    Done,
}

impl Run {
    /// Prepares a worker in the task that `cx` belongs to. Its turns stop with the task, and it can be
    /// told things through the task's mailbox.
    pub(crate) fn new(cx: TaskContext, spec: RunSpec) -> Self {
        let stop = cx.token();
        let interrupts = Interrupts { stop: stop.clone(), own: vec![cx.mailbox()], standing: None };
        let compaction = Compaction::new(&spec);
        Self {
            tool_cx: ToolContext::new(cx.scope()).with_token(stop),
            interrupts,
            output: Output::default().with_model(spec.model.info().name),
            model: spec.model.clone(),
            effort: spec.effort,
            spec,
            definitions: Arc::default(),
            compaction,
            ahead: None,
            steps: 0,
            earlier_steps: 0,
            history: History::default(),
            uncommitted: 0,
            claims: Vec::new(),
            delivered: Vec::new(),
            courier: Courier::silent(),
            ledger: Ledger::default(),
            data: None,
            is_repaired: false,
            is_cut: false,
            lives_on: false,
            reports: Reports::new(cx),
        }
    }

    /// Prepares the worker of a session, whose conversation goes on from turn to turn.
    pub(crate) fn session(cx: TaskContext, spec: RunSpec) -> Self {
        Self { lives_on: true, ..Self::new(cx, spec) }
    }

    /// Sets what may break into the next turn, and whose prompts it answers.
    pub(crate) fn prepare(&mut self, interrupts: Interrupts, askers: Vec<TaskContext>) {
        self.tool_cx = self.tool_cx.clone().with_token(interrupts.stop.clone());
        self.interrupts = interrupts;
        self.reports.set_askers(askers);
    }

    /// Sets the model and the effort of the next turn, in place of the agent's own.
    pub(crate) fn choose(&mut self, model: Option<Arc<dyn Model>>, effort: Option<Effort>) {
        self.model = model.unwrap_or_else(|| self.spec.model.clone());
        self.effort = effort.or(self.spec.effort);
        self.compaction.choose(&self.spec.compaction, &self.model.info());
    }

    /// Makes the line to the hooks for a turn.
    pub(crate) fn courier_of(&self, info: RunInfo) -> Courier {
        let task = self.reports.own().clone();
        self.spec.hooks.courier(info, move |line| task.trace(line))
    }

    /// How many tokens the worker can be given at a time.
    pub(crate) fn batch_tokens(&self) -> u64 {
        self.compaction.limits().batch()
    }

    /// Runs the one turn of a run.
    pub(crate) async fn drive(mut self, given: Given, courier: Courier) -> TaskResult {
        self.attended(given, courier).await.result
    }

    /// Takes what a turn begins with.
    pub(crate) fn begin(&mut self, given: Given) {
        let (task, parts) = (given.task(), given.prompts.len());
        if parts > 0 || self.history.is_empty() {
            self.compaction.begin(&task, parts, &self.history);
        }
        self.earlier_steps = self.earlier_steps.saturating_add(std::mem::take(&mut self.steps));
        self.output = Output::default().with_model(self.model.info().name);
        self.ledger = Ledger::default();
        (self.data, self.is_repaired, self.is_cut) = (None, false, false);
        self.tool_cx = self.tool_cx.clone().with_resources(given.resources.clone());
        let (parts, claims) = given.into_parts();
        self.give(parts, claims);
    }

    /// Puts something before the model that is not committed yet (I2).
    fn give(&mut self, parts: Vec<Part>, claims: Vec<Claim>) {
        self.reports.given(&parts);
        self.uncommitted += self.history.push_user(parts);
        self.claims.extend(claims);
    }

    /// Goes from step to step until the model has answered.
    pub(crate) async fn turn(&mut self) -> Result<(), RunError> {
        loop {
            match self.step().await {
                Ok(Progress::Done) => return Ok(()),
                Ok(Progress::Again) => {}
                Err(RunError::Interrupted(words)) => self.hear(words),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes words from outside.
    fn hear(&mut self, words: String) {
        self.reports.trace("told something by its caller");
        self.give(vec![Part::Text(words)], Vec::new());
    }

    /// What has become of a turn. One that has failed before the model said anything leaves no trace
    /// in the conversation. Results of tools stay in it, if it goes on, and what they deliver with them
    /// (I2).
    pub(crate) fn ended(&mut self, ended: Result<(), RunError>) -> TaskResult {
        self.history.take_back(std::mem::take(&mut self.uncommitted));
        self.claims.clear();
        let delivered = std::mem::take(&mut self.delivered);
        if self.lives_on {
            let children: Vec<_> = delivered.into_iter().flat_map(Claims::ack).collect();
            self.book_children(&children);
        } else {
            self.drop_ahead();
        }
        let mut output = std::mem::take(&mut self.output);
        self.ledger.write(&mut output);
        match ended {
            Ok(()) => Ok(self.answered(output)),
            Err(error) => Err(self.failed(error).with_partial(output)),
        }
    }

    fn failed(&self, error: RunError) -> Failure {
        let failure = Failure::from(error);
        self.progress(&format!("failed: {failure}"));
        failure
    }

    /// Tells hooks how far the turn is.
    fn progress(&self, text: &str) {
        self.courier.progress(text, self.steps, self.ledger.total());
    }

    /// One reply of the model and what it leads to.
    async fn step(&mut self) -> Result<Progress, RunError> {
        self.begin_step();
        let reply = self.reply().await;
        if let Err(RunError::Interrupted(_)) = &reply {
            self.steps -= 1;
        }
        let reply = reply?;
        self.commit();
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
        self.reports.step(self.steps, self.earlier_steps);
        if self.is_past_cap() && !was_past_cap {
            self.reports.trace(&format!("step cap of {} reached", self.spec.step_cap.get()));
        }
        if !self.is_past_cap() {
            self.definitions = self.spec.tools.definitions().into();
            self.compaction.offer(&self.definitions);
        }
    }

    /// The request of this step. Past the cap the model has to answer.
    fn request(&self) -> ModelRequest {
        let mut request = ModelRequest::new(self.history.messages())
            .with_instructions(self.spec.instructions.clone())
            .with_effort(self.effort)
            .with_output_schema(self.spec.schema().cloned())
            .with_tools(self.definitions.clone());
        request.may_call = !self.is_past_cap();
        request
    }

    fn is_past_cap(&self) -> bool {
        self.steps > self.spec.step_cap.get()
    }

    /// Asks the model. Words from outside break into that, but not into a summary: it would be asked
    /// for anew.
    async fn ask(&self, request: ModelRequest) -> Result<ModelReply, RunError> {
        self.reports.phase(Phase::WaitingForModel);
        let reply = self.unless_interrupted(self.complete(request)).await;
        self.reports.phase(Phase::Working);
        reply?
    }

    async fn complete(&self, request: ModelRequest) -> Result<ModelReply, RunError> {
        let model = self.model.info().name;
        let span = info_span!(
            "chat",
            "otel.name" = format!("chat {model}"),
            "gen_ai.operation.name" = "chat",
            "gen_ai.request.model" = model,
            "gen_ai.usage.input_tokens" = Empty,
            "gen_ai.usage.output_tokens" = Empty,
        );
        let stop = self.interrupts.stop.child_token();
        // Words from outside drop the request, too.
        let _fires = stop.clone().drop_guard();
        let reply = complete_with_retries(&*self.model, &self.reports, request, &stop);
        let reply = reply.instrument(span.clone()).await?;
        span.record("gen_ai.usage.input_tokens", reply.usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", reply.usage.output_tokens);
        Ok(reply)
    }

    /// Keeps what was given to the model: it has answered (I2, I3).
    fn commit(&mut self) {
        self.uncommitted = 0;
        let mut children: Vec<_> = self.claims.drain(..).map(Claim::ack).collect();
        children.extend(self.delivered.drain(..).flat_map(Claims::ack));
        self.book_children(&children);
    }

    /// Keeps what the reply cost and said. One without text does not hide an earlier one.
    fn book(&mut self, reply: &ModelReply) {
        self.reports.said(&reply.parts);
        self.spend(&reply.usage);
        let (text, thoughts) = (reply.text(), reply.thoughts());
        let is_silent = text.trim().is_empty();
        if let Some(thoughts) = thoughts {
            if is_silent && reply.tool_calls().next().is_none() {
                self.progress(&thoughts);
            }
            self.output.set_thoughts(thoughts);
        }
        if !is_silent {
            self.progress(&text);
            self.output.text = text;
            self.is_cut = reply.is_cut;
        }
    }

    fn spend(&mut self, usage: &Usage) {
        self.ledger.turn(&self.model.info().name, usage);
    }

    /// Runs the calls of a reply, which enters the history with their results or not at all. A call
    /// that was interrupted has a result that says so.
    async fn exchange(&mut self, reply: Vec<Part>, calls: Vec<ToolCall>) -> Result<(), RunError> {
        let all = Calls {
            tools: &self.spec.tools,
            tool_cx: &self.tool_cx,
            reports: &self.reports,
            courier: &self.courier,
        };
        self.reports.phase(Phase::WaitingForTool);
        let AllCalled { answers, claims, interrupted } = all.run(&calls, &self.interrupts).await;
        self.reports.phase(Phase::Working);
        self.reports.answered(&calls, &answers);
        for (call, answer) in calls.iter().zip(&answers) {
            self.ledger.tool(&call.name, answer.success);
        }
        self.history.push_exchange(reply, answers);
        self.delivered.extend(claims);
        interrupted.map_or(Ok(()), Err)
    }

    /// Takes a reply without calls. It is the last one unless something is left that the model has to
    /// read: words that were accepted, or the outcomes of background work.
    async fn answer(&mut self, reply: Vec<Part>) -> Result<Progress, RunError> {
        if !self.lives_on {
            return self.answer_or_go_on(reply).await;
        }
        self.history.push_answer(reply);
        self.last_words()
    }

    async fn answer_or_go_on(&mut self, reply: Vec<Part>) -> Result<Progress, RunError> {
        let scope = self.reports.own().scope();
        let burst = next_burst(&scope, self.compaction.limits().batch());
        let burst = self.unless_interrupted(burst).await;
        self.history.push_answer(reply);
        let Some(Burst { text, claims, .. }) = burst? else { return self.last_words() };
        self.give(vec![Part::Text(text)], claims);
        Ok(Progress::Again)
    }

    /// Ends the turn, if the answer is what was asked for and nothing is left to hear. A wrong answer
    /// may be given once more.
    fn last_words(&mut self) -> Result<Progress, RunError> {
        let is_over = self.take_answer()? && self.interrupts.close_if_heard();
        Ok(if is_over { Progress::Done } else { Progress::Again })
    }

    /// Books what children cost whose outcomes are in the history now.
    fn book_children(&mut self, children: &[Arc<Finished>]) {
        for child in children {
            let output = child.outcome.output();
            self.ledger.settle(child.id, output);
            self.take_artifacts(output.map_or(&[], Output::artifacts));
        }
    }

    /// Carries on what children have made.
    fn take_artifacts(&mut self, artifacts: &[Artifact]) {
        let room = MAX_ARTIFACTS.saturating_sub(self.output.artifacts().len());
        for artifact in artifacts.iter().take(room) {
            self.output = std::mem::take(&mut self.output).with_artifact(artifact.clone());
        }
        if artifacts.len() > room {
            self.reports.trace(&format!("{} artifacts left out", artifacts.len() - room));
        }
    }

    /// Awaits something, or the stop of the turn, whichever comes first; the stop if both are there.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        match select(pin!(self.interrupts.stop.cancelled()), pin!(work)).await {
            Either::Left(((), _)) => Err(RunError::Stopped),
            Either::Right((done, _)) => Ok(done),
        }
    }

    /// The same, and words from outside break into it too.
    async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        match select(pin!(self.interrupts.next()), pin!(work)).await {
            Either::Left((interrupt, _)) => Err(interrupt),
            Either::Right((done, _)) => Ok(done),
        }
    }
}
