//! The seam to language models.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::Usage;
use bg_tools::ToolDefinition;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::effort::Effort;
use crate::message::{Message, Part, ToolCall};

/// A language model, or what stands in for one.
///
/// # Examples
///
/// ```
/// use bg_sessions::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};
/// use tokio_util::sync::CancellationToken;
///
/// struct Parrot;
///
/// #[async_trait::async_trait]
/// impl Model for Parrot {
///     fn info(&self) -> ModelInfo {
///         ModelInfo::new("parrot")
///     }
///
///     async fn complete(
///         &self,
///         request: ModelRequest,
///         _: CancellationToken,
///     ) -> Result<ModelReply, ModelError> {
///         Ok(ModelReply::say(format!("{} messages", request.messages.len())))
///     }
/// }
/// ```
#[async_trait]
pub trait Model: Send + Sync + 'static {
    /// Says what it is.
    fn info(&self) -> ModelInfo;

    /// Answers a conversation with one turn.
    ///
    /// # Errors
    ///
    /// [`ModelError`], whose class decides what the caller does next.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the caller is stopped, so it has to be safe to drop at any await;
    /// what the turn has cost until then is not known to anybody. The token fires then too, and
    /// once the request is over, for work that the future has handed to others.
    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError>;
}

#[async_trait]
impl<M: Model + ?Sized> Model for Arc<M> {
    fn info(&self) -> ModelInfo {
        (**self).info()
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        (**self).complete(request, token).await
    }
}

/// What a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its name, as outputs show it.
    pub name: String,
    /// Tokens that one request and its answer may have together; `None` if nobody knows.
    pub context_window: Option<u64>,
}

impl ModelInfo {
    /// Names a model whose window is not known.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), context_window: None }
    }

    /// Says how large its window is, in tokens.
    pub fn with_context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }
}

/// What a model is asked. Clones share what they hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelRequest {
    /// What the model is told before the conversation.
    pub instructions: Arc<str>,
    /// The conversation; see [`Message`] for what holds of it.
    pub messages: Arc<Vec<Message>>,
    /// The tools that there are.
    pub tools: Arc<[ToolDefinition]>,
    /// Whether it may call them now. If not, it has to answer: the tools stay in the request because
    /// there are providers that refuse calls in a conversation without them. Calls are ignored then.
    pub may_call: bool,
    /// How hard it is to think; `None` for its own default.
    pub effort: Option<Effort>,
    /// JSON Schema of the answer, if that is to be JSON.
    pub output_schema: Option<Arc<Value>>,
}

impl ModelRequest {
    /// Makes a request without instructions or tools.
    pub fn new(messages: impl Into<Arc<Vec<Message>>>) -> Self {
        Self {
            instructions: "".into(),
            messages: messages.into(),
            tools: Arc::default(),
            may_call: true,
            effort: None,
            output_schema: None,
        }
    }

    /// Sets what the model is told before the conversation.
    pub fn with_instructions(mut self, instructions: impl Into<Arc<str>>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// Sets how hard it is to think.
    pub fn with_effort(mut self, effort: Option<Effort>) -> Self {
        self.effort = effort;
        self
    }

    /// Asks for an answer in JSON.
    pub fn with_output_schema(mut self, schema: Option<Arc<Value>>) -> Self {
        self.output_schema = schema;
        self
    }

    /// Sets the tools that there are.
    pub fn with_tools(mut self, tools: impl Into<Arc<[ToolDefinition]>>) -> Self {
        self.tools = tools.into();
        self
    }
}

/// One turn of a model. A turn without calls is its answer.
///
/// # Examples
///
/// ```
/// use bg_sessions::{ModelReply, Part, ToolCall};
///
/// let call = ToolCall::new("1", "Read", "{\"path\": \"src\"}");
/// let reply = ModelReply::new(vec![Part::text("I look. "), Part::ToolCall(call)]);
/// assert_eq!(reply.text(), "I look. ");
/// assert_eq!(reply.tool_calls().count(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelReply {
    /// What it said, thought and called, in its order.
    pub parts: Vec<Part>,
    /// What the turn cost.
    pub usage: Usage,
    /// Whether it was ended by the limit of output tokens, and its own end is missing.
    pub is_cut: bool,
}

impl ModelReply {
    /// Makes a turn of which no cost is known.
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts, usage: Usage::default(), is_cut: false }
    }

    /// Makes a turn of text alone.
    pub fn say(text: impl Into<String>) -> Self {
        Self::new(vec![Part::text(text)])
    }

    /// Makes a turn of calls alone.
    pub fn call(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self::new(calls.into_iter().map(Part::ToolCall).collect())
    }

    /// Sets what the turn cost.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Says that it was ended by the limit of output tokens. As the answer of a run it is told to be cut.
    pub fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// Returns the pieces of text, put together.
    pub fn text(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.parts.iter().filter_map(text).collect()
    }

    /// Returns the thoughts, a line break between two of them; `None` if there are none.
    pub fn thoughts(&self) -> Option<String> {
        let thought = |part: &Part| match part {
            Part::Thinking(thinking) => Some(thinking.text.clone()),
            _ => None,
        };
        let thoughts: Vec<String> = self.parts.iter().filter_map(thought).collect();
        (!thoughts.is_empty()).then(|| thoughts.join("\n"))
    }

    /// Returns the calls, in their order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(Part::as_tool_call)
    }
}

/// What went wrong underneath.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A model did not answer. The class says what can be done about it; messages are fragments that
/// fit "the model failed: {error}".
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_sessions::ModelError;
///
/// let cause = std::io::Error::other("HTTP 429");
/// let error = ModelError::retryable("rate limited", Some(Duration::from_secs(7))).with_source(cause);
/// assert_eq!(bg_core::Failure::from(error).to_string(), "rate limited: HTTP 429");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not now: a rate limit, an overload, a lost connection. The same request may work later.
    #[error("{message}")]
    Retryable {
        /// What is the matter.
        message: String,
        /// When the provider wants to be asked again, if it says.
        retry_after: Option<Duration>,
        /// What went wrong underneath.
        source: Option<BoxError>,
    },
    /// The conversation is larger than the model's window. A smaller one may work.
    #[error("{message}")]
    ContextOverflow {
        /// What is the matter.
        message: String,
        /// What went wrong underneath.
        source: Option<BoxError>,
    },
    /// The model, or its provider, will not answer this conversation.
    #[error("{message}")]
    Refused {
        /// What is the matter.
        message: String,
        /// What went wrong underneath.
        source: Option<BoxError>,
    },
    /// Anything else: a wrong key, an unknown model, an answer that makes no sense.
    #[error("{message}")]
    Fatal {
        /// What is the matter.
        message: String,
        /// What went wrong underneath.
        source: Option<BoxError>,
    },
}

impl ModelError {
    /// Makes an error after which the same request may work.
    pub fn retryable(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::Retryable { message: message.into(), retry_after, source: None }
    }

    /// Makes an error that says that the conversation is too large.
    pub fn context_overflow(message: impl Into<String>) -> Self {
        Self::ContextOverflow { message: message.into(), source: None }
    }

    /// Makes an error that says that the model will not answer.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), source: None }
    }

    /// Makes an error that nothing can be done about.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal { message: message.into(), source: None }
    }

    /// Adds what went wrong underneath.
    pub fn with_source(mut self, cause: impl Into<BoxError>) -> Self {
        let (Self::Retryable { source, .. }
        | Self::ContextOverflow { source, .. }
        | Self::Refused { source, .. }
        | Self::Fatal { source, .. }) = &mut self;
        *source = Some(cause.into());
        self
    }
}
