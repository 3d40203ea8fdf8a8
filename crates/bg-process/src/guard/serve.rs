//! The guard's own life: from the program's start to the end of its host.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::SendFlags;
use rustix::process::{getpid, setsid};

use super::launch::{close_all_but, fork, ignore_signals, raise_limit_of_files};
use super::sweep::sweep;
use super::warden::Warden;
use super::wire::Hello;
use crate::linux::cgroup::Cgroups;
use crate::linux::host::Host;

/// Serves the host whose name is given, on the socket that is the standard input. Returns when the
/// host is gone, and all that it has started.
pub(super) fn serve(host: &str) -> io::Result<()> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    close_all_but(&[std::os::fd::AsRawFd::as_raw_fd(&socket)]);
    leave_host()?;
    raise_limit_of_files();
    let host: Option<Host> = host.parse().ok();
    let groups = host.as_ref().and_then(|host| Cgroups::create(host).ok());
    let hello = Hello { pid: getpid().as_raw_pid().cast_unsigned(), groups: groups.is_some() };
    let handle = host.and_then(|host| host.handle());
    let mut warden = Warden::guard(socket.try_clone()?, groups, handle)?;
    // A host that is gone by now is seen to be gone in a moment, and then everything is put away.
    let _ = rustix::net::send(&socket, &serde_json::to_vec(&hello)?, SendFlags::NOSIGNAL);
    drop(socket);
    // Where there is no room for another process, the next guard sweeps.
    let _ = warden.help_with(sweep);
    warden.run();
    Ok(())
}

/// Leaves the terminal, the folder and the process tree of the host: what ends the host does not end
/// the guard, and the host has no child that it does not know of.
fn leave_host() -> io::Result<()> {
    ignore_signals();
    setsid()?;
    // SAFETY: the program has just been started and has one thread.
    #[allow(unsafe_code)]
    if unsafe { fork() }?.is_some() {
        std::process::exit(0);
    }
    rustix::thread::set_name(c"bg-guard")?;
    std::env::set_current_dir("/")?;
    let nothing = open_null()?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(nothing.as_fd())?;
    Ok(())
}

fn open_null() -> io::Result<OwnedFd> {
    let file = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    Ok(file.into())
}
