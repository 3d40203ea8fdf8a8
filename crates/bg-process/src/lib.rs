//! Child processes as tasks of a [`bg_core::Registry`].
//!
//! # What it guarantees
//!
//! - A process is one task: one outcome with its exit code *and* signal, delivered like any other.
//! - Its output goes into the task's output log; memory stays within the log's caps whatever it
//!   writes.
//! - A stop reaches its whole process group, SIGTERM first and SIGKILL after the grace. A stop that
//!   runs its course ends with a [`StopReceipt`], made after the kernel said that the process is gone.
//!   A task that is aborted (its registry dropped, its scope closed with less grace than it needs)
//!   sends SIGKILL to the group and does not wait: it has no receipt.
//! - No signal reaches a process that we did not start: a group is signalled only while its leader
//!   is not reaped.
//! - Nothing polls: an exit wakes the one task that waits for it.
//! - Starting uses the paths of the standard library that do not copy the host's page tables.
//!
//! # What it does not
//!
//! - A process that leaves its group (`setsid`) is not stopped with it. The grace is that of the
//!   process itself: what it leaves of its group gets SIGKILL at once.
//! - Nothing is stopped when the host ends by a signal that it does not handle, SIGKILL among them.
//! - On systems other than Unix only the process itself is stopped, not what it started. Only Linux
//!   is tested.
//!
//! # Example
//!
//! See [`Processes`] for one that runs, and below the shape of a stop:
//!
//! ```no_run
//! # fn f(root: &bg_core::Scope) -> Result<(), Box<dyn std::error::Error>> {
//! use bg_process::{ProcessSpec, Processes};
//!
//! let id = Processes::new(root).spawn(ProcessSpec::new("cargo").arg("test"))?;
//! root.cancel(id, "user pressed stop")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//!
//! The body of the task owns the child. It starts it, reads its pipes while it waits for its exit
//! (through a pidfd, or SIGCHLD where there is none), and leaves the dead leader unreaped until the
//! rest of the group is killed, so that the group's number cannot belong to anybody else.
//!
//! # Features
//!
//! - `tools`: the [`Bash`] tool, with `bg-tools`.

use std::path::PathBuf;

#[cfg(feature = "tools")]
mod bash;
#[cfg(target_os = "linux")]
mod beside;
mod child;
mod command;
mod error;
#[cfg(target_os = "linux")]
mod guard;
mod holders;
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
