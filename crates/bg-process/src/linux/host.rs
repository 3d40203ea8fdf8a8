//! Who started a process: the marks in the environments of children, and what they name.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use super::procfs::Stat;

/// The variable that marks everything that is started.
pub(crate) const MARK: &str = "BG_TASK";

/// A host, told apart from every other one: a number is given again to another process, and the
/// same number means another one in another namespace and after the next start of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    namespace: u64,
    /// The first part of what the kernel calls this run of the machine.
    boot: String,
    pid: i32,
    started: u64,
}

impl Host {
    /// This process.
    pub(crate) fn own() -> &'static Self {
        static OWN: OnceLock<Host> = OnceLock::new();
        OWN.get_or_init(|| Self::of(getpid()))
    }

    fn of(pid: Pid) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino()),
            boot: boot.split('-').next().unwrap_or_default().trim().to_owned(),
            pid: pid.as_raw_pid(),
            started: Stat::of(pid).map_or(0, |stat| stat.started),
        }
    }

    /// The mark of one of its children.
    pub(crate) fn mark(&self, number: u64) -> String {
        format!("{self}-{number}")
    }

    /// The host that a mark names.
    pub(crate) fn of_mark(mark: &str) -> Option<Self> {
        mark.rsplit_once('-')?.0.parse().ok()
    }

    /// Returns what is readable once it is gone; `None` where that cannot be had, or if it is gone.
    pub(crate) fn handle(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let here = self.namespace == Self::own().namespace;
        // Taken before the look: it is the handle of what is seen.
        (here && self.started != 0 && !self.is_gone()).then_some(handle)
    }

    /// Returns whether it is known to be gone. One of another namespace or of an earlier run of the
    /// machine is not known.
    pub(crate) fn is_gone(&self) -> bool {
        let own = Self::own();
        if (self.namespace, &self.boot) != (own.namespace, &own.boot) || self.started == 0 {
            return false;
        }
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        match Stat::of(pid) {
            Some(stat) => stat.started != self.started || stat.is_dead(),
            // A process of somebody else's may be hidden in `/proc`, and is there all the same.
            None => pidfd_open(pid, PidfdFlags::empty()).is_err_and(|error| error == Errno::SRCH),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.namespace, self.boot, self.pid, self.started)
    }
}

/// What is not the name of a host.
#[derive(Debug)]
pub(crate) struct NoHost;

impl FromStr for Host {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let parts: Vec<_> = text.split('-').collect();
        let [namespace, boot, pid, started] = parts[..] else { return Err(NoHost) };
        Ok(Self {
            namespace: namespace.parse().map_err(|_| NoHost)?,
            boot: boot.to_owned(),
            pid: pid.parse().map_err(|_| NoHost)?,
            started: started.parse().map_err(|_| NoHost)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_host() {
        let own = Host::own();
        assert_eq!(Host::of_mark(&own.mark(7)).as_ref(), Some(own));
        assert!(!own.is_gone());
        assert_eq!(Host::of_mark("7"), None);
        assert_eq!(Host::of_mark("1-2-3-x-4"), None);
    }

    #[test]
    fn a_number_that_another_process_has_now_is_a_host_that_is_gone() {
        let other = Host { started: 1, ..Host::own().clone() };
        assert!(other.is_gone());
    }

    #[test]
    fn a_host_that_cannot_be_seen_from_here_is_not_known_to_be_gone() {
        let elsewhere = Host { namespace: 1, started: 1, ..Host::own().clone() };
        let before = Host { boot: "another".into(), started: 1, ..Host::own().clone() };
        assert!(!elsewhere.is_gone() && !before.is_gone());
    }
}
