//! One task in the care of a warden.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bg_core::Exit;
use rustix::process::{Pid, Signal, kill_process};

use super::launch::Launched;
use super::wire::{END, Report, TERMINATE};
use crate::group;
use crate::linux::cgroup::Cgroup;
use crate::linux::procfs;
use crate::receipt::{Containment, Rest};

/// How long what was killed may take to be gone before the host is told what is not. It waits for a
/// second.
const PATIENCE: Duration = Duration::from_millis(700);

/// Most processes that a report names.
const NAMED: usize = 32;

/// A task: its leader, what holds everything that it has started, and the leash to the host.
pub(super) struct Ward {
    leash: UnixStream,
    /// The process that was asked for, until it is reaped: as long as its number is its own.
    leader: Option<Launched>,
    fence: Held,
    /// A signal of ours was sent while the leader lived.
    asked: bool,
    ending: Option<Ending>,
}

/// What holds a task.
pub(super) enum Held {
    Group(Cgroup),
    /// Every child of this process belongs to the task.
    Children,
}

#[derive(Clone, Copy)]
struct Ending {
    since: Instant,
    told: bool,
}

/// What is to be done about a ward after it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// The host's end is closed: nothing more will come.
    Released,
}

impl Ward {
    pub(super) fn new(leash: UnixStream, leader: Launched, fence: Held) -> Self {
        Self { leash, leader: Some(leader), fence, asked: false, ending: None }
    }

    fn leader(&self) -> Option<Pid> {
        self.leader.as_ref().map(|leader| leader.pid)
    }

    pub(super) fn leash(&self) -> &UnixStream {
        &self.leash
    }

    /// What it has open and cannot do without.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let leader = self.leader.as_ref().map(Launched::descriptor);
        leader.into_iter().chain([self.leash.as_raw_fd()])
    }

    /// Returns whether a process is known to belong to it. In a process that has one ward all do.
    pub(super) fn has(&self, pid: Pid) -> bool {
        match &self.fence {
            Held::Group(group) => self.leader() == Some(pid) || group.has(pid),
            Held::Children => true,
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Returns how long until it wants to be pressed again.
    pub(super) fn pace(&self) -> Option<Duration> {
        const SOON: Duration = Duration::from_millis(2);
        const STUCK: Duration = Duration::from_millis(100);
        self.ending.map(|ending| if ending.told { STUCK } else { SOON })
    }

    /// Does what the host says.
    pub(super) fn heed(&mut self) -> Heard {
        let mut words = [0; 16];
        match self.leash.read(&mut words) {
            Ok(0) => self.release(),
            Ok(count) => {
                words[..count].iter().for_each(|&word| self.obey(word));
                Heard::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => self.release(),
        }
    }

    fn obey(&mut self, word: u8) {
        match word {
            TERMINATE => self.terminate(),
            END => self.end(),
            _ => {}
        }
    }

    fn release(&mut self) -> Heard {
        self.end();
        Heard::Released
    }

    fn terminate(&mut self) {
        // The leader is a child of this process and not reaped, so group and number are its own.
        let Some(leader) = self.leader() else { return };
        self.asked = true;
        for signal in [Signal::TERM, Signal::CONT] {
            group::signal(leader, signal);
        }
    }

    pub(super) fn end(&mut self) {
        self.asked |= self.leader.is_some();
        self.ending.get_or_insert(Ending { since: Instant::now(), told: false });
    }

    /// Notes that the leader has exited and was reaped. Returns whether the ward is over; `childless`
    /// says that this process has no child left.
    pub(super) fn exited(&mut self, exit: Exit, childless: bool) -> bool {
        let failed = self.leader.take().and_then(|leader| leader.failed());
        if let Some(failed) = failed {
            // No program has run that could have left anything.
            self.tell(&Report::Failed(failed));
            return true;
        }
        let gone = self.is_gone(childless);
        let containment = self.containment();
        self.tell(&Report::Exited { exit, asked: self.asked, gone, containment });
        gone
    }

    /// Kills whatever is left. Returns whether nothing is; `childless` says that this process has no
    /// child left, `strays` what it has adopted and cannot attribute.
    pub(super) fn press(&mut self, childless: bool, strays: &[Pid]) -> bool {
        let Some(ending) = self.ending else { return false };
        let gone = self.is_gone(childless);
        if !gone {
            self.kill();
        }
        if !ending.told && (gone || ending.since.elapsed() >= PATIENCE) {
            self.ending = Some(Ending { told: true, ..ending });
            self.tell_end(gone, strays);
        }
        gone
    }

    fn tell_end(&self, gone: bool, strays: &[Pid]) {
        let survivors = if gone { Vec::new() } else { self.members() };
        let name = |pids: &[Pid]| procfs::describe(pids.iter().copied().take(NAMED));
        let rest = Rest { survivors: name(&survivors), unattributed: name(strays) };
        self.tell(&Report::Ended { rest, containment: self.containment() });
    }

    fn is_gone(&self, childless: bool) -> bool {
        match &self.fence {
            Held::Group(group) => self.leader.is_none() && group.is_empty(),
            Held::Children => childless,
        }
    }

    fn kill(&self) {
        match &self.fence {
            Held::Group(group) => {
                if let Err(error) = group.kill() {
                    tracing::debug!(%error, "a control group was not killed");
                }
            }
            Held::Children => kill_children(),
        }
    }

    fn members(&self) -> Vec<Pid> {
        match &self.fence {
            Held::Group(group) => group.members(),
            Held::Children => procfs::own_children(),
        }
    }

    fn containment(&self) -> Containment {
        match &self.fence {
            Held::Group(_) => Containment::Cgroup,
            Held::Children => Containment::Subreaper,
        }
    }

    /// Tells the host. One that has gone is told nothing, and its end of the leash says so.
    fn tell(&self, report: &Report) {
        tell(&self.leash, report);
    }

    /// Takes away what held it, once it is over.
    pub(super) fn clear(self) {
        if let Held::Group(group) = self.fence {
            group.remove();
        }
    }
}

/// Writes a line. The host reads few of them, so there is room.
pub(super) fn tell(mut leash: &UnixStream, report: &Report) {
    let Ok(mut line) = serde_json::to_vec(report) else { return };
    line.push(b'\n');
    let _ = leash.write_all(&line);
}

/// Sends SIGKILL to every child of this process. What they leave behind is adopted and is a child then.
fn kill_children() {
    procfs::own_children().into_iter().for_each(kill_child);
}

/// Sends SIGKILL to a child of this process. Nobody else can have reaped it: the number is its own.
pub(super) fn kill_child(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}
