//! Making a conversation smaller before it outgrows the model's window.
//!
//! Two levels, by size alone. Past the first one old, large results of tools are shortened, which
//! costs nothing. Past the second one the older part of the conversation is replaced by a summary
//! that the model writes: a transaction in which the old history stands until a smaller one that
//! holds what has to be held takes its place.
//!
//! # Invariants
//!
//! 1. A history is replaced in one assignment after everything that is awaited, so whoever drops a
//!    run in the middle of a compaction drops it with the old history.
//! 2. The new history is no larger than seven tenths of the old one, by the same estimate. A draft
//!    that could not come to that is not begun, so no summary is paid for in vain.
//! 3. A cut is made before a message of the assistant, so a call and its result stay together.
//! 4. What the new history begins with, the task and the list of live and undelivered work, is
//!    written by us at that moment; a summary is data below it, and no line of it can be a mark.
//! 5. Each request of a compaction has less to read than the one before, and there are three.

mod draft;
mod limits;
mod marks;
mod quote;
mod shorten;
pub(crate) mod size;
mod spec;
mod state;
#[cfg(all(test, feature = "test-util"))]
mod tests;
mod transcript;

pub(crate) use draft::{Draft, Ending, Judged};
#[cfg(feature = "test-util")]
pub(crate) use marks::is_summary_request;
pub use spec::{CompactionSpec, Percent};
pub(crate) use state::{Compaction, Need, Settled};
