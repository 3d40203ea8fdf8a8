//! Child processes as tasks of a [`bg_core::Registry`].
//!
//! # What it guarantees
//!
//! - A process is one task: one outcome with its exit code *and* signal, delivered like any other.
//! - With a guard ([`guard_main`]), everything that a host has started is dead within a second after
//!   the host is gone, for whatever reason: what has detached itself (`setsid`, double forks, a
//!   cleared environment) too.
//! - A stop ends a process and everything that it has started: SIGTERM to its group, SIGKILL to all of
//!   it after the grace, again until nothing is left. It ends with a [`StopReceipt`], made after the
//!   kernel said so, which names what holds the process ([`Containment`]) and what is left. A
//!   process that had exited before keeps its exit.
//! - No signal reaches a process that we did not start; no call takes a process number.
//! - Its output goes into the task's output log, both streams in one, told apart; memory stays within
//!   the log's caps whatever it writes.
//! - Exit and end of output are two events: the exit is told at once and is true, and whoever holds a
//!   pipe past the drain delay is named.
//! - What is sent to a task that is [interactive](ProcessSpec::interactive) is written to its input in
//!   order; a process that does not read costs what its mailbox holds, and who sends is told.
//! - Nothing polls: an exit wakes the one task that waits for it.
//!
//! # What it does not
//!
//! - Without a guard nothing ends what a killed host has left, and a stop does not find what has left
//!   its group and cleared its environment. [`guard_status`] tells, and so does each receipt.
//! - It is not a sandbox: a process that asks another service to start something, or that attacks the
//!   guard on purpose, is not contained.
//! - A task that is dropped (its registry dropped, its scope closed with less grace than it needs) is
//!   killed at once and has no receipt.
//! - On macOS a stop reaches the process group; on Windows it ends a job object. Neither has a guard,
//!   and neither was compiled by the authors.
//!
//! # Example
//!
//! See [`Processes`] for one that runs, and below the shape of a host:
//!
//! ```no_run
//! use bg_core::Registry;
//! use bg_process::{ProcessSpec, Processes, guard_main};
//!
//! // First in `main`: the guard is this program, started again.
//! guard_main();
//! let runtime = tokio::runtime::Runtime::new()?;
//! runtime.block_on(async {
//!     let registry = Registry::new();
//!     let root = registry.root_scope();
//!     let id = Processes::new(&root).spawn(ProcessSpec::new("cargo").arg("test"))?;
//!     root.cancel(id, "user pressed stop")?;
//!     for done in root.inbox().drain() {
//!         println!("{:?}", done.outcome); // with the receipt of the stop
//!     }
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! The body of a task owns its child, which was started by the guard or, without one, by the host
//! through `posix_spawn`. It reads the child's pipes while it waits for the exit; it asks the child to
//! end when its token fires, and everything that is left when the grace or the drain delay is over.
//!
//! The guard is a small process of one thread in a session of its own. It starts a process either in
//! a control group or below a process of its own that adopts what it leaves (a subreaper), so that
//! nothing can leave. A socket (the *leash*) ties each task to the host: its end at the host's side,
//! closed by a drop or by the kernel, is the order to end the task. The repository's
//! `docs/design/0003-processes.md` has the states, who may die when, and what is not promised.
//!
//! # Features
//!
//! - `tools`: the [`Bash`] tool, with `bg-tools`.
//! - `test-util`: the program `bg-fixture`, with processes that misbehave in every known way.

use std::path::PathBuf;

#[cfg(feature = "tools")]
mod bash;
#[cfg(target_os = "linux")]
mod beside;
mod child;
mod command;
mod error;
#[cfg(unix)]
mod group;
#[cfg(target_os = "linux")]
mod guard;
mod holders;
mod input;
#[cfg(target_os = "linux")]
mod linux;
mod output_end;
mod processes;
mod pump;
mod receipt;
mod spec;
mod status;
mod stdin;
mod supervise;

#[cfg(feature = "tools")]
pub use bash::Bash;
pub use error::ProcessError;
pub use processes::Processes;
pub use receipt::{Containment, Leftover, Requested, StopReceipt, Verdict};
pub use spec::{Inherit, ProcessSpec};
pub use status::GuardStatus;
pub use stdin::{StdinError, StdinWriter};

/// Allows a guard: a small process beside the host that starts its processes and ends them all when
/// the host is gone. To be called first in `main`, before threads, runtimes and files.
///
/// The guard is the host's own program, started again; in it this call does not return. In the host
/// it returns at once, and the guard is started with the first process. Where it is not called (by a
/// library in somebody else's program, say), there is no guard, and [`guard_status`] tells so.
///
/// Does nothing elsewhere than on Linux.
///
/// # Examples
///
/// ```no_run
/// // In `fn main`, before `#[tokio::main]` or anything else has started threads:
/// bg_process::guard_main();
/// let runtime = tokio::runtime::Runtime::new()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn guard_main() {
    #[cfg(target_os = "linux")]
    guard::main();
}

/// Allows a guard that is another program, whose `main` begins with [`guard_main`]: for hosts that do
/// not have their own `main` in hand. The program is trusted with everything that the host starts.
///
/// Does nothing elsewhere than on Linux.
pub fn use_guard_program(program: impl Into<PathBuf>) {
    #[cfg(target_os = "linux")]
    guard::use_program(program.into());
    #[cfg(not(target_os = "linux"))]
    drop(program.into());
}

/// Tells whether a guard runs, and which of the promises about the host's end hold with it.
///
/// # Examples
///
/// ```
/// use bg_process::{GuardStatus, guard_status};
///
/// assert_eq!(guard_status(), GuardStatus::NotSetUp); // `guard_main` was not called
/// ```
pub fn guard_status() -> GuardStatus {
    #[cfg(target_os = "linux")]
    return guard::status();
    #[cfg(not(target_os = "linux"))]
    GuardStatus::NotSetUp
}
