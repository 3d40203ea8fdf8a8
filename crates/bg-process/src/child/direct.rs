//! A child that the host has started itself, in a process group of its own.
//!
//! # Invariants
//!
//! 1. The group is signalled only while its leader is not reaped: until then the kernel gives the
//!    leader's number to nobody else, so a signal cannot reach a process that is not ours.
//! 2. Reaping and signalling happen in the task that owns the [`Direct`], so they do not race.
//! 3. [`Direct::exited`] sees the exit and leaves the leader as a zombie; [`Direct::end`] is the only
//!    place that reaps. What is left of the group in between can still be killed.
//! 4. A `Direct` that is dropped before it was reaped kills its group and leaves the rest to the
//!    undertaker.

use std::io;
use std::process::Child;
use std::time::Duration;

use bg_core::Exit;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::timeout;

use super::{Exited, Streams, undertaker};
use crate::command::Prepared;
use crate::error::StartError;
use crate::group;
#[cfg(target_os = "linux")]
use crate::linux::marked;
use crate::receipt::Rest;
use crate::supervise::KILL_PATIENCE;

pub(crate) struct Direct {
    /// `None` once it is reaped, or left to the undertaker.
    child: Option<Child>,
    leader: Pid,
    watch: Watch,
    asked: bool,
    /// How it exited, once that was seen.
    seen: Option<Exited>,
    #[cfg(target_os = "linux")]
    mark: String,
    /// What descended from the leader when it was asked to end.
    #[cfg(target_os = "linux")]
    kin: marked::Kin,
}

/// How the exit is seen.
enum Watch {
    #[cfg(target_os = "linux")]
    Pidfd(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    /// Every child's exit wakes every watcher, which then asks for its own.
    Sigchld(Signals),
}

impl Direct {
    /// Starts a child. No code of ours runs between fork and exec, so the standard library may use
    /// `posix_spawn`, whose cost does not grow with the host's memory.
    pub(super) fn start(what: &Prepared) -> Result<(Self, Streams), StartError> {
        use std::os::unix::process::CommandExt;
        #[cfg(target_os = "linux")]
        keep_the_dead();
        let (streams, ends) = what.pipes()?;
        let mut child = what.command(ends).process_group(0).spawn()?;
        let leader = Pid::from_child(&child);
        let watch = watch(leader).inspect_err(|_| {
            let _ = child.kill().and_then(|()| child.wait());
        });
        let direct = Self {
            watch: watch.map_err(StartError::Watch)?,
            child: Some(child),
            leader,
            asked: false,
            seen: None,
            #[cfg(target_os = "linux")]
            mark: what.mark.clone(),
            #[cfg(target_os = "linux")]
            kin: marked::Kin::default(),
        };
        Ok((direct, streams))
    }

    /// Completes when the leader has exited. Does not reap it (I3).
    ///
    /// Cancel safe: an exit stays visible until it is reaped.
    pub(super) async fn exited(&mut self) -> io::Result<Exited> {
        loop {
            if self.seen.is_none() {
                let exit = self.exit()?;
                self.seen = exit.map(|exit| Exited { exit, asked: self.asked });
            }
            if let Some(exited) = self.seen {
                return Ok(exited);
            }
            match &mut self.watch {
                #[cfg(target_os = "linux")]
                Watch::Pidfd(pidfd) => pidfd.readable().await?.retain_ready(),
                Watch::Sigchld(signals) => _ = signals.recv().await,
            }
        }
    }

    pub(super) fn seen(&self) -> Option<Exited> {
        self.seen
    }

