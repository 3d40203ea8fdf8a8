//! Setting a model up.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bg_sessions::ModelInfo;
use reqwest::Url;

use super::request::Manner;
use super::{Inner, Learned, OpenAiCompatible};
use crate::deadlines::Deadlines;
use crate::error::BuildError;
use crate::http::{base_url, client};
use crate::key::Key;

/// Puts an [`OpenAiCompatible`] together.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_models::{BuildError, OpenAiCompatible};
///
/// let hosted = OpenAiCompatible::builder("https://models.invalid/v1", "large")
///     .key_from_env("THERE_IS_NO_SUCH_VARIABLE")
///     .context_window(128_000)
///     .silence_timeout(Duration::from_secs(30))
///     .build();
/// assert!(matches!(hosted, Err(BuildError::NoKey { .. })));
/// ```
#[derive(Clone)]
#[must_use = "it is no model before `build`"]
pub struct OpenAiBuilder {
    base_url: String,
    key_variable: Option<String>,
    context_window: Option<u64>,
    manner: Manner,
    deadlines: Deadlines,
}

impl OpenAiBuilder {
    /// How long a connection may take to be made, unless it is said otherwise: a host that is there
    /// answers within a second, and one resent packet or two are allowed for.
    pub const CONNECT_TIMEOUT: Duration = Deadlines::DEFAULT.connect;

    /// How long the first token may take, unless it is said otherwise: hosted models that think
    /// without showing it take minutes, and so does a long prompt on a CPU.
    pub const FIRST_TOKEN_TIMEOUT: Duration = Deadlines::DEFAULT.first_token;

    /// How long the server may be silent between two tokens, unless it is said otherwise. Slow
    /// servers have a token in seconds; some think for a while between text and a call.
    pub const SILENCE_TIMEOUT: Duration = Deadlines::DEFAULT.silence;

    pub(super) fn new(base_url: String, model: String) -> Self {
        let deadlines = Deadlines::DEFAULT;
        let manner =
            Manner { model, max_output_tokens: None, strict: false, returns_thinking: false };
        Self { base_url, key_variable: None, context_window: None, manner, deadlines }
    }

    /// Names the environment variable that holds the key. It is read by [`build`](Self::build), and
    /// there is no other way to give a key: what is in no argument and in no file of ours cannot get
    /// from there into a log. Without one no key is sent.
    pub fn key_from_env(mut self, variable: impl Into<String>) -> Self {
        self.key_variable = Some(variable.into());
        self
    }

    /// Says how many tokens a request and its answer may have together. Nobody asks the server.
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// Bounds the tokens of one answer. Without it the server's own bound holds.
    pub fn max_output_tokens(mut self, tokens: NonZeroU32) -> Self {
        self.manner.max_output_tokens = Some(tokens.get());
        self
    }

    /// Says that the server holds a model to strict schemas, as the vendor's own does: tools go in
    /// their strict form, and a schema of the answer is enforced beside tools too. Off unless called:
    /// servers that hold a model to a schema by a grammar keep it from calling tools by that.
    pub fn strict(mut self) -> Self {
        self.manner.strict = true;
        self
    }

    /// Sends thoughts back in later turns, as `reasoning_content`. Off unless called: there are
    /// servers that refuse them, and ones that want them.
    pub fn return_thinking(mut self) -> Self {
        self.manner.returns_thinking = true;
        self
    }

    /// Sets how long a connection may take to be made.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.connect = timeout;
        self
    }

    /// Sets how long it may take from the request to the first token. An answer in one piece has to
    /// be there by then as a whole.
    pub fn first_token_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.first_token = timeout;
        self
    }

    /// Sets how long the server may be silent between two tokens.
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.silence = timeout;
        self
    }

    /// Reads the key and makes the model. Connects to nothing.
    ///
    /// # Errors
    ///
    /// - [`BuildError::BaseUrl`] if the base URL is not an HTTP address, or holds a user, a password,
    ///   a query or a fragment.
    /// - [`BuildError::NoModel`] if the name of the model is blank.
    /// - [`BuildError::NoKey`] and [`BuildError::UnusableKey`] if a variable is named and holds none.
    /// - [`BuildError::Client`] if there is no TLS, for example.
    pub fn build(self) -> Result<OpenAiCompatible, BuildError> {
        if self.manner.model.trim().is_empty() {
            return Err(BuildError::NoModel);
        }
        let url = endpoint(&self.base_url)?;
        let key = self.key_variable.as_deref().map(Key::from_env).transpose()?;
        let client = client(&url, self.deadlines.connect)?;
        let mut info = ModelInfo::new(self.manner.model.clone());
        info.context_window = self.context_window;
        let Self { manner, deadlines, .. } = self;
        let inner =
            Inner { client, url, key, manner, info, deadlines, learned: Learned::default() };
        Ok(OpenAiCompatible { inner: Arc::new(inner) })
    }
}

/// The base URL is not shown: nobody has looked yet whether it holds a password.
impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiBuilder")
            .field("key_variable", &self.key_variable)
            .field("context_window", &self.context_window)
            .field("manner", &self.manner)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

fn endpoint(base: &str) -> Result<Url, BuildError> {
    let mut url = base_url(base)?;
    let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_extended_and_one_with_a_secret_is_refused_without_being_shown() {
        let url = |base| endpoint(base).map(|url| url.to_string());
        assert_eq!(url("http://h:1/v1/").unwrap(), "http://h:1/v1/chat/completions");
        assert_eq!(url("https://h").unwrap(), "https://h/chat/completions");
        for wrong in ["", "h/v1", "ftp://h", "http://u:hush@h/v1", "http://h/v1?key=hush"] {
            let builder = OpenAiBuilder::new(wrong.to_owned(), "m".to_owned());
            let shown = format!("{builder:?} {:?}", url(wrong).unwrap_err());
            assert!(!shown.contains("hush"), "{wrong}");
        }
    }
}
