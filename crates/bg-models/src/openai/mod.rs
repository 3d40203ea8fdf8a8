//! The OpenAI chat protocol.

mod assemble;
mod builder;
mod dialect;
mod events;
mod exchange;
mod messages;
mod request;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bg_sessions::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};
use reqwest::{Client, Url};
use tokio_util::sync::CancellationToken;

pub use builder::OpenAiBuilder;

use crate::deadlines::Deadlines;
use crate::fault::Fault;
use crate::key::Key;
use dialect::{Dialect, Learned};
use request::{Body, Manner};

/// A model behind a server that speaks the OpenAI chat protocol: the vendor itself, vLLM, llama.cpp,
/// Ollama and many others.
///
/// Every turn is one request, streamed; a server that answers in one piece is understood too. Clones
/// share their connections and what was learned about the server.
///
/// # What is sent
///
/// - Text that is attached goes into the prompt with its name; pictures go as such; of anything else
///   the name goes. Nothing is fetched.
/// - A schema of the answer is enforced by the server (`response_format`) when no tools can be called,
///   and told in words beside tools; see [`OpenAiBuilder::strict`].
/// - Effort goes as `reasoning_effort`. A value that the server refuses is left out from then on, and
///   so is the request for usage; the first time costs one request that is refused.
/// - Arguments of earlier calls that are not a JSON object are sent inside of one.
///
/// # What comes back
///
/// Thoughts, then text, then calls. Calls without an id, or with that of another one, get one.
/// An answer that was cut by a limit of tokens is an answer. Usage is what the server says; one that
/// says nothing has cost one request.
///
/// # Errors
///
/// The source of each [`ModelError`] is a [`Fault`], which says what happened; its variants name
/// their class. What has the status of an error is
///
/// - retryable, with the server's own delay: 408, 409, 425, 429, 500, 502 and above (503, 504, 529);
/// - an overflow: 413, and the codes and texts by which servers say it, whatever the status;
/// - refused: the codes of content filters;
/// - fatal: everything else (400, 401, 403, 404, 422), and a 429 because there is no money left.
///
/// An error inside of an answer is judged by the number or the word that it has, and is retryable if
/// it has none.
///
/// # Bounds
///
/// An event, a whole answer, and what an answer is put together from have at most 16 MiB each, a
/// stream 256 MiB; more is fatal. Each wait has a deadline, see [`OpenAiBuilder`]; comments that keep
/// a connection open count for none of them.
///
/// # Cancel safety
///
/// The future can be dropped at any time: the connection is closed at once, and servers stop
/// generating when they notice. The token has the same effect.
///
/// # Examples
///
/// ```
/// use bg_models::OpenAiCompatible;
/// use bg_sessions::{Model, Models};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let local = OpenAiCompatible::builder("http://127.0.0.1:8080/v1", "smollm2")
///     .context_window(8192)
///     .build()?;
/// assert_eq!(local.info().context_window, Some(8192));
/// let models = Models::new("local", local);
/// # let _ = models;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OpenAiCompatible {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    url: Url,
    key: Option<Key>,
    manner: Manner,
    info: ModelInfo,
    deadlines: Deadlines,
    learned: Learned,
}

impl OpenAiCompatible {
    /// Begins with where the server is and which of its models is meant. The base URL is what comes
    /// before `/chat/completions`; of most servers it ends in `/v1`.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(base_url.into(), model.into())
    }

    /// Asks until the server takes the request: each attempt but the last has taught us something,
    /// which happens as often as there is something to learn.
    async fn ask(&self, request: &ModelRequest) -> Result<ModelReply, Fault> {
        loop {
            let dialect = self.inner.learned.dialect();
            match self.inner.attempt(self.write(dialect, request)?, request).await {
                Err(Fault::Server(error)) if self.learn(dialect, request, &error) => {
                    tracing::debug!("the server refuses a field, which is left out from now on");
                }
                result => return result,
            }
        }
    }

    fn write(&self, dialect: Dialect, request: &ModelRequest) -> Result<Vec<u8>, Fault> {
        let body = Body::new(&self.inner.manner, dialect, request);
        serde_json::to_vec(&body).map_err(|source| Fault::Unwritable { source: source.into() })
    }

    fn learn(
        &self,
        then: Dialect,
        request: &ModelRequest,
        error: &crate::server_error::ServerError,
    ) -> bool {
        let has_limit = self.inner.manner.max_output_tokens.is_some();
        self.inner.learned.learn(then, request.effort, has_limit, error)
    }
}

#[async_trait]
impl Model for OpenAiCompatible {
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
            reply = self.ask(&request) => reply,
        };
        reply.map_err(|fault| fault.into_error(self.inner.key.as_ref()))
    }
}

impl fmt::Debug for OpenAiCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiCompatible")
            .field("url", &self.inner.url.as_str())
            .field("key", &self.inner.key)
            .field("manner", &self.inner.manner)
            .field("deadlines", &self.inner.deadlines)
            .finish_non_exhaustive()
    }
}
