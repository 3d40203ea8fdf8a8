//! Real models behind the seam of `bg-sessions`: adapters to model servers.
//!
//! # What it guarantees
//!
//! - Whatever a server does, a request ends with an answer or with an error of a class: every wait
//!   has a deadline, and what is read is bounded.
//! - A request that is dropped closes its connection at once.
//! - A key is read from the environment alone, and is in no error, log, span or `Debug` output, nor
//!   in what a server sends back.
//!
//! # What it does not
//!
//! - It does not ask again after an error that may pass: that is the runner's, which knows how often.
//! - It does not check an answer against its schema: see [`OpenAiCompatible`] for who is held to what.
//!
//! # Example
//!
//! ```no_run
//! use bg_core::Registry;
//! use bg_models::OpenAiCompatible;
//! use bg_sessions::{AgentSpec, Agents, Models, RunOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = OpenAiCompatible::builder("http://127.0.0.1:8080/v1", "smollm2").build()?;
//! let agents = Agents::builder(Models::new("local", model))
//!     .agent(AgentSpec::new("poet").with_instructions("You write one line."))
//!     .build()?;
//!
//! let root = Registry::new().root_scope();
//! agents.spawn(&root, "poet", "about rain", RunOptions::default())?;
//! let done = root.inbox().next().await.ok_or("closed")?.ack();
//! println!("{:?}", done.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//!
//! A conversation is written as one request and sent with `stream` on. The body of the answer is cut
//! into lines, lines are parsed into events, and each event adds to the answer; an answer that is not
//! a stream is one such event. Where something is wrong a [`Fault`] is made, and on the way out the
//! key is taken out of it and its class is decided. What a server does not take (an effort, a field)
//! is remembered for the next request.
//!
//! # Features
//!
//! - `genai`: `Genai`, for vendors with protocols of their own. Off, because it turns on features of
//!   other crates for the whole build: `preserve_order` of `serde_json`, `test-util` of tokio.

mod attached;
mod body;
mod calls;
mod deadlines;
mod error;
mod fault;
#[cfg(feature = "genai")]
mod genai;
mod http;
mod key;
mod openai;
mod retry_after;
mod schema;
mod server_error;

// Models.
#[cfg(feature = "genai")]
pub use genai::{Genai, GenaiBuilder};
pub use openai::{OpenAiBuilder, OpenAiCompatible};
// Errors.
pub use error::BuildError;
pub use fault::Fault;
pub use server_error::ServerError;
