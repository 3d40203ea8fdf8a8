//! What a language model sees of background work: tools, their schemas, and their answers.
//!
//! # What it guarantees
//!
//! - Whatever a model sends as arguments, a call ends with an answer or a typed error that says
//!   what would be right: sizes and depth are checked first, every call has a deadline, panics are
//!   caught.
//! - A caller's tools touch that caller's tasks only.
//! - A result that a tool delivers is given back if the host's turn fails ([`Called::claims`]).
//! - Answers are bounded; what is cut says how much is missing and can be read by cursor.
//! - A task's output is data in a field, or inside a fence that it cannot close.
//!
//! # What it does not
//!
//! - It speaks no provider's wire format and runs no model.
//! - It does not judge what a tool does; allow lists ([`Toolbox::select`]) are the host's.
//!
//! # Example
//!
//! ```
//! use bg_core::{Output, Registry, Task};
//! use bg_tools::{ToolContext, Toolbox, task_tools};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let root = registry.root_scope();
//! root.spawn(Task::agent("explore", "map repo"), |_| async { Ok(Output::text("3 crates")) })?;
//!
//! let toolbox = Toolbox::new().with_all(task_tools())?;
//! let cx = ToolContext::new(root.clone());
//! let called = toolbox.call(&cx, "WaitTask", r#"{"task_id": "agent:1"}"#).await;
//! let answer: serde_json::Value = serde_json::from_str(&called.into_wire().output)?;
//! assert_eq!(answer["status"], "completed");
//! assert_eq!(answer["output"], "3 crates");
//! assert_eq!(root.inbox().drain().count(), 0); // delivered by the answer
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//!
//! A [`Tool`] has a definition (its schema derived from the type that parses its arguments) and a
//! call. A [`Toolbox`] looks the name up, checks the arguments and runs the call. The task tools
//! are written against [`TaskBoard`], which a local [`Scope`](bg_core::Scope) implements.

mod answers;
mod args;
mod board;
mod budget;
mod definition;
mod error;
mod format;
mod hidden;
mod manifest;
mod piece;
mod resource;
mod strict;
mod tasks;
mod terminal;
mod told;
mod tool;
mod toolbox;
mod view;

// The seam.
pub use definition::{ToolDefinition, is_tool_name};
pub use tool::{Tool, ToolContext, ToolOutput, ToolSource};
// Calling tools.
pub use budget::{Budget, estimate_tokens};
pub use error::ToolError;
pub use told::Claims;
pub use toolbox::{Called, Toolbox, ToolboxError, Wire};
// Writing tools.
pub use args::{BoolArg, CountArg, SecsArg, TaskIdArg, parse_args};
pub use view::{LogView, status_word};
// What a call may hand on.
pub use resource::{Resource, ResourceContent, ResourceError, select_resources};
// Tasks.
pub use board::{Piece, Seen, TaskBoard};
pub use format::{Envelope, format_outcome, format_outcome_within, parse_outcomes};
pub use manifest::manifest;
pub use tasks::{
    CancelTask, InspectTask, ListBackgroundTasks, ReadTaskOutput, SendToTask, WaitTask, WaitTasks,
    task_tools,
};
