//! What the models of a run have cost, counted while they work, and its bound.
//!
//! Every request of a run goes through a [`Metered`] model, those of agents that others call and
//! those that make a conversation smaller too, so there is nothing to reconcile.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bg_agents::core::Usage;
use bg_agents::sessions::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};
use tokio_util::sync::CancellationToken;

use super::transcript::Transcript;

/// Adds up the tokens of a run. Clones share the sum.
#[derive(Clone)]
pub(crate) struct Meter {
    sums: Arc<Sums>,
    limit: Option<NonZeroU64>,
    spent: CancellationToken,
}

#[derive(Default)]
struct Sums {
    /// In and out: one sum, so that of two that add at the same time one sees both.
    tokens: AtomicU64,
    input: AtomicU64,
    cached: AtomicU64,
    requests: AtomicU64,
}

impl Meter {
    pub(crate) fn new(limit: Option<NonZeroU64>) -> Self {
        Self { sums: Arc::default(), limit, spent: CancellationToken::new() }
    }

    fn add(&self, usage: &Usage) {
        let more = usage.input_tokens.saturating_add(usage.output_tokens);
        // Nothing else in memory hangs on the sums.
        self.sums.input.fetch_add(usage.input_tokens, Ordering::Relaxed);
        self.sums.cached.fetch_add(usage.cached_tokens, Ordering::Relaxed);
        self.sums.requests.fetch_add(usage.requests, Ordering::Relaxed);
        let sum = self.sums.tokens.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        if self.limit.is_some_and(|limit| sum >= limit.get()) {
            self.spent.cancel();
        }
    }

    /// Returns the tokens so far, in and out.
    pub(crate) fn tokens(&self) -> u64 {
        self.sums.tokens.load(Ordering::Relaxed)
    }

    /// Returns the same in parts. Tools are not counted.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        usage.input_tokens = self.sums.input.load(Ordering::Relaxed);
        usage.output_tokens = self.tokens().saturating_sub(usage.input_tokens);
        usage.cached_tokens = self.sums.cached.load(Ordering::Relaxed);
        usage.requests = self.sums.requests.load(Ordering::Relaxed);
        usage
    }

    pub(crate) fn limit(&self) -> Option<NonZeroU64> {
        self.limit
    }

    /// Fires when as many tokens were spent as may be.
    pub(crate) fn spent(&self) -> &CancellationToken {
        &self.spent
    }
}

/// A model whose tokens are counted, and which is asked nothing more when they are spent. What other
/// requests cost that are under way by then is not known to anybody, and not counted.
pub(crate) struct Metered<M> {
    pub(crate) model: M,
    pub(crate) meter: Meter,
    /// Where it is written down what it is asked and says, if anywhere.
    pub(crate) transcript: Option<Transcript>,
}

#[async_trait]
impl<M: Model> Model for Metered<M> {
    fn info(&self) -> ModelInfo {
        self.model.info()
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        if self.meter.spent.is_cancelled() {
            return Err(ModelError::fatal("the tokens of the run are spent"));
        }
        let transcript = self.transcript.as_ref();
        let noted = transcript.map(|to| (to, to.asked(&self.info().name, &request)));
        let reply = self.model.complete(request, token).await;
        if let Some((transcript, number)) = noted {
            transcript.answered(number, &reply);
        }
        if let Ok(reply) = &reply {
            self.meter.add(&reply.usage);
        }
        reply
    }
}
