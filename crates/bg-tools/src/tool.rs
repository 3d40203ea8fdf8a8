//! The seam: what a tool is, and what it is given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Claim, Scope};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::board::TaskBoard;
use crate::definition::ToolDefinition;
use crate::error::ToolError;

/// Something that a model can call.
///
/// # Examples
///
/// ```
/// use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, parse_args};
/// use serde_json::Value;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct EchoArgs {
///     text: String,
/// }
///
/// struct Echo;
///
/// #[async_trait::async_trait]
/// impl Tool for Echo {
///     fn definition(&self) -> ToolDefinition {
///         ToolDefinition::of::<EchoArgs>("Echo", "Says it again.")
///     }
///
///     async fn call(&self, _: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
///         let args: EchoArgs = parse_args("Echo", args)?;
///         Ok(ToolOutput::text(args.text))
///     }
/// }
/// ```
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// Returns what a model is told.
    fn definition(&self) -> ToolDefinition;

    /// Does the work. The future may be dropped at any await: when the call's deadline is over,
    /// and when the caller is stopped.
    ///
    /// # Errors
    ///
    /// [`ToolError`], whose text the model reads.
    async fn call(&self, cx: &ToolContext, args: Value) -> Result<ToolOutput, ToolError>;

    /// Returns how long a call may take, if that differs from the toolbox's own deadline.
    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// What a tool call is given: the caller's scope, its view of tasks, and its token.
#[derive(Clone)]
pub struct ToolContext {
    scope: Scope,
    board: Arc<dyn TaskBoard>,
    token: CancellationToken,
}

impl ToolContext {
    /// Makes a context for a caller whose tasks are in this process.
    pub fn new(scope: Scope) -> Self {
        let board = Arc::new(scope.clone());
        Self { scope, board, token: CancellationToken::new() }
    }

    /// Sets the token that fires when the caller is stopped.
    pub fn with_token(mut self, token: CancellationToken) -> Self {
        self.token = token;
        self
    }

    /// Returns the caller's scope, for starting tasks.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the caller's view of its tasks.
    pub fn board(&self) -> &dyn TaskBoard {
        &*self.board
    }

    /// Returns the token that fires when the caller is stopped.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What a tool answers, and the outcomes that the answer delivers.
#[derive(Debug, Default)]
pub struct ToolOutput {
    /// The answer.
    pub text: String,
    pub(crate) claims: Vec<Claim>,
}

impl ToolOutput {
    /// Answers with text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), claims: Vec::new() }
    }

    /// Answers with JSON.
    ///
    /// # Errors
    ///
    /// [`ToolError::Failed`] if the value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, ToolError> {
        serde_json::to_string(value).map(Self::text).map_err(ToolError::failed)
    }

    /// Adds an outcome that the answer delivers. It is acknowledged when the host commits the turn.
    pub fn with_claim(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }
}
