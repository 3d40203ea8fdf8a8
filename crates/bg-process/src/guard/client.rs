//! The host's side of the guard: one guard for the whole process, started when it is first needed and
//! again when it has died.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

use super::NAME;
use super::wire::{Hello, Parcel};
use crate::beside::beside;
use crate::linux::host::Host;
use crate::receipt::Containment;
use crate::status::GuardStatus;

/// How long a guard may take to say that it is there, in seconds.
const HELLO_SECS: i64 = 5;

/// The guard of this process. The lock is held while one is started, never across a wait of a task.
static SLOT: Mutex<Slot> = Mutex::new(Slot { program: None, control: None, trouble: None });

struct Slot {
    /// What to start; `None` where the host has not allowed it.
    program: Option<PathBuf>,
    control: Option<Arc<Control>>,
    /// Why the last one could not be started.
    trouble: Option<String>,
}

/// A guard that runs.
#[derive(Debug)]
pub(crate) struct Control {
    socket: OwnedFd,
    pid: u32,
    groups: AtomicBool,
}

/// A number that no other task of this process has.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn set_program(program: PathBuf) {
    SLOT.lock().program = Some(program);
}

/// Returns the guard, started if it does not run; `None` where the host has not allowed one.
pub(crate) async fn control() -> io::Result<Option<Arc<Control>>> {
    // A start takes milliseconds, and others wait for it then.
    if let Some(slot) = SLOT.try_lock() {
        match &slot.control {
            Some(control) => return Ok(Some(control.clone())),
            None if slot.program.is_none() => return Ok(None),
            None => {}
        }
    }
    beside(|| SLOT.lock().running()).await.unwrap_or_else(|| Err(io::Error::other("a panic")))
}

/// Notes that a guard has died, so that the next one who asks starts another.
pub(crate) fn forget(dead: &Arc<Control>) {
    let mut slot = SLOT.lock();
    if slot.control.as_ref().is_some_and(|control| Arc::ptr_eq(control, dead)) {
        slot.control = None;
    }
}

pub(crate) fn status() -> GuardStatus {
    let mut slot = SLOT.lock();
    if slot.control.as_ref().is_some_and(|control| control.is_dead()) {
        slot.control = None;
    }
    match (&slot.control, &slot.trouble, &slot.program) {
        (Some(control), ..) => {
            GuardStatus::Running { pid: control.pid, containment: control.containment() }
        }
        (None, Some(reason), _) => GuardStatus::Unavailable { reason: reason.clone() },
        (None, None, Some(_)) => GuardStatus::Ready,
        (None, None, None) => GuardStatus::NotSetUp,
    }
}

impl Slot {
    fn running(&mut self) -> io::Result<Option<Arc<Control>>> {
        let Some(program) = &self.program else { return Ok(None) };
        if self.control.is_none() {
            let started = Control::start(program);
            self.trouble = started.as_ref().err().map(ToString::to_string);
            self.control = Some(Arc::new(started?));
        }
        Ok(self.control.clone())
    }
}

impl Control {
    fn start(program: &Path) -> io::Result<Self> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        let mut command = Command::new(program);
        command.arg0(NAME).arg(Host::own().to_string());
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut first = command.spawn()?;
        // Only the other end is to be held by the guard alone: its death must be seen here.
        drop(command);
        // The guard is a child of this one, which ends at once. Where a host has children reaped
        // unseen there is nobody to wait for.
        let _ = first.wait();
        let hello = hello(socket.as_fd())?;
        Ok(Self { socket, pid: hello.pid, groups: AtomicBool::new(hello.groups) })
    }

    /// The best that this guard can do.
    pub(crate) fn containment(&self) -> Containment {
        if self.groups.load(Ordering::Relaxed) {
            Containment::Cgroup
        } else {
            Containment::Subreaper
        }
    }

    /// Notes that the kernel refuses to have processes born in groups.
    pub(crate) fn no_groups(&self) {
        self.groups.store(false, Ordering::Relaxed);
    }

    fn is_dead(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        // It says nothing but hello, so there is nothing to read but its end.
        poll(&mut fds, Some(&rustix::event::Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Sends an order.
    ///
    /// Cancel safe: it was sent as a whole or not at all.
    pub(crate) async fn send(&self, order: &Parcel) -> io::Result<()> {
        // A guard that has so much to do takes longer, and one that was stopped takes for ever. A
        // thread that waited for it could not be called off, and the runtime would wait for that.
        const PAUSE: Duration = Duration::from_millis(2);
        loop {
            match order.send(self.socket.as_fd()) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::TOOMANYREFS) => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn hello(socket: BorrowedFd<'_>) -> io::Result<Hello> {
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: HELLO_SECS, tv_nsec: 0 };
    if poll(&mut fds, Some(&patience))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the guard did not answer"));
    }
    let mut bytes = [0; 256];
    let (count, _) = recv(socket, &mut bytes, RecvFlags::empty())?;
    if count == 0 {
        let why = "the program that was started as a guard does not begin with guard_main()";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(serde_json::from_slice(&bytes[..count])?)
}
