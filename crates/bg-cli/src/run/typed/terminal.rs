//! The terminal at which commands are typed.
//!
//! While live lines are drawn on it, it neither shows what is typed nor edits it: the lines below which
//! that would stand move. It is put back before the program ends, except when that is killed with
//! SIGKILL; shells put it back then.

/// Puts the terminal back when it is dropped.
pub(crate) struct Guard(());

impl Guard {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        put_back();
    }
}

#[cfg(unix)]
pub(crate) use unix::{is_in_front, put_back, take_over, wait};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::getpgrp;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    /// How often a program in the background looks whether it is in front again: no signal says so.
    const LOOK: Duration = Duration::from_millis(200);

    /// What the terminal was like, once it was taken over, and whether that is over.
    struct Taken {
        before: Option<Termios>,
        is_over: bool,
    }

    static TAKEN: Mutex<Taken> = Mutex::new(Taken { before: None, is_over: false });

    /// Returns whether we may read from the terminal and change it: the kernel stops a program in the
    /// background that does. Whatever cannot be found out, the read finds out.
    pub(crate) fn is_in_front() -> bool {
        tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp())
    }

    /// Returns when there is something to read and we may.
    pub(crate) fn wait() {
        let stdin = io::stdin();
        loop {
            let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            let is_broken = ready.is_err_and(|error| error != rustix::io::Errno::INTR);
            if is_broken || (ready.is_ok() && is_in_front()) {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Has the terminal neither show nor edit what is typed, if we are in front and it is not so
    /// already. A shell that lets us go on after a stop may have put it back.
    pub(crate) fn take_over() {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_over || !is_in_front() {
            return;
        }
        let Ok(mut modes) = tcgetattr(io::stdin()) else { return };
        let ours = LocalModes::ICANON | LocalModes::ECHO;
        if modes.local_modes.intersects(ours) {
            taken.before.get_or_insert_with(|| modes.clone());
            modes.local_modes.remove(ours);
            // Where it fails what is typed is shown twice.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
    }

    /// Puts the terminal back, for good.
    pub(crate) fn put_back() {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.is_over = true;
        if let Some(before) = taken.before.take().filter(|_| is_in_front()) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn is_in_front() -> bool {
    true
}

#[cfg(not(unix))]
pub(crate) fn wait() {}

/// What is typed there is shown by the terminal.
#[cfg(not(unix))]
pub(crate) fn take_over() {}

#[cfg(not(unix))]
pub(crate) fn put_back() {}
