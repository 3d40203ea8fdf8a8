//! A turn with what belongs around it: hooks, and a span.
//!
//! The names are those of the OpenTelemetry conventions for generative AI: `invoke_agent` for a turn,
//! `chat` for a request to a model, `execute_tool` for a call.

use bg_core::{Failure, Output, TaskResult};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use super::{Given, Run};
use crate::error::RunError;
use crate::hooks::Courier;

/// How a turn ended.
pub(crate) struct TurnEnded {
    pub(crate) result: TaskResult,
    pub(crate) is_stopped: bool,
    /// Whether it got to begin: hooks may refuse that.
    pub(crate) has_begun: bool,
}

impl TurnEnded {
    /// Returns the output, or the part of it that had been reached.
    pub(crate) fn output(&self) -> Option<&Output> {
        match &self.result {
            Ok(output) => Some(output),
            Err(failure) => failure.partial.as_deref(),
        }
    }

    fn of(error: RunError) -> Self {
        let is_stopped = matches!(error, RunError::Stopped);
        Self { result: Err(error.into()), is_stopped, has_begun: false }
    }
}

impl Run {
    /// Runs one turn; hooks are consulted before and after, and told of it.
    ///
    /// # Cancel safety
    ///
    /// The turn is over where it is dropped, and that is told as its end.
    pub(crate) async fn attended(&mut self, given: Given, courier: Courier) -> TurnEnded {
        self.courier = courier.clone();
        let span = self.span();
        let turn = self.hooked(given).instrument(span.clone());
        let ended = courier.attend(turn).await;
        record(&span, &ended);
        ended
    }

    fn span(&self) -> Span {
        let span = info_span!(
            "invoke_agent",
            "otel.name" = format!("invoke_agent {}", self.spec.agent),
            "gen_ai.operation.name" = "invoke_agent",
            "gen_ai.agent.name" = &*self.spec.agent,
            "gen_ai.request.model" = self.model.info().name,
            "bg.task.id" = %self.reports.id(),
            "gen_ai.usage.input_tokens" = Empty,
            "gen_ai.usage.output_tokens" = Empty,
            "error.type" = Empty,
        );
        // The turn that started this one goes on without it: a link, and not its parent.
        span.follows_from(&self.spec.started_by);
        span
    }

    async fn hooked(&mut self, given: Given) -> TurnEnded {
        let given = match self.before(given).await {
            Ok(given) => given,
            Err(error) => return TurnEnded::of(error),
        };
        self.courier.start();
        self.begin(given);
        let ended = self.turn().await;
        let is_stopped = matches!(ended, Err(RunError::Stopped));
        let result = self.ended(ended);
        let result = self.after(result).await;
        self.courier.end_with(&result, is_stopped);
        TurnEnded { result, is_stopped, has_begun: true }
    }

    async fn before(&self, given: Given) -> Result<Given, RunError> {
        if self.courier.is_silent() {
            return Ok(given);
        }
        let mut input = given.input();
        self.unless_stopped(self.courier.before(&mut input)).await??;
        let given = given.rewritten(input);
        if given.is_empty() { Err(RunError::NothingLeft) } else { Ok(given) }
    }

    async fn after(&self, result: TaskResult) -> TaskResult {
        let mut output = result?;
        match self.unless_stopped(self.courier.after(&mut output)).await {
            // What was reached is reached, also if nobody looks at it any more.
            Ok(Ok(())) | Err(_) => Ok(output),
            Ok(Err(refused)) => Err(Failure::from(refused).with_partial(output)),
        }
    }
}

/// Writes into the span what the turn has cost, and why it failed.
fn record(span: &Span, ended: &TurnEnded) {
    if let Err(failure) = &ended.result {
        span.record("error.type", &*failure.message);
    }
    let usage = ended.output().map(Output::usage).unwrap_or_default();
    span.record("gen_ai.usage.input_tokens", usage.input_tokens);
    span.record("gen_ai.usage.output_tokens", usage.output_tokens);
}
