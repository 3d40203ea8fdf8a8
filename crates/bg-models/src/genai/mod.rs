//! Vendors with protocols of their own, by way of the `genai` crate.
//!
//! `genai` writes requests and reads streams. It does not talk to the vendor: between the two stands
//! a [`relay`], so that everything that this crate promises of a connection holds here too.

mod answer;
mod builder;
mod exchange;
mod relay;
mod request;
mod vendor;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use bg_sessions::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};
use genai::ModelIden;
use reqwest::{Client, Url};
use tokio_util::sync::CancellationToken;

pub use builder::GenaiBuilder;

use crate::deadlines::Deadlines;
use crate::fault::Fault;
use crate::key::Key;

/// A model of a vendor whose protocol is its own: Anthropic, Cohere, Gemini, `MiniMax`, Ollama's own
/// protocol, and the `OpenAI` responses.
///
/// What [`OpenAiCompatible`](crate::OpenAiCompatible) says of errors, bounds, deadlines, keys and
/// cancel safety holds of it, except where the next section says otherwise. Servers that speak the
/// `OpenAI` chat protocol belong to that one.
///
/// # What it costs the host
///
/// The `genai` crate turns on features of crates that the whole build shares:
///
/// - `preserve_order` of `serde_json`: objects keep the order of their fields. What models read (the
///   schemas of tools, for example) has its fields in another order than without.
/// - `test-util` of tokio: `tokio::time::pause` is there, for whoever calls it.
/// - `http2`, `gzip` and `charset` of reqwest. The clients of this crate do not use them.
///
/// # What is different
///
/// - Each request has a connection of its own: none is used again.
/// - Arguments of calls are handed on as parsed values, so blanks in them are not the model's.
///   Arguments that are no JSON stay as they came.
/// - Thoughts are sent back where the vendor has signed them, as it wants to see them.
/// - Effort and the schema of an answer are written by `genai` as the vendor takes them. Nothing is
///   learned from a field that is refused: it is an error.
/// - An answer that does not come as a stream is none.
///
/// # Examples
///
/// ```
/// use bg_models::{BuildError, Genai};
///
/// let model = Genai::builder("anthropic::claude-sonnet-4-5")
///     .key_from_env("THERE_IS_NO_SUCH_VARIABLE")
///     .context_window(200_000)
///     .build();
/// assert!(matches!(model, Err(BuildError::NoKey { .. })));
/// ```
#[derive(Clone)]
pub struct Genai {
    inner: Arc<Inner>,
}

struct Inner {
    /// Talks to the vendor.
    client: Client,
    /// Talks to the relay.
    genai: genai::Client,
    /// Where the vendor is.
    base: Url,
    model: ModelIden,
    key: Option<Key>,
    info: ModelInfo,
    max_output_tokens: Option<NonZeroU32>,
    deadlines: Deadlines,
}

impl Genai {
    /// Begins with the vendor and the name of its model: `anthropic::claude-sonnet-4-5`. The vendor is
    /// one of `anthropic`, `cohere`, `gemini`, `gemini_ix`, `minimax`, `ollama`, `ollama_cloud` and
    /// `openai_resp`.
    pub fn builder(model: impl Into<String>) -> GenaiBuilder {
        GenaiBuilder::new(model.into())
    }
}

#[async_trait]
impl Model for Genai {
    fn info(&self) -> ModelInfo {
        self.inner.info.clone()
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        let reply = tokio::select! {
            biased;
            () = token.cancelled() => Err(Fault::Cancelled),
            reply = self.inner.ask(&request) => reply,
        };
        reply.map_err(|fault| fault.into_error(self.inner.key.as_ref()))
    }
}

impl fmt::Debug for Genai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Genai")
            .field("base", &self.inner.base.as_str())
            .field("model", &self.inner.model)
            .field("key", &self.inner.key)
            .field("deadlines", &self.inner.deadlines)
            .finish_non_exhaustive()
    }
}
