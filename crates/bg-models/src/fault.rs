//! What can go wrong between a request and its answer, and what class of error it is.
//!
//! A [`Fault`] is made where something is noticed, with foreign text as it came. One place,
//! [`Fault::into_error`], takes the key out of it, makes it presentable and decides the class.

use std::time::Duration;

use bg_core::text;
use bg_sessions::{BoxError, ModelError};

use crate::key::{Key, scrub};
use crate::server_error::{Means, ServerError};

/// Longest foreign text in an error: what a server has to say fits, a page of HTML does not.
const MAX_FOREIGN_BYTES: usize = 500;

/// What went wrong: the source of every [`ModelError`] of this crate, to be found by downcasting.
///
/// Foreign text in it is cut to 500 bytes, hidden characters in it are escaped, and the key is
/// taken out. Messages are fragments that fit "{class}: {error}".
///
/// # Examples
///
/// ```
/// use std::error::Error;
/// use bg_models::{Fault, OpenAiCompatible};
/// use bg_sessions::{Message, Model, ModelError, ModelRequest, Part};
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn Error>> {
/// // Nobody listens there.
/// let model = OpenAiCompatible::builder("http://127.0.0.1:9/v1", "any").build()?;
/// let request = ModelRequest::new(vec![Message::user(vec![Part::text("hi")])]);
/// let error = model.complete(request, CancellationToken::new()).await.unwrap_err();
/// assert!(matches!(error, ModelError::Retryable { .. }));
/// let fault = error.source().and_then(|source| source.downcast_ref::<Fault>());
/// assert!(matches!(fault, Some(Fault::Connect { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no connection: nobody listens, the name is unknown, TLS does not agree. Retryable.
    #[error("no connection")]
    Connect {
        /// What the HTTP client says, without the address.
        source: BoxError,
    },
    /// The connection broke. Retryable.
    #[error("the connection broke")]
    Broken {
        /// What the HTTP client says, without the address.
        source: BoxError,
    },
    /// The server was silent for too long. Retryable.
    #[error("no {what} within {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The server reports an error: by its status, in place of an answer, or in the middle of one.
    /// Its class follows from its status and code.
    #[error("{0}")]
    Server(ServerError),
    /// The stream ended before the answer did. Retryable.
    #[error("the stream ended in the middle of the answer, after {events} events")]
    Cut {
        /// How many events had come.
        events: u64,
    },
    /// An event of the stream is not what the protocol has there. Retryable: what a proxy or a
    /// crash left of an event is whole the next time, and whoever asks again bounds how often.
    #[error("an event of the stream makes no sense: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: String,
    },
    /// The whole answer is not what the protocol has there: it is another kind of server. Fatal.
    #[error("the answer is not one of a chat server ({kind}): {problem}")]
    NotAChat {
        /// The media type of the answer.
        kind: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server sends more than an answer can have. Fatal.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// What it may have.
        limit: usize,
    },
    /// The model declined, or a filter of the provider stopped it. Refused.
    #[error("{reason}")]
    Refused {
        /// What the model or the filter says.
        reason: String,
    },
    /// The request could not be written in the server's protocol. Fatal.
    #[error("the request cannot be written")]
    Unwritable {
        /// Why.
        source: BoxError,
    },
    /// The token fired while the answer was awaited. Fatal, so that nobody asks again.
    #[error("the caller gave up")]
    Cancelled,
}

impl Fault {
    /// Decides the class, after the key was taken out of what the server said.
    pub(crate) fn into_error(mut self, key: Option<&Key>) -> ModelError {
        self.each_foreign_text(&mut |text| clean(key, text));
        let error = match &self {
            Self::Server(error) => class_of(error.means(), error.retry_after()),
            Self::Connect { .. } => ModelError::retryable("the server cannot be reached", None),
            Self::Broken { .. } => ModelError::retryable("the connection was lost", None),
            Self::Timeout { .. } => ModelError::retryable("the server is silent", None),
            Self::Cut { .. } => ModelError::retryable("the answer was cut short", None),
            Self::Malformed { .. } => ModelError::retryable("the answer is damaged", None),
            Self::Refused { .. } => ModelError::refused("the model declined"),
            Self::NotAChat { .. } => ModelError::fatal("the server does not speak the protocol"),
            Self::TooLarge { .. } => ModelError::fatal("the answer is too large"),
            Self::Unwritable { .. } => ModelError::fatal("the request is not one for a server"),
            Self::Cancelled => ModelError::fatal("cancelled"),
        };
        error.with_source(self)
    }

    fn each_foreign_text(&mut self, clean: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Server(error) => error.each_foreign_text(clean),
            Self::Malformed { problem } => clean(problem),
            Self::Refused { reason } => clean(reason),
            Self::NotAChat { kind, problem } => {
                clean(kind);
                clean(problem);
            }
            _ => {}
        }
    }
}

/// The class of what a server reports.
fn class_of(means: Means, retry_after: Option<Duration>) -> ModelError {
    match means {
        Means::RateLimited => ModelError::retryable("rate limited", retry_after),
        Means::Overloaded => ModelError::retryable("the server has trouble", retry_after),
        Means::TooLong => {
            ModelError::context_overflow("the conversation is too long for the model")
        }
        Means::Filtered => ModelError::refused("a filter of the provider declined"),
        Means::Denied => ModelError::fatal("the server denies access"),
        Means::Wrong => ModelError::fatal("the server does not take the request"),
    }
}

impl From<reqwest::Error> for Fault {
    /// The address is left out: it is not the caller's to see in every message.
    fn from(error: reqwest::Error) -> Self {
        let (is_connect, source) = (error.is_connect(), Box::new(error.without_url()));
        if is_connect { Self::Connect { source } } else { Self::Broken { source } }
    }
}

/// Takes the key out, before the cut can leave a part of it; then cuts and escapes.
fn clean(key: Option<&Key>, foreign: &mut String) {
    scrub(key, foreign);
    let escaped = text::excerpt(foreign, MAX_FOREIGN_BYTES).chars().fold(String::new(), visible);
    *foreign = escaped;
}

fn visible(mut shown: String, c: char) -> String {
    match c {
        '"' | '\'' | '\\' => shown.push(c),
        c => shown.extend(c.escape_debug()),
    }
    shown
}
