//! The seam: what a tool is, and what it is given.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Claim, PanicReport, Scope, TaskId, text};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::board::TaskBoard;
use crate::budget::Budget;
use crate::definition::ToolDefinition;
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::resource::Resource;
use crate::told::{Mark, Told};

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

    /// Returns what arguments are meant by a text that is no JSON object; `None` if there are none: the
    /// call fails then, with an error that says what would be right.
    ///
    /// The text is what a JSON string holds, or else all that the model wrote. It is not blank, has at
    /// most 1 MiB and does not begin like an object. `null` is no text: it says as little as nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox, parse_args};
    /// # use serde_json::{Value, json};
    /// # #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// # struct Args { text: String }
    /// struct Echo;
    ///
    /// #[async_trait::async_trait]
    /// impl Tool for Echo {
    ///     // The definition and the call.
    /// #   fn definition(&self) -> ToolDefinition {
    /// #       ToolDefinition::of::<Args>("Echo", "Says it again.")
    /// #   }
    /// #   async fn call(&self, _: &ToolContext, args: Value) -> Result<ToolOutput, ToolError> {
    /// #       parse_args("Echo", args).map(|Args { text }| ToolOutput::text(text))
    /// #   }
    ///     fn plain_text(&self, text: &str) -> Option<Value> {
    ///         Some(json!({"text": text}))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bg_tools::ToolboxError> {
    /// let registry = bg_core::Registry::new();
    /// let cx = ToolContext::new(registry.root_scope());
    /// let called = Toolbox::new().with(Echo)?.call(&cx, "Echo", "hello").await;
    /// assert_eq!(called.into_wire().output, "hello");
    /// # Ok(())
    /// # }
    /// ```
    fn plain_text(&self, _text: &str) -> Option<Value> {
        None
    }

    /// Returns how long a call may take, if that differs from the toolbox's own deadline.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Returns how many tokens an answer may have, if that differs from the toolbox's own budget.
    fn answer_tokens(&self) -> Option<usize> {
        None
    }
}

/// Tools that come and go while a toolbox is in use.
pub trait ToolSource: Send + Sync + 'static {
    /// Returns the tools that there are now.
    fn tools(&self) -> Vec<Arc<dyn Tool>>;

    /// Returns the tool with this name. Whatever is cheaper than making all of them.
    fn tool(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.tools().into_iter().find(|tool| tool.definition().name == name)
    }
}

/// What a tool call is given: the caller's scope, its view of tasks, its token, and how long and how
/// large the answer may be.
///
/// A caller keeps one context and clones it: the context remembers what its answers have told, so
/// that they do not repeat it (see [`Claims`](crate::Claims)). Two callers have two.
#[derive(Clone)]
pub struct ToolContext {
    scope: Scope,
    board: Arc<dyn TaskBoard>,
    token: CancellationToken,
    told: Told,
    budget: Budget,
    deadline: Option<Instant>,
    resources: Arc<[Resource]>,
    progress: Option<Arc<Listener>>,
    started: Option<Arc<Started>>,
    release: CancellationToken,
}

type Listener = dyn Fn(&str) + Send + Sync;
type Started = dyn Fn(TaskId) + Send + Sync;

impl ToolContext {
    /// Most bytes of one [`progress`](Self::progress). The mark that counts what is cut comes on top.
    pub const MAX_PROGRESS_BYTES: usize = 2000;

    /// Makes a context for a caller whose tasks are in this process.
    pub fn new(scope: Scope) -> Self {
        let board = Arc::new(scope.clone());
        Self {
            scope,
            board,
            token: CancellationToken::new(),
            told: Told::default(),
            budget: Budget::default(),
            deadline: None,
            resources: Arc::default(),
            progress: None,
            started: None,
            release: CancellationToken::new(),
        }
    }

    /// Sets the token that fires when the caller is stopped, or when it is to be asked something
    /// else: a wait for tasks then answers at once, and the tasks go on.
    pub fn with_token(mut self, token: CancellationToken) -> Self {
        self.token = token;
        self
    }

    /// Sets the view of tasks, if they are not those of the scope.
    pub fn with_board(mut self, board: impl TaskBoard + 'static) -> Self {
        self.board = Arc::new(board);
        self
    }

    /// Sets what the call may hand on to an agent that it starts, in place of what there was. They
    /// are taken as they are; see [`Resource::check`].
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_tools::{Resource, ToolContext};
    ///
    /// let registry = bg_core::Registry::new();
    /// let notes = Resource::new("notes.md").with_text("# Notes");
    /// let cx = ToolContext::new(registry.root_scope()).with_resources(vec![notes]);
    /// assert_eq!(cx.clone().resources().len(), 1);
    /// ```
    pub fn with_resources(mut self, resources: Vec<Resource>) -> Self {
        self.resources = resources.into();
        self
    }

