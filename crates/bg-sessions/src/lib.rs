//! Sub-agents: what an agent is, the seam to language models, and the loop that runs one.
//!
//! # What it guarantees
//!
//! - A run is a task of the registry, and so is each prompt of a session: it reaches one outcome, and
//!   its outcome is delivered once.
//! - A stop takes effect at once, also in the middle of a model's turn or of a tool's work; what had
//!   been reached is kept in the outcome.
//! - A request to a model has a result for each call before it, whatever was dropped or stopped.
//! - The outcomes of children that a model is told are acknowledged when it has answered; an agent does
//!   not end its run over children that still work.
//! - A prompt that a session has accepted is answered for, and one that it cannot take is refused.
//! - A conversation is made smaller before it outgrows the model's window: the old one stands until a
//!   smaller one takes its place, and neither the task nor the list of work is left to a summary.
//! - A run is bounded in steps; a model that cannot answer now is asked again, a bounded number of
//!   times.
//!
//! # What it does not
//!
//! - It speaks no provider's wire format: [`Model`] is the seam.
//! - It bounds neither how deep agents invoke agents nor how many run: that is the registry's.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "script")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bg_core::Registry;
//! use bg_sessions::{AgentSpec, Agents, Models, RunOptions, ScriptModel};
//! use bg_tools::{Toolbox, task_tools};
//!
//! let model = ScriptModel::new("call ListBackgroundTasks {}\nsay they are: {{1}}".parse()?);
//! let agents = Agents::builder(Models::new("script", model))
//!     .toolbox(Toolbox::new().with_all(task_tools())?)
//!     .agent(AgentSpec::new("watch").with_tools(["ListBackgroundTasks"]))
//!     .build()?;
//!
//! let registry = Registry::new();
//! let root = registry.root_scope();
//! let id = agents.spawn(&root, "watch", "which tasks are there?", RunOptions::default())?;
//! let done = root.inbox().next().await.ok_or("closed")?.ack();
//! assert_eq!(done.id, id);
//! assert_eq!(done.outcome.output().map(|output| &*output.text), Some("they are: []"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "script"))]
//! # fn main() {}
//! ```
//!
//! # Theory of operation
//!
//! An [`AgentSpec`] is data. [`Agents`] ties specs to the host's tools and [`Models`] and starts
//! runs. A turn is a loop: one reply of the model, then the calls of that reply at the same time, then
//! the reply and their results into the history in one piece. A reply without calls is the answer. A
//! run is one turn, which also goes on while background work of the run is left: its outcomes are what
//! the model reads next. A session ([`Agents::prompt`]) is a worker whose conversation stays: it takes
//! the prompts that wait, has a turn, and rests. Past the step cap the model is asked once more,
//! without tools. Before a request a conversation that is too large is compacted, as
//! [`CompactionSpec`] says: large old results are cut, then what is old is summarized by the model.
//! [`Hooks`] are consulted before and after a turn, and told of what happens in it.
//!
//! # Feature flags
//!
//! - `script`: a model that follows a script, for hosts without a provider.
//! - `test-util`: models and a hook for tests, which includes `script`.
//! - `validate`: answers in JSON are checked against the schema that was asked for.

// What `cargo xtask shuttle` models is one module, which its tests include.
#![cfg(not(bg_shuttle))]

mod agent_tool;
mod agents;
mod answer_schema;
mod background;
mod compaction;
mod effort;
mod error;
mod folder;
mod history;
mod hooks;
mod invoke;
mod ledger;
mod manager;
mod message;
mod model;
mod models;
mod retry;
mod runner;
#[cfg(feature = "script")]
mod script;
mod session;
mod spec;
mod sync;
#[cfg(feature = "test-util")]
mod testing;
#[cfg(feature = "test-util")]
mod testing_hooks;
mod tool_calls;

// Definitions.
pub use effort::{Effort, EffortError};
pub use folder::SkippedFile;
pub use spec::{AgentSpec, SpecError, is_agent_name};
// Running them.
pub use agents::{Agents, AgentsBuilder, RunOptions, Upserted};
pub use compaction::{CompactionSpec, Percent};
pub use error::{AgentsError, ChangeError, InvokeError};
pub use invoke::InvokeAgent;
pub use manager::ManageAgents;
// Sessions.
pub use session::{Child, Prompted, SessionAnswer, SessionCommand, SessionStatus};
// Following them.
pub use hooks::{AgentHook, Hooks, Progress, RunEnd, RunInfo, RunInput};
// The seam to models.
pub use model::{BoxError, Model, ModelError, ModelInfo, ModelReply, ModelRequest};
pub use models::{Models, ModelsError};
// What it costs.
pub use ledger::Ledger;
// Conversations.
pub use message::{Message, Part, Role, Thinking, ToolCall, ToolResult};
// Models that need no provider, and what tests need.
#[cfg(feature = "script")]
pub use script::{Script, ScriptError, ScriptModel, ScriptProblem};
#[cfg(feature = "test-util")]
pub use testing::{Recorded, Turn, TurnsModel, WithSummaries};
#[cfg(feature = "test-util")]
pub use testing_hooks::{RecordingHook, Told};
