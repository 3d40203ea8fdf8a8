//! The guard: a small process beside the host that starts its processes, and ends them all when the
//! host is gone.
//!
//! # Guarantee
//!
//! When the host is gone, for whatever reason, everything that it has started through the guard is
//! dead within a second, with what has detached itself (`setsid`, double forks, a cleared
//! environment).
//!
//! # How
//!
//! The guard is the host's program, started again, in a session of its own and with one thread. The
//! host asks it for each process ([`wire`]). What keeps a process ([`warden`]) is either the guard
//! itself, with a control group around the process, or a *reaper*: a process that the guard forks
//! for one task, and that adopts whatever the task leaves behind. Either way a *leash* ties the task to
//! the host: a socket whose other end is closed when the task is dropped, when its registry is, and by
//! the kernel when the host dies.
//!
//! What is kept by a reaper does not need the guard any more: when the guard is killed, its tasks go
//! on, and when the host is killed with it, the reapers end them. What is in control groups dies with
//! the guard as far as it was started by it directly; the host ends the rest when it sees that, or, if
//! it was killed too, the next guard of any host does ([`sweep`]).

mod client;
mod launch;
mod serve;
mod sweep;
mod ward;
mod warden;
pub(crate) mod wire;

use std::path::PathBuf;

pub(crate) use client::{Control, control, forget, next_number, status};

/// What the program is called, and its first argument, when it is started as a guard.
const NAME: &str = "bg-guard";

/// See [`crate::guard_main`].
pub(crate) fn main() {
    let mut words = std::env::args_os();
    if words.next().is_none_or(|name| name != NAME) {
        client::set_program(PathBuf::from("/proc/self/exe"));
        return;
    }
    let host = words.next().and_then(|host| host.into_string().ok()).unwrap_or_default();
    std::process::exit(i32::from(serve::serve(&host).is_err()));
}

/// See [`crate::use_guard_program`].
pub(crate) fn use_program(program: PathBuf) {
    client::set_program(program);
}
