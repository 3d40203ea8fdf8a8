//! Background work for LLM agents: the crates of `bg` under one roof.
//!
//! An agent starts work that it does not wait for (sub-agents, shell commands, futures of the
//! host's own). `bg` runs, tracks and stops it, and hands every result back, once, to the one who
//! asked for it.
//!
//! # What it guarantees
//!
//! What its crates guarantee, each in its own words: [`core`], [`tools`], [`process`], [`sessions`].
//!
//! # What it does not
//!
//! - It adds no behaviour to them: [`Background`] only puts them together with a host's defaults.
//!
//! # Example
//!
//! A host with one agent, a shell, and a scripted model in place of a language model:
//!
//! ```
//! # #[cfg(all(unix, feature = "script"))]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bg_agents::sessions::{AgentSpec, Models, RunOptions, ScriptModel};
//! use bg_agents::{Background, format_outcome};
//!
//! let script = r#"
//!     call Bash {"command": "echo 42 tests"}
//!     say found: {{1}}
//! "#;
//! let background = Background::builder()
//!     .folder(".")
//!     .models(Models::new("script", ScriptModel::new(script.parse()?)))
//!     .agents([AgentSpec::new("explorer").with_tools(["Bash"])])
//!     .build()?;
//! let root = background.root_scope();
//! let agents = background.agents().ok_or("no agents")?;
//! agents.spawn(&root, "explorer", "find all tests", RunOptions::default())?;
//!
//! let claim = root.inbox().next().await.ok_or("closed")?; // woken, not polled
//! let text = format_outcome(&claim); // what goes into the conversation
//! assert!(text.contains("42 tests"));
//! claim.ack(); // the turn that has it is committed
//! # Ok(())
//! # }
//! # #[cfg(not(all(unix, feature = "script")))]
//! # fn main() {}
//! ```
//!
//! A host that starts processes calls [`process::guard_main`] first in its `main`; without that nothing
//! ends what a killed host has left, and [`process::guard_status`] says so.
//!
//! # Features
//!
//! - `process` (default): child processes, the `Bash` tool.
//! - `sessions` (default): sub-agents, the `InvokeAgent` tool.
//! - `script`: the scripted model, for tests and demonstrations.
//! - `test-util`: models and a hook for tests, which includes `script`.
//! - `validate`: answers in JSON are checked against the schema that was asked for.

mod background;
#[cfg(all(doctest, feature = "process", feature = "test-util"))]
mod guides;

/// The example of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc(inline)]
pub use bg_core as core;
#[cfg(feature = "process")]
#[doc(inline)]
pub use bg_process as process;
#[cfg(feature = "sessions")]
#[doc(inline)]
pub use bg_sessions as sessions;
#[doc(inline)]
pub use bg_tools as tools;

// The host.
pub use background::{Background, BackgroundBuilder, BuildError};
// What every host touches.
pub use bg_core::{Claim, Finished, Outcome, Output, Registry, Scope, Task, TaskId};
pub use bg_tools::{Called, Tool, ToolContext, Toolbox, format_outcome};