    /// How the leader has exited, by asking the kernel.
    fn exit(&self) -> io::Result<Option<Exit>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(self.leader), options)?;
        Ok(status
            .map(|status| Exit { code: status.exit_status(), signal: status.terminating_signal() }))
    }

    pub(super) async fn terminate(&mut self) {
        // The kernel knows of an exit before the runtime has been told.
        if !matches!(self.exit(), Ok(None)) {
            return;
        }
        #[cfg(target_os = "linux")]
        {
            let leader = self.leader;
            let kin = marked::ask(move |seen| marked::Kin::of(seen, leader));
            self.kin = kin.await.unwrap_or_default();
        }
        self.asked = true;
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // I1. Where somebody else in the host has reaped it, the number is nobody's that is known.
        if self.child.is_none() || self.exit().is_err() {
            return;
        }
        group::signal(self.leader, signal);
    }

    /// Kills the group, and what is marked if the task was stopped; reaps the leader.
    pub(super) async fn end(&mut self, stopped: bool) -> Rest {
        self.asked |= matches!(self.exit(), Ok(None));
        self.signal(Signal::KILL);
        if timeout(KILL_PATIENCE, self.exited()).await.is_err() {
            return self.survives();
        }
        let rest = if stopped { self.end_strays().await } else { Rest::default() };
        if let Some(mut child) = self.child.take() {
            // It has exited, so this does not wait.
            let _ = child.wait();
        }
        rest
    }

    #[cfg(target_os = "linux")]
    fn survives(&self) -> Rest {
        let survivors = crate::linux::procfs::describe([self.leader]);
        Rest { survivors, ..Rest::default() }
    }

    #[cfg(not(target_os = "linux"))]
    fn survives(&self) -> Rest {
        let pid = self.leader.as_raw_pid().cast_unsigned();
        let survivor = crate::receipt::Leftover { pid, command: String::new() };
        Rest { survivors: vec![survivor], ..Rest::default() }
    }

    /// Kills what has left the group, until nothing is found or the time is over.
    #[cfg(target_os = "linux")]
    async fn end_strays(&mut self) -> Rest {
        const PAUSE: Duration = Duration::from_millis(5);
        let until = tokio::time::Instant::now() + KILL_PATIENCE;
        loop {
            let mark = self.mark.clone();
            let kill = marked::ask(move |seen| marked::kill(seen, &mark));
            let mut left = kill.await.unwrap_or_default();
            left.extend(self.kin.kill());
            if left.is_empty() || tokio::time::Instant::now() >= until {
                let survivors = crate::linux::procfs::describe(left);
                return Rest { survivors, ..Rest::default() };
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn end_strays(&mut self) -> Rest {
        Rest::default()
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(child) = self.child.take() {
            undertaker::bury(undertaker::Left {
                child,
                #[cfg(target_os = "linux")]
                mark: std::mem::take(&mut self.mark),
            });
        }
    }
}

/// Sees to it that children that have exited stay until they are reaped (I1): a program that was
/// started by one that ignores SIGCHLD ignores it too, and then the kernel reaps.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn keep_the_dead() {
    // SAFETY: a `sigaction` is numbers and pointers that may be null.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and `now` lives for as long as it is written to.
    let known = unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut now) } == 0;
    let ignored = now.sa_sigaction == libc::SIG_IGN;
    if !known || !ignored && now.sa_flags & libc::SA_NOCLDWAIT == 0 {
        return;
    }
    if ignored {
        // Does nothing either, but keeps them.
        now.sa_sigaction = libc::SIG_DFL;
    }
    now.sa_flags &= !libc::SA_NOCLDWAIT;
    // SAFETY: the handler is the one that there was, or none.
    unsafe { libc::sigaction(libc::SIGCHLD, &raw const now, std::ptr::null_mut()) };
}

/// Watches for the exit of a child, through a handle if the kernel has them.
fn watch(leader: Pid) -> io::Result<Watch> {
    #[cfg(target_os = "linux")]
    if let Ok(pidfd) = watch_pidfd(leader) {
        return Ok(Watch::Pidfd(pidfd));
    }
    let _ = leader;
    Ok(Watch::Sigchld(signal(SignalKind::child())?))
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
    use crate::spec::ProcessSpec;

    fn start(script: &str) -> Direct {
        let spec = ProcessSpec::shell(script);
        let program = spec.resolve().unwrap();
        Direct::start(&Prepared::of(&spec, &program, false)).unwrap().0
    }

    /// Systems without pidfds, and kernels that refuse them, depend on this way alone.
    #[tokio::test]
    async fn an_exit_is_seen_without_a_pidfd() {
        let mut child = start("exit 3");
        child.watch = Watch::Sigchld(signal(SignalKind::child()).unwrap());
        let exited = child.exited().await.unwrap();
        assert_eq!((exited.exit.code, exited.asked), (Some(3), false));
        child.end(false).await;
    }

    #[tokio::test]
    async fn a_reaped_leader_is_not_signalled() {
        let mut child = start("exit 0");
        child.exited().await.unwrap();
        child.end(false).await;
        assert!(child.child.is_none(), "the guard that `signal` relies on");
        child.signal(Signal::KILL);
    }
}
