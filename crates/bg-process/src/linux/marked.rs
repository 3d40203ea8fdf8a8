//! What belongs to a task of which no guard takes care: what carries its mark, and what descends from
//! its leader while the leader lives.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::Mutex;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process};
use tokio::sync::oneshot;

use super::host::MARK;
use super::procfs::{self, Stat};
use crate::beside;

/// What is seen of a process.
pub(crate) struct Seen {
    pid: Pid,
    parent: i32,
    mark: Option<String>,
}

/// Looks at every process. Blocks: it reads `/proc`.
fn look() -> Vec<Seen> {
    let see = |pid| {
        let stat = Stat::of(pid).filter(|stat| !stat.is_dead())?;
        Some(Seen { pid, parent: stat.parent, mark: procfs::variable(pid, MARK) })
    };
    procfs::all().filter_map(see).collect()
}

type Question = Box<dyn FnOnce(&[Seen]) + Send>;

/// What is asked of the next look; `None` while nobody looks.
static ASKED: Mutex<Option<Vec<Question>>> = Mutex::new(None);

/// Asks a look that begins after this call. All that ask while one is taken share the next, so that
/// many tasks that end at once cost two or three looks.
///
/// `None` if the question panicked.
pub(crate) async fn ask<T: Send + 'static>(
    question: impl FnOnce(&[Seen]) -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    let question: Question = Box::new(move |seen| drop(sender.send(question(seen))));
    if !put(question) {
        beside::start(answer_all);
    }
    answer.await.ok()
}

/// Leaves a question; returns whether somebody looks already.
fn put(question: Question) -> bool {
    let mut asked = ASKED.lock();
    let someone_looks = asked.is_some();
    asked.get_or_insert_default().push(question);
    someone_looks
}

/// Looks until nobody asks.
fn answer_all() {
    loop {
        let mut asked = ASKED.lock();
        let questions = asked.as_mut().map(std::mem::take).unwrap_or_default();
        if questions.is_empty() {
            *asked = None;
            return;
        }
        drop(asked);
        let seen = look();
        for question in questions {
            // One that panics has nobody's answer but its own.
            let _ = catch_unwind(AssertUnwindSafe(|| question(&seen)));
        }
    }
}

/// Sends SIGKILL to everything that carries the mark; returns what that was.
pub(crate) fn kill(seen: &[Seen], mark: &str) -> Vec<Pid> {
    let is_marked = |pid| procfs::variable(pid, MARK).is_some_and(|other| other == mark);
    let marked = seen.iter().filter(|seen| seen.mark.as_deref() == Some(mark));
    let marked = marked.map(|seen| seen.pid);
    marked.filter(|&pid| procfs::signal_if(pid, Signal::KILL, || is_marked(pid))).collect()
}

/// The same for many marks with one look; returns those that were found. Blocks.
pub(crate) fn kill_all<'a>(marks: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let seen = look();
    marks.filter(|mark| !kill(&seen, mark).is_empty()).collect()
}

/// Processes that can be signalled whatever becomes of their numbers.
#[derive(Default)]
pub(crate) struct Kin(Vec<(Pid, OwnedFd)>);

impl Kin {
    /// Everything that descends from a leader, which is a child of this process and not reaped.
    pub(crate) fn of(seen: &[Seen], leader: Pid) -> Self {
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