    /// Sets who hears how far a call is, in place of who did. It is called on the task of the tool, so
    /// it is to be quick; that it panics is nothing to the tool. Tools may say any number of things:
    /// what is kept of them, and for how long, is up to the listener.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// use bg_tools::ToolContext;
    ///
    /// let registry = bg_core::Registry::new();
    /// let (heard, hears) = mpsc::channel();
    /// let cx = ToolContext::new(registry.root_scope()).with_progress(move |text| {
    ///     let _ = heard.send(text.to_owned());
    /// });
    /// cx.progress("3 of 12 files");
    /// assert_eq!(hears.recv()?, "3 of 12 files");
    /// # Ok::<(), mpsc::RecvError>(())
    /// ```
    pub fn with_progress(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(listener));
        self
    }

    /// Sets who hears which task a call has started, before it waits for that. The same holds for it as
    /// for [`with_progress`](Self::with_progress).
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Registry, Task};
    /// use bg_tools::ToolContext;
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, _completer) = root.register(Task::new("index", ""))?;
    /// let cx = ToolContext::new(root).with_started(move |started| assert_eq!(started, id));
    /// cx.background(id)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_started(mut self, listener: impl Fn(TaskId) + Send + Sync + 'static) -> Self {
        self.started = Some(Arc::new(listener));
        self
    }

    /// Sets the token that fires when nobody waits for the answer any more and what the call has
    /// started is to go on: a task that it waits for in the foreground goes to the background at once.
    /// (Where it is to end with the call, the call is dropped.)
    pub fn with_release(mut self, token: CancellationToken) -> Self {
        self.release = token;
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

    /// Returns how large the answer may be.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns what the call may hand on to an agent that it starts. Clones of a context share it.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Says how far the call is. The caller hears it at once, cut to
    /// [`MAX_PROGRESS_BYTES`](Self::MAX_PROGRESS_BYTES) between two graphemes; without a listener
    /// ([`with_progress`](Self::with_progress)) it costs nothing. It is foreign text to whoever shows
    /// it, and no part of the answer.
    pub fn progress(&self, text: impl AsRef<str>) {
        let Some(listener) = &self.progress else { return };
        let text = text::excerpt(text.as_ref(), Self::MAX_PROGRESS_BYTES);
        unharmed(|| listener(&text));
    }

    /// Says which task the call has started.
    pub(crate) fn started(&self, task: TaskId) {
        if let Some(listener) = &self.started {
            unharmed(|| listener(task));
        }
    }

    pub(crate) fn release(&self) -> &CancellationToken {
        &self.release
    }

    /// Returns how much of a time is left until the deadline of the call. A tool that waits for a
    /// task of its own waits no longer, and answers that the task goes on in the background.
    pub fn patience(&self, wanted: Duration) -> Duration {
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(wanted, |left| left.min(wanted))
    }

    /// Returns a context whose answers leave room for another text beside them. (A budget has a least
    /// size; see [`Budget::MIN_TOKENS`].)
    pub fn with_less_room(&self, text: &str) -> Self {
        // A few for what joins the two.
        let taken = self.budget.count(text) + 20;
        let budget = self.budget.with_tokens(self.budget.tokens().saturating_sub(taken));
        Self { budget, ..self.clone() }
    }

    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// The context of one call.
    pub(crate) fn for_call(&self, deadline: Duration, budget: Budget) -> Self {
        // Past what a clock can count there is no deadline.
        Self { deadline: Instant::now().checked_add(deadline), budget, ..self.clone() }
    }
}

/// Calls a listener, whose panic is its own.
fn unharmed(listener: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(listener)) {
        // For its end: that of a payload may panic too.
        drop(PanicReport::of(payload));
    }
}

impl fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What a tool answers, and what the answer delivers.
#[derive(Debug, Default)]
pub struct ToolOutput {
    /// The answer.
    pub text: String,
    pub(crate) claims: Vec<Claim>,
    pub(crate) marks: Vec<(TaskId, Mark)>,
}

impl ToolOutput {
    /// Answers with text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Answers with JSON. Characters that a reader would not see are written as escapes.
    ///
    /// # Errors
    ///
    /// [`ToolError::Failed`] if the value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, ToolError> {
        to_json(value).map(Self::text)
    }

    /// Adds an outcome that the answer delivers. It is acknowledged when the host commits the turn.
    pub fn with_claim(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }

    /// Adds what the answer tells of a task.
    pub(crate) fn marked(mut self, task: TaskId, mark: Mark) -> Self {
        self.marks.push((task, mark));
        self
    }
}
