//! What a host hears of the runs of its agents, and where it has a say in them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Failure, Output, TaskId, TaskResult, Usage, text};
use bg_tools::Resource;

use crate::message::{ToolCall, ToolResult};
use crate::model::BoxError;

mod courier;
mod note;
mod refused;
mod shield;
mod teller;
#[cfg(all(test, feature = "test-util"))]
mod tests;

pub(crate) use courier::Courier;
pub(crate) use refused::Refused;

/// Follows the runs of agents. Every method does nothing unless it is written.
///
/// Two of them have a say: [`before_run`](Self::before_run) and [`after_run`](Self::after_run) are
/// awaited by the run, may rewrite what they are given, and refuse with an error. The others are
/// told: by a task of their own, which the run does not wait for, so a hook may do anything that
/// takes time, start agents and prompt sessions among it.
///
/// # Ordering
///
/// Of one run a hook sees `before_run`, `on_start`, then progress, tools and compactions as they
/// came, and `on_end` last. `after_run` is called before the end is told, and perhaps while earlier
/// things still are. One notification goes to all hooks, one after the other in the order in which
/// they were given, before the next one does. Runs know nothing of each other: those of several
/// agents are told at the same time.
///
/// `on_end` is called once for every `on_start`, whatever became of the run, and not at all when
/// there was no `on_start`: when a hook refused in `before_run`. The end of the runtime is the
/// exception: then nobody is there any more to tell anything.
///
/// # Bounds
///
/// A call has a deadline ([`Hooks::DEADLINE`] unless the host says otherwise); one that is late is
/// dropped at its next await. A hook that was late is told nothing more of that run but its end. One
/// that panics loses that call alone. Of `before_run` and `after_run`, a call that panicked or was
/// late is skipped, and nothing of what it had rewritten is kept: only an error refuses. The trace
/// of the run and a warning say what went wrong.
///
/// At most 256 notifications and 8 MiB of one run wait to be told; further ones, but for start and
/// end, are left out, and the end says how many. So a tool's end may be told without its start.
///
/// A hook that blocks its thread cannot be interrupted, and on a runtime of one thread blocks
/// everything.
///
/// # Examples
///
/// ```
/// use bg_core::Output;
/// use bg_sessions::{AgentHook, BoxError, Hooks, RunEnd, RunInfo, RunInput};
///
/// struct House;
///
/// #[async_trait::async_trait]
/// impl AgentHook for House {
///     async fn before_run(&self, run: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
///         if run.agent == "deploy" {
///             return Err("nothing is deployed on a Friday".into());
///         }
///         // A session reads what its children have left without a prompt.
///         if !input.prompt.is_empty() {
///             input.prompt.push_str("\nAnswer in one paragraph.");
///         }
///         Ok(())
///     }
///
///     async fn on_end(&self, run: &RunInfo, end: &RunEnd, _skipped: u64) {
///         println!("{} ended: {}", run.id, end.output().map_or("", |output| &output.text));
///     }
/// }
///
/// let hooks = Hooks::new().with(House);
/// assert_eq!(hooks.len(), 1);
/// ```
#[async_trait]
pub trait AgentHook: Send + Sync + 'static {
    /// Looks at what a run is about to be asked, and may change it.
    ///
    /// # Errors
    ///
    /// Any error refuses: the run fails with it, and neither its start nor its end is told. The same
    /// goes for a run of whose input the hooks leave nothing.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it is late or the run is stopped.
    async fn before_run(&self, run: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        let _ = (run, input);
        Ok(())
    }

    /// Looks at what a run has come to, and may change it.
    ///
    /// # Errors
    ///
    /// Any error refuses: the run fails with it, and what it had come to is the partial output.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it is late or the run is stopped.
    async fn after_run(&self, run: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        let _ = (run, output);
        Ok(())
    }

    /// Is told that a run has started.
    async fn on_start(&self, run: &RunInfo) {
        let _ = run;
    }

    /// Is told that a run has got further.
    async fn on_progress(&self, run: &RunInfo, progress: &Progress) {
        let _ = (run, progress);
    }

    /// Is told that a tool is called.
    async fn on_tool_start(&self, run: &RunInfo, call: &ToolCall) {
        let _ = (run, call);
    }

    /// Is told that a tool has got further: at most [`Progress::MAX_TEXT_BYTES`] of text.
    async fn on_tool_progress(&self, run: &RunInfo, call: &ToolCall, text: &str) {
        let _ = (run, call, text);
    }

    /// Is told what a tool answered.
    async fn on_tool_end(&self, run: &RunInfo, call: &ToolCall, result: &ToolResult) {
        let _ = (run, call, result);
    }

    /// Is told that the conversation was made smaller: about so many tokens before and after.
    async fn on_compaction(&self, run: &RunInfo, tokens_before: u64, tokens_after: u64) {
        let _ = (run, tokens_before, tokens_after);
    }

    /// Is told how a run ended, and how many notifications of it this hook was not told.
    async fn on_end(&self, run: &RunInfo, end: &RunEnd, skipped: u64) {
        let _ = (run, end, skipped);
    }
}

