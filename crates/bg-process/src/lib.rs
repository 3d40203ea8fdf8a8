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

#[cfg(feature = "tools")]
mod bash;
mod error;
mod processes;
mod pump;
mod receipt;
mod spec;
mod supervise;
mod sys;

#[cfg(feature = "tools")]
pub use bash::Bash;
pub use error::ProcessError;
pub use processes::Processes;
pub use receipt::{Containment, StopReceipt};
pub use spec::{Inherit, ProcessSpec};
