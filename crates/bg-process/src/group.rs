//! Signals to a process group.

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

/// Signals the group of a leader. The leader is a child of this process that is not reaped: until it
/// is, the kernel gives its number to nobody else, as a process or as a group.
pub(crate) fn signal(leader: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(leader, signal) {
        tracing::debug!(?leader, ?signal, %error, "the group was not signalled");
    }
    // It may have moved to another group of its session; its number is its own all the same.
    if getpgid(Some(leader)).is_ok_and(|group| group != leader) {
        let _ = kill_process(leader, signal);
    }
}