/// Which run it is about.
///
/// # Examples
///
/// ```
/// use bg_sessions::RunInfo;
///
/// let run = RunInfo::new("agent:7".parse()?, "explore").with_session("parser");
/// assert_eq!(run.session.as_deref(), Some("parser"));
/// # Ok::<(), bg_core::ParseIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    /// The task that it is.
    pub id: TaskId,
    /// The agent's name.
    pub agent: String,
    /// The session that it is a prompt of, if it is one.
    pub session: Option<String>,
}

impl RunInfo {
    /// Names a run that belongs to no session.
    pub fn new(id: TaskId, agent: impl Into<String>) -> Self {
        Self { id, agent: agent.into(), session: None }
    }

    /// Names the session that it is a prompt of.
    pub fn with_session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }
}

/// What a run is asked.
///
/// # Examples
///
/// ```
/// use bg_sessions::RunInput;
///
/// assert_eq!(RunInput::new("find all tests").prompt, "find all tests");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInput {
    /// In words.
    pub prompt: String,
    /// What is attached.
    pub resources: Vec<Resource>,
}

impl RunInput {
    /// Makes an input of a prompt alone.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), resources: Vec::new() }
    }

    /// Sets what is attached.
    pub fn with_resources(mut self, resources: Vec<Resource>) -> Self {
        self.resources = resources;
        self
    }
}

/// How far a run has got.
///
/// # Examples
///
/// ```
/// use bg_core::Usage;
/// use bg_sessions::Progress;
///
/// let progress = Progress::new(&"long ".repeat(1000), 3, Usage::default());
/// assert_eq!(progress.text.len(), Progress::MAX_TEXT_BYTES);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What the step said, or why it failed, or what it thought: at most
    /// [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES), cut between two graphemes.
    pub text: String,
    /// The step, counted from 1.
    pub step: u32,
    /// What the run has cost so far, from its start on.
    pub usage: Usage,
}

impl Progress {
    /// Longest text, in bytes.
    pub const MAX_TEXT_BYTES: usize = 2000;

    /// Says how far a run has got; a text that is too long is cut.
    pub fn new(text: &str, step: u32, usage: Usage) -> Self {
        let text = text::prefix(text, Self::MAX_TEXT_BYTES).to_owned();
        Self { text, step, usage }
    }
}

/// How a run ended, as hooks are told.
///
/// The task's own outcome is made after this: a stop by the registry, for example, adds its reason.
///
/// # Examples
///
/// ```
/// use bg_core::{Failure, Output};
/// use bg_sessions::RunEnd;
///
/// let failure = Failure::new("no tests found").with_partial(Output::text("looked in src"));
/// let end = RunEnd::of(&Err(failure), false);
/// assert!(matches!(end, RunEnd::Failed(_)));
/// assert_eq!(end.output().map(|output| &*output.text), Some("looked in src"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RunEnd {
    /// It came to an output.
    Completed(Arc<Output>),
    /// It failed, or a hook refused its output.
    Failed(Arc<Failure>),
    /// It was stopped; what it had reached is in the failure.
    Stopped(Arc<Failure>),
    /// It panicked and said this: at most [`PanicReport::MAX_MESSAGE_BYTES`] of it.
    ///
    /// [`PanicReport::MAX_MESSAGE_BYTES`]: bg_core::PanicReport::MAX_MESSAGE_BYTES
    Panicked(Arc<str>),
    /// Its future was dropped before it ended: it was aborted, or its registry is gone.
    Dropped,
}

impl RunEnd {
    /// Says what a result is the end of: `stopped` if an error is that of a run that was stopped.
    pub fn of(result: &TaskResult, stopped: bool) -> Self {
        match result {
            Ok(output) => Self::Completed(Arc::new(output.clone())),
            Err(failure) if stopped => Self::Stopped(Arc::new(failure.clone())),
            Err(failure) => Self::Failed(Arc::new(failure.clone())),
        }
    }

    /// Returns the output, or the part of it that had been reached.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Completed(output) => Some(output),
            Self::Failed(failure) | Self::Stopped(failure) => failure.partial.as_deref(),
            Self::Panicked(_) | Self::Dropped => None,
        }
    }
}

/// The hooks of a host, in the order in which they are called. Clones share them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_sessions::{AgentHook, Hooks};
///
/// struct Nothing;
/// impl AgentHook for Nothing {}
///
/// let hooks = Hooks::new().with(Nothing).with_deadline(Duration::from_secs(1));
/// assert!(!hooks.is_empty());
/// ```
#[derive(Clone)]
pub struct Hooks {
    /// No hooks are `None`, for which nothing is allocated.
    list: Option<Arc<Vec<Arc<dyn AgentHook>>>>,
    deadline: Duration,
}

impl Hooks {
    /// How long one call of a hook may take, unless the host says otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(5);

    /// Makes a list of no hooks.
    pub fn new() -> Self {
        Self { list: None, deadline: Self::DEADLINE }
    }

    /// Adds a hook, which is called after those that are there.
    pub fn with(self, hook: impl AgentHook) -> Self {
        self.with_shared(Arc::new(hook))
    }

    /// Adds a hook that others hold too.
    pub fn with_shared(mut self, hook: Arc<dyn AgentHook>) -> Self {
        Arc::make_mut(self.list.get_or_insert_default()).push(hook);
        self
    }

    /// Sets how long one call of a hook may take.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Counts the hooks.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    fn list(&self) -> &[Arc<dyn AgentHook>] {
        self.list.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("len", &self.len())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
