//! What hosts that are gone have left, when nobody was there to end it: no guard, or one that was
//! killed together with its host.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::linux::cgroup;
use crate::linux::host::{Host, MARK};
use crate::linux::procfs;

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends everything that hosts have left which are gone: what is in their control groups, and what
/// carries their marks.
pub(super) fn sweep() {
    let groups = cgroup::of_hosts_that_are_gone();
    let until = Instant::now() + PATIENCE;
    loop {
        let mut killed = 0;
        for group in groups.iter().filter(|group| !group.is_empty()) {
            killed += usize::from(group.kill().is_ok());
        }
        killed += procfs::all().filter(|&pid| kill_if_left(pid)).count();
        if killed == 0 || Instant::now() > until {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    groups.into_iter().for_each(cgroup::Cgroup::remove);
}

/// Kills a process that a host has left which is gone. Returns whether it did.
fn kill_if_left(pid: Pid) -> bool {
    is_left(pid) && procfs::signal_if(pid, Signal::KILL, || is_left(pid))
}

fn is_left(pid: Pid) -> bool {
    let Some(mark) = procfs::variable(pid, MARK) else { return false };
    Host::of_mark(&mark).is_some_and(|host| host.is_gone())
        && procfs::Stat::of(pid).is_some_and(|stat| !stat.is_dead())
}
