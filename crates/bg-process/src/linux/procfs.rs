//! What `/proc` says of processes. Every answer may be out of date when it arrives: a signal is
//! never sent because of one alone, see [`signal_if`].

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use crate::receipt::Leftover;

/// Longest command line that is told of a process, in bytes.
const MAX_COMMAND_BYTES: usize = 200;

/// What `/proc/PID/stat` says, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: i32,
    /// When it started, in ticks since the machine did. Together with the number this names a
    /// process: a number is given again, but not in the same tick.
    pub(crate) started: u64,
}

impl Stat {
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in parentheses and may have anything in it.
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The 22nd field; the state is the third.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    /// Returns whether it has ended and only waits to be reaped.
    pub(crate) fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Every process that can be seen.
pub(crate) fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// The children of this process, those that it has adopted among them; zombies too.
///
/// Only right for a process of one thread: children belong to the thread that made them.
pub(crate) fn own_children() -> Vec<Pid> {
    let me = getpid();
    let raw = me.as_raw_pid();
    match fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")) {
        Ok(list) => pids(&list),
        // A kernel built without these lists.
        Err(_) => all().filter(|&pid| Stat::of(pid).is_some_and(|s| s.parent == raw)).collect(),
    }
}

/// Reads a list of process numbers.
pub(crate) fn pids(list: &str) -> Vec<Pid> {
    list.split_ascii_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

/// Returns a variable of a process's environment as it was when its program was started.
pub(crate) fn variable(pid: Pid, name: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).ok()?;
    let value = environ.split(|&byte| byte == 0).find_map(|line| {
        line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
    })?;
    String::from_utf8(value.to_vec()).ok()
}

/// Names processes for a person.
pub(crate) fn describe(pids: impl IntoIterator<Item = Pid>) -> Vec<Leftover> {
    pids.into_iter()
        .map(|pid| Leftover { pid: pid.as_raw_pid().cast_unsigned(), command: command(pid) })
        .collect()
}

fn command(pid: Pid) -> String {
    let raw = pid.as_raw_pid();
    let cmdline = fs::read(format!("/proc/{raw}/cmdline")).unwrap_or_default();
    let words: Vec<_> = cmdline.split(|&byte| byte == 0).filter(|word| !word.is_empty()).collect();
    let text = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    if text.is_empty() {
        return fs::read_to_string(format!("/proc/{raw}/comm")).unwrap_or_default().trim().into();
    }
    bg_core::text::cut(text, MAX_COMMAND_BYTES)
}

/// Sends a signal to a process if `is_ours` holds for it; returns whether it was sent.
///
/// The handle is taken before the look: what is seen then is either the process that the handle
/// stands for, or that one is gone and the signal reaches nobody.
pub(crate) fn signal_if(pid: Pid, signal: Signal, is_ours: impl FnOnce() -> bool) -> bool {
    let Some(handle) = handle(pid) else { return false };
    is_ours() && pidfd_send_signal(handle, signal).is_ok()
}

fn handle(pid: Pid) -> Option<OwnedFd> {
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_behind_any_program_name() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 10 20\n";
        let stat = Stat { state: 'S', parent: 3, started: 98_765 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[test]
    fn a_process_knows_its_parent_and_itself() {
        let stat = Stat::of(getpid()).unwrap();
        assert_eq!(stat.parent, std::os::unix::process::parent_id().cast_signed());
        assert!(!stat.is_dead());
        assert!(all().any(|pid| pid == getpid()));
    }

    #[test]
    fn a_signal_is_not_sent_to_what_is_not_ours() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(!signal_if(pid, Signal::KILL, || false));
        assert!(child.try_wait().unwrap().is_none());
        assert!(signal_if(pid, Signal::KILL, || true));
        child.wait().unwrap();
        assert!(!signal_if(pid, Signal::KILL, || true), "it is gone");
    }
}
