//! What belongs to a task of which no guard takes care: what carries its mark, and what descends from
//! its leader while the leader lives.

use std::os::fd::OwnedFd;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process};

use tokio::sync::Semaphore;

use super::host::MARK;
use super::procfs::{self, Stat};
use crate::beside::beside;

/// A look at every process. Many tasks that end at once share one.
struct Look {
    began: Instant,
    seen: Vec<Seen>,
}

#[derive(Clone)]
struct Seen {
    pid: Pid,
    parent: i32,
    mark: Option<String>,
}

static LAST: Mutex<Option<Look>> = Mutex::new(None);

impl Look {
    fn take() -> Self {
        let began = Instant::now();
        let see = |pid| {
            let stat = Stat::of(pid).filter(|stat| !stat.is_dead())?;
            Some(Seen { pid, parent: stat.parent, mark: procfs::variable(pid, MARK) })
        };
        Self { began, seen: procfs::all().filter_map(see).collect() }
    }

    /// Asks a look that began after this call. Blocks while one is taken.
    fn ask<T>(question: impl FnOnce(&[Seen]) -> T) -> T {
        let asked = Instant::now();
        let mut last = LAST.lock();
        let look = last.take().filter(|look| look.began >= asked).unwrap_or_else(Self::take);
        let answer = question(&look.seen);
        *last = Some(look);
        answer
    }
}

/// Does something that blocks for a look, away from the runtime. Only a few at a time: they wait for
/// each other anyway.
pub(crate) async fn look<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    static AT_ONCE: Semaphore = Semaphore::const_new(8);
    let _turn = AT_ONCE.acquire().await.ok()?;
    beside(work).await
}

/// Sends SIGKILL to everything that carries the mark; returns what that was. Blocks: it reads
/// `/proc`.
pub(crate) fn kill(mark: &str) -> Vec<Pid> {
    let is_marked = |pid| procfs::variable(pid, MARK).is_some_and(|other| other == mark);
    let mut marked: Vec<Pid> = Look::ask(|seen| {
        seen.iter().filter(|seen| seen.mark.as_deref() == Some(mark)).map(|seen| seen.pid).collect()
    });
    marked.retain(|&pid| procfs::signal_if(pid, Signal::KILL, || is_marked(pid)));
    marked
}

/// Processes that can be signalled whatever becomes of their numbers.
#[derive(Default)]
pub(crate) struct Kin(Vec<(Pid, OwnedFd)>);

impl Kin {
    /// Everything that descends from a leader now, which is a child of this process and not reaped.
    /// Blocks: it reads `/proc`.
    pub(crate) fn of(leader: Pid) -> Self {
        Look::ask(|seen| {
            let mut kin = Self::default();
            let mut parents = vec![(leader, None)];
            while let Some((parent, place)) = parents.pop() {
                let children = seen.iter().filter(|seen| seen.parent == parent.as_raw_pid());
                for child in children {
                    if kin.add(child.pid, parent, place) {
                        parents.push((child.pid, Some(kin.0.len() - 1)));
                    }
                }
            }
            kin
        })
    }

    /// Adds a child of a process that is in it, or of the leader. It is one for certain: when its
    /// parent was looked at, the number of the parent had not been given to another process.
    fn add(&mut self, pid: Pid, parent: Pid, place: Option<usize>) -> bool {
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        let is_child = Stat::of(pid).is_some_and(|stat| stat.parent == parent.as_raw_pid());
        let is_there = match place {
            Some(place) => is_reachable(&self.0[place].1),
            None => test_kill_process(parent).is_ok(),
        };
        if is_child && is_there {
            self.0.push((pid, handle));
        }
        is_child && is_there
    }

    /// Sends SIGKILL to those that are left; returns which those are.
    pub(crate) fn kill(&self) -> Vec<Pid> {
        let left = self.0.iter().filter(|(pid, handle)| {
            pidfd_send_signal(handle, Signal::KILL).is_ok()
                && Stat::of(*pid).is_some_and(|stat| !stat.is_dead())
        });
        left.map(|(pid, _)| *pid).collect()
    }
}

/// Returns whether the process of a handle has not been reaped.
fn is_reachable(handle: &OwnedFd) -> bool {
    // What is asked about is being stopped, and is told to go on for that anyway.
    pidfd_send_signal(handle, Signal::CONT).is_ok()
}
