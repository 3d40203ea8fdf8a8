//! What stands guard over the processes of this host.

use crate::receipt::Containment;

/// Which of the promises about the host's end hold at the moment; see
/// [`guard_status`](crate::guard_status).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuardStatus {
    /// No guard is allowed: [`guard_main`](crate::guard_main) does not stand in the program's `main`,
    /// or the system has no guards. What was started outlives a host that is killed, and a stop does
    /// not find what has left its group and cleared its environment.
    NotSetUp,
    /// A guard is started with the first process.
    Ready,
    /// A guard runs: when the host is gone, everything that it has started is dead within a second.
    Running {
        /// Its process number, to be shown.
        pid: u32,
        /// What it puts around a process when nothing else is asked for.
        containment: Containment,
    },
    /// The last attempt to start one failed. Processes are refused until one succeeds.
    Unavailable {
        /// Why.
        reason: String,
    },
}
