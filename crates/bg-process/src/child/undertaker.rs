//! Who reaps the children of tasks that were dropped, and ends what they have left.
//!
//! A task can be dropped anywhere, in a runtime or after one, and a drop does not wait. So the first
//! one that is dropped starts a thread, which goes away when there is nothing left to do.

#[cfg(target_os = "linux")]
use std::collections::HashSet;
use std::process::Child;
use std::time::Duration;

use parking_lot::Mutex;

/// What a task has left.
pub(super) struct Left {
    /// It was sent SIGKILL.
    pub(super) child: Child,
    #[cfg(target_os = "linux")]
    pub(super) mark: String,
}

static LEFT: Mutex<All> = Mutex::new(All { undone: Vec::new(), at_work: false });

struct All {
    undone: Vec<Left>,
    /// There is a thread.
    at_work: bool,
}

/// From one look to the next: a child that was killed is mostly dead by the second.
const PACE: Duration = Duration::from_millis(5);
const SLOWEST: Duration = Duration::from_millis(500);

/// Sees to the rest.
pub(super) fn bury(left: Left) {
    let mut all = LEFT.lock();
    all.undone.push(left);
    if all.at_work {
        return;
    }
    match std::thread::Builder::new().name("bg-undertaker".into()).spawn(work) {
        Ok(_) => all.at_work = true,
        // The next one that is dropped tries again. They were sent SIGKILL.
        Err(error) => tracing::warn!(%error, "killed children are not reaped yet"),
    }
}

fn work() {
    let mut undone = Vec::new();
    let mut pace = PACE;
    loop {
        let mut all = LEFT.lock();
        let new = std::mem::take(&mut all.undone);
        if new.is_empty() && undone.is_empty() {
            all.at_work = false;
            return;
        }
        drop(all);
        pace = if new.is_empty() { (pace * 2).min(SLOWEST) } else { PACE };
        undone.extend(new);
        undone = still_undone(undone);
        // Not to wait for anything that tells when it is done: the kernel's pace is unknown, and
        // nobody waits for this thread.
        std::thread::sleep(pace);
    }
}

/// Does what there is to do; returns those of which there is more.
fn still_undone(mut all: Vec<Left>) -> Vec<Left> {
    #[cfg(target_os = "linux")]
    let strays: HashSet<String> = {
        let found = crate::linux::marked::kill_all(all.iter().map(|left| left.mark.as_str()));
        found.into_iter().map(str::to_owned).collect()
    };
    all.retain_mut(|left| {
        #[cfg(target_os = "linux")]
        let has_strays = strays.contains(&left.mark);
        #[cfg(not(target_os = "linux"))]
        let has_strays = false;
        matches!(left.child.try_wait(), Ok(None)) || has_strays
    });
    all
}
