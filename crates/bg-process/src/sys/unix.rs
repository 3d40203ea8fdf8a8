//! A child in a process group of its own.
//!
//! # Invariants
//!
//! 1. The group is signalled only while its leader is not reaped: until then the kernel gives the
//!    leader's number to nobody else, so a signal cannot reach a process that is not ours.
//! 2. Reaping and signalling happen in the task that owns the [`Contained`], so they do not race.
//! 3. [`Contained::exited`] sees the exit and leaves the leader as a zombie; [`Contained::reap`] is
//!    the only place that reaps. What is left of the group in between can still be killed.
//! 4. A `Contained` that is dropped before it was reaped kills its group; tokio reaps the leader.

use std::io;
use std::process::ExitStatus;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgid, kill_process, kill_process_group, waitid,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::Ask;

pub(crate) struct Contained {
    child: Child,
    leader: Pid,
    watch: Watch,
}

/// How the exit is seen.
enum Watch {
    #[cfg(target_os = "linux")]
    Pidfd(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    /// Every child's exit wakes every watcher, which then asks for its own.
    Sigchld(Signals),
}

impl Contained {
    /// Starts the command. No code of ours runs between fork and exec, so the standard library may
    /// use `posix_spawn`, whose cost does not grow with the host's memory.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        // Before the child exists, or its exit could be missed.
        let sigchld = signal(SignalKind::child())?;
        let child = command.process_group(0).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let leader = leader.ok_or_else(|| io::Error::other("the child has no process id"))?;
        let mut contained = Self { child, leader, watch: Watch::Sigchld(sigchld) };
        #[cfg(target_os = "linux")]
        if let Ok(pidfd) = watch_pidfd(leader) {
            contained.watch = Watch::Pidfd(pidfd);
        }
        Ok(contained)
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Signals the group. A group that has died already is no error.
    pub(crate) fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Terminate => {
                self.signal(Signal::TERM);
                self.signal(Signal::CONT);
            }
            Ask::Kill => self.signal(Signal::KILL),
        }
    }

    fn signal(&self, signal: Signal) {
        // I1: `id` is there until the leader is reaped.
        if self.child.id().is_none() {
            return;
        }
        if let Err(error) = kill_process_group(self.leader, signal) {
            tracing::debug!(leader = ?self.leader, ?signal, %error, "the group was not signalled");
        }
        // A leader may have moved to another group of its session; I1 holds for it just the same.
        if getpgid(Some(self.leader)).is_ok_and(|group| group != self.leader) {
            let _ = kill_process(self.leader, signal);
        }
    }

    /// Completes when the leader has exited. Does not reap it (I3).
    ///
    /// Cancel safe: an exit stays visible until it is reaped.
    pub(crate) async fn exited(&mut self) -> io::Result<()> {
        match &mut self.watch {
            #[cfg(target_os = "linux")]
            Watch::Pidfd(pidfd) => pidfd.readable().await.map(|_| ()),
            Watch::Sigchld(signals) => {
                while !is_zombie(self.leader)? {
                    signals.recv().await;
                }
                Ok(())
            }
        }
    }

    /// Returns whether the leader has exited, by asking the kernel.
    pub(crate) fn has_exited(&mut self) -> bool {
        is_zombie(self.leader).unwrap_or(false)
    }

    /// Reaps the leader, which must have exited.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.try_wait()?;
        status.ok_or_else(|| io::Error::other("the process has not exited"))
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // I4. After `reap` this finds no id and does nothing.
        self.ask(Ask::Kill);
    }
}

fn is_zombie(leader: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    Ok(waitid(WaitId::Pid(leader), options)?.is_some())
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn watch_pidfd(leader: Pid) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    let pidfd = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
    // SAFETY: an `OwnedFd` answers with the same open descriptor until it is dropped, and the
    // `AsyncFd` owns it: nobody can close or replace it while it is registered.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watched?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        command
    }

    /// Systems without pidfds, and kernels that refuse them, depend on this way alone.
    #[tokio::test]
    async fn an_exit_is_seen_without_a_pidfd() {
        let sigchld = signal(SignalKind::child()).unwrap();
        let mut contained = Contained::start(&mut shell("exit 3")).unwrap();
        contained.watch = Watch::Sigchld(sigchld);
        contained.exited().await.unwrap();
        assert_eq!(contained.reap().unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn a_reaped_leader_is_not_signalled() {
        let mut contained = Contained::start(&mut shell("exit 0")).unwrap();
        contained.exited().await.unwrap();
        assert!(contained.has_exited());
        contained.reap().unwrap();
        assert!(contained.child.id().is_none(), "the guard that `ask` relies on");
        contained.ask(Ask::Kill);
    }
}
