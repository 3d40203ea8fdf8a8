//! The registry of background work: one table, one id space, one state machine.
//!
//! A host that runs language-model agents starts work that it does not wait for. This crate keeps
//! track of it, stops it, and hands every result back to the one who asked for it.
//!
//! # What it guarantees
//!
//! - A task reaches one [`Outcome`], whatever it does: return, error, panic, abort, a dropped
//!   completer.
//! - An outcome is delivered to one holder. Waiting only observes; a [`Claim`] that is dropped
//!   gives its outcome back in its place.
//! - Status and outcome change together: whoever sees a terminal status can have the outcome.
//! - Nothing of a user's runs under the registry's lock.
//! - What is bounded is counted, and what is undelivered is not dropped: past its limit, spawning is
//!   refused.
//! - Another root's task is indistinguishable from one that never existed.
//!
//! # What it does not
//!
//! - A future in a busy loop cannot be stopped, only reported ([`CloseReport::unresponsive`]).
//! - Nothing survives the host process: the registry lives in memory.
//! - With `panic = "abort"` a panic is the end of the host, not an outcome.
//!
//! # Compared with
//!
//! - [`tokio::task::JoinSet`] and `tokio_util::task::JoinMap` hand each result to whoever polls
//!   them, and abort everything when they are dropped. A registry keeps an outcome until it is
//!   acknowledged, shows it to any number of waiters, and gives ids that stay readable.
//! - `tokio_util::task::TaskTracker` tells when all tasks have ended, and nothing of how. Use it
//!   where there is nothing to deliver: a registry keeps a record for each task.
//! - [`tokio_util::sync::CancellationToken`] asks. A stop here asks, waits for a grace, then
//!   aborts, reaches everything below, and says what would not end.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use bg_core::{Outcome, Output, Registry, Task};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let root = registry.root_scope();
//! let id = root.spawn(Task::agent("explore", "find all tests"), |cx| async move {
//!     cx.step(1);
//!     let child = cx.scope().spawn(Task::new("count", "lines"), |_| async {
//!         Ok(Output::text("42"))
//!     })?;
//!     let lines = cx.wait([child]).await?;
//!     let text = lines.ended[0].outcome.output().map(|output| output.text.clone());
//!     Ok(Output::text(format!("{} lines", text.unwrap_or_default())))
//! })?;
//! for done in root.wait([id]).timeout(Duration::from_secs(30)).await?.ended {
//!     assert_eq!(done.outcome, Outcome::Completed(Output::text("42 lines")));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Three whole hosts are in `examples/`: one that drains before each turn, one that is woken while
//! it is idle, and one that acknowledges only what a turn has committed.
//!
//! # Theory of operation
//!
//! A plain machine (`machine/`) holds every record. It takes the time as an argument and writes
//! what a change leads to (wakers, aborts, tokens, drops) into a list of effects. A thin shell
//! (`shared.rs`) puts it behind one lock and runs the effects after the lock is released. Every
//! other handle is a key into the machine; dropping the [`Registry`] takes everything out of it.
//!
//! A spawned future is wrapped so that its destructor runs first and its outcome is recorded
//! second, under `catch_unwind` throughout. An ended record sits in its scope's inbox until it is
//! claimed, is held by one claim until it is acknowledged, and is then kept for reading until
//! newer ones push it out or it is too old.
//!
//! What a task reports of itself does not wait for the lock: it is left beside it, and applied by
//! whoever takes it next.
//!
//! # Features
//!
//! - `search`: [`OutputLog`] can be searched with a regular expression.

mod admin;
mod breakdown;
mod cell;
mod claim;
mod close;
mod completer;
mod context;
mod driver;
mod effects;
mod error;
mod events;
mod failure;
mod foreground;
mod future;
mod id;
mod limits;
mod log;
mod machine;
mod mailbox;
mod outcome;
mod output;
mod parent;
mod registry;
mod scope;
mod shared;
mod status;
mod subscribe;
mod sync;
mod task;
pub mod text;
mod view;
mod wait;
mod wait_cell;
mod wakers;
mod watch;
mod words;

// The owner, and the capabilities it hands out.
pub use admin::{Admin, AdminTask, Stats};
pub use cell::WeakScope;
pub use completer::Completer;
pub use context::TaskContext;
pub use limits::{LimitKind, Limits, Retention};
pub use registry::{Registry, RegistryBuilder};
pub use scope::Scope;
// Tasks and their ids.
pub use id::{InvalidKind, Kind, MAX_ID_BYTES, MAX_KIND_BYTES, ParseIdError, TaskId, TaskRef};
pub use status::{Phase, Status};
pub use task::{Snapshot, Task};
// How they end.
pub use breakdown::{Breakdown, ToolUsage};
pub use failure::{Failure, PanicReport};
pub use outcome::{Cancellation, Finished, Outcome, Reason, TaskResult, Unclaimed};
pub use output::{Artifact, Exit, Output, Usage};
// How that is delivered.
pub use claim::{Claim, Delivered, Drain, Inbox, Next, Ready};
pub use driver::{Driver, Turn, TurnEnd, TurnSlot};
pub use foreground::Foreground;
pub use machine::WaitFor;
pub use wait::{Wait, Waited};
// Stopping and steering.
pub use close::CloseReport;
pub use machine::CancelOutcome;
pub use mailbox::{Mailbox, MailboxCaps, Message, Recv};
// Watching.
pub use events::{Event, EventKind, Lagged};
pub use log::{Chunk, Follow, LogCaps, OutputLog, Stream};
#[cfg(feature = "search")]
pub use log::{Found, FoundLine, PatternError, Search};
pub use subscribe::Events;
pub use view::{Block, BlockKind, Peek, Peeked, RecentBlocks, View};
pub use watch::StatusWatch;
// Errors.
pub use error::{ClaimError, DisplayRef, ResolveError, SendError, SpawnError, TaskError};
