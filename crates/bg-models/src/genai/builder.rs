//! Setting a model up.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bg_sessions::ModelInfo;
use reqwest::Client;

use super::{Genai, Inner, vendor};
use crate::deadlines::Deadlines;
use crate::error::BuildError;
use crate::http::{base_url, client, plain_client};
use crate::key::Key;

/// Puts a [`Genai`] together.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_models::{BuildError, Genai};
///
/// let near = Genai::builder("ollama::qwen3").silence_timeout(Duration::from_secs(30)).build()?;
/// let far = Genai::builder("nobody::model").build();
/// assert!(matches!(far, Err(BuildError::NoVendor { .. })));
/// # drop(near);
/// # Ok::<(), BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "it is no model before `build`"]
pub struct GenaiBuilder {
    model: String,
    base_url: Option<String>,
    key_variable: Option<String>,
    context_window: Option<u64>,
    max_output_tokens: Option<NonZeroU32>,
    deadlines: Deadlines,
}

impl GenaiBuilder {
    pub(super) fn new(model: String) -> Self {
        Self {
            model,
            base_url: None,
            key_variable: None,
            context_window: None,
            max_output_tokens: None,
            deadlines: Deadlines::DEFAULT,
        }
    }

    /// Says where the server is, if it is not the vendor's own: what comes before `/messages`, for
    /// example. Of most vendors it ends in the version of the protocol.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Names the environment variable that holds the key. It is read by [`build`](Self::build), and
    /// there is no other way to give a key: variables that `genai` knows by itself are not looked at.
    /// Without one no key is sent.
    pub fn key_from_env(mut self, variable: impl Into<String>) -> Self {
        self.key_variable = Some(variable.into());
        self
    }

    /// Says how many tokens a request and its answer may have together. Nobody asks the vendor.
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// Bounds the tokens of one answer. Without it the vendor's own bound holds, or, where the vendor
    /// wants to be told one, the most that `genai` knows of the model.
    pub fn max_output_tokens(mut self, tokens: NonZeroU32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Sets how long a connection may take to be made. Unless it is called:
    /// [`OpenAiBuilder::CONNECT_TIMEOUT`](crate::OpenAiBuilder::CONNECT_TIMEOUT).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.connect = timeout;
        self
    }

    /// Sets how long it may take from the request to the first token. Unless it is called:
    /// [`OpenAiBuilder::FIRST_TOKEN_TIMEOUT`](crate::OpenAiBuilder::FIRST_TOKEN_TIMEOUT).
    pub fn first_token_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.first_token = timeout;
        self
    }

    /// Sets how long the server may be silent between two tokens. Unless it is called:
    /// [`OpenAiBuilder::SILENCE_TIMEOUT`](crate::OpenAiBuilder::SILENCE_TIMEOUT).
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.silence = timeout;
        self
    }

    /// Reads the key and makes the model. Connects to nothing.
    ///
    /// # Errors
    ///
    /// - [`BuildError::NoVendor`] and [`BuildError::NoModel`] if the name is not that of a vendor and
    ///   of a model, with `::` between them.
    /// - [`BuildError::BaseUrl`] if the base URL is not an HTTP address, or holds a user, a password,
    ///   a query or a fragment.
    /// - [`BuildError::NoKey`] and [`BuildError::UnusableKey`] if a variable is named and holds none.
    /// - [`BuildError::Client`] if there is no TLS, for example.
    pub fn build(self) -> Result<Genai, BuildError> {
        let (model, vendors_own) = vendor::find(&self.model)?;
        let mut base = base_url(self.base_url.as_deref().unwrap_or(vendors_own))?;
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let key = self.key_variable.as_deref().map(Key::from_env).transpose()?;
        let mut info = ModelInfo::new(self.model);
        info.context_window = self.context_window;
        let inner = Inner {
            client: client(&base, self.deadlines.connect)?,
            genai: genai_client(plain_client()?)?,
            base,
            model,
            key,
            info,
            max_output_tokens: self.max_output_tokens,
            deadlines: self.deadlines,
        };
        Ok(Genai { inner: Arc::new(inner) })
    }
}

fn genai_client(client: Client) -> Result<genai::Client, BuildError> {
    let client = genai::Client::builder().with_reqwest(client).build();
    client.map_err(|error| BuildError::Client(error.into()))
}

/// The base URL is not shown: nobody has looked yet whether it holds a password.
impl fmt::Debug for GenaiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenaiBuilder")
            .field("model", &self.model)
            .field("key_variable", &self.key_variable)
            .field("context_window", &self.context_window)
            .field("max_output_tokens", &self.max_output_tokens)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}
