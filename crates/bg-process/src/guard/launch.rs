//! Starting a program from the guard, which has one thread.
//!
//! The guard forks: it is small, so that this costs the same however large the host is, and what a
//! child needs beyond `posix_spawn` (a session, a group to be born in, its end with its parent) is
//! done between fork and exec.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

use rustix::process::Pid;

use super::wire::{Failed, Launch, Step};

/// The highest signal there is.
const LAST_SIGNAL: i32 = 64;

/// A process that becomes the program that was asked for.
pub(super) struct Launched {
    pub(super) pid: Pid,
    failure: OwnedFd,
}

impl Launched {
    /// What it takes to tell a failure.
    pub(super) fn descriptor(&self) -> RawFd {
        self.failure.as_raw_fd()
    }

    /// Returns why it did not become the program. To be asked once it has been reaped: before that
    /// the answer takes as long as the start does, and nothing else would be started meanwhile.
    pub(super) fn failed(&self) -> Option<Failed> {
        let mut report = [0; 5];
        match rustix::io::read(&self.failure, &mut report) {
            // The program's start has closed the pipe.
            Ok(0) => None,
            Ok(_) => Some(Failed::of(report)),
            Err(error) => Some(Failed::at(Step::Prepare, &error.into())),
        }
    }
}

/// Where a program is born, and what starting it costs.
#[derive(Clone, Copy)]
pub(super) enum Birth<'a> {
    /// In a control group. Does not wait until the program runs.
    Group(BorrowedFd<'a>),
    /// Where this process is. Shares its memory until the program runs, and waits for that: cheaper,
    /// and for a process that has nothing else to do.
    Here,
}

/// Starts a program in a session of its own. It dies with this process.
pub(super) fn launch(
    launch: &Launch<&CStr>,
    streams: [BorrowedFd<'_>; 3],
    birth: Birth<'_>,
) -> Result<Launched, Failed> {
    let (failure, to_parent) = pipe().map_err(|error| Failed::at(Step::Prepare, &error))?;
    let exec = Exec {
        program: launch.program,
        folder: launch.folder,
        args: pointers(&launch.args),
        env: pointers(&launch.env),
        streams: streams.map(|stream| stream.as_raw_fd()),
        to_parent: to_parent.as_raw_fd(),
        parent: rustix::process::getpid().as_raw_pid(),
        files: HOST_FILES.get().copied(),
    };
    let pid = match birth {
        // SAFETY: this process has one thread, so the child finds no lock held by a thread that it
        // does not have. In the child, `run` makes calls to the system only and does not return.
        Birth::Group(group) => match unsafe { fork_into(group) } {
            Ok(None) => exec.run(),
            Ok(Some(pid)) => Ok(pid),
            Err(error) => Err(error),
        },
        Birth::Here => exec.in_shared_memory(),
    };
    let pid = pid.map_err(|error| Failed::at(Step::Fork, &error))?;
    Ok(Launched { pid, failure })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// What `execve` takes: pointers, and a null one behind them.
fn pointers(texts: &[&CStr]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// What the system call takes; see clone3(2). Fields that are zero are not used.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks; in the child, which is born in the group, the answer is `None`.
///
/// # Safety
///
/// The process has one thread. The C library does not learn of the child: until it execs or exits,
/// the child may make calls to the system only, and no memory may be taken or given back.
unsafe fn fork_into(group: BorrowedFd<'_>) -> io::Result<Option<Pid>> {
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: u64::from(group.as_raw_fd().cast_unsigned()),
        ..CloneArgs::default()
    };
    // SAFETY: the arguments live until the call returns; without CLONE_VM and a stack this is a fork,
    // about which see the caller's part.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    forked(pid)
}

/// Forks this process, which then goes on in two.
///
/// # Safety
///
/// The process has one thread.
pub(super) unsafe fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the caller's.
    forked(i64::from(unsafe { libc::fork() }))
}

fn forked(pid: i64) -> io::Result<Option<Pid>> {
    match i32::try_from(pid) {
        Ok(pid @ 0..) => Ok(Pid::from_raw(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What the child does, all of it prepared before the fork.
struct Exec<'a> {
    program: &'a CStr,
    folder: &'a CStr,
    args: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    streams: [RawFd; 3],
    to_parent: RawFd,
    parent: i32,
    files: Option<libc::rlimit>,
}

impl Exec<'_> {
    /// Runs in a process that shares the memory of this one, which waits until that one has its own:
    /// nothing is copied.
    fn in_shared_memory(&self) -> io::Result<Pid> {
        const STACK_BYTES: usize = 32 << 10;
        extern "C" fn child(exec: *mut libc::c_void) -> libc::c_int {
            // SAFETY: what is passed below, by one that waits meanwhile.
            unsafe { &*exec.cast::<Exec<'_>>() }.run()
        }
        let mut stack = Vec::<u128>::with_capacity(STACK_BYTES / size_of::<u128>());
        let top = stack.spare_capacity_mut().as_mut_ptr_range().end.cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let this = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: stacks grow downwards from an aligned top on every architecture that is supported,
        // and this one is larger than what `run` needs. With CLONE_VFORK this process does not go on
        // until the child has exited or runs its program, so stack and `self` outlive its use of
        // them, and nobody else touches the memory. `run` changes nothing in it but the error number,
        // which is read for a clone that failed only, and does not return.
        let pid = unsafe { libc::clone(child, top, flags, this) };
        forked(i64::from(pid))?.ok_or_else(|| io::Error::other("a clone returned twice"))
    }

    /// Becomes the program, or tells why not and exits.
    fn run(&self) -> ! {
        let step = self.steps();
        // SAFETY: the location of the error number of this thread, and calls that are safe after a
        // fork. The buffer lives until the write returns.
        unsafe {
            let report = Failed { step, errno: *libc::__errno_location() }.bytes();
            libc::write(self.to_parent, report.as_ptr().cast(), report.len());
            libc::_exit(127)
        }
    }

    /// Returns what did not work; if all works, it does not return.
    fn steps(&self) -> Step {
        // SAFETY: system calls on descriptors that are open, and on texts and lists of pointers that
        // end with a null and live as long as `self`.
        unsafe {
            let dies_with_parent = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0;
            // It may have died before that.
            if !dies_with_parent || libc::getppid() != self.parent || libc::setsid() < 0 {
                return Step::SetUp;
            }
            for (stream, number) in self.streams.into_iter().zip(0..) {
                if libc::dup2(stream, number) < 0 {
                    return Step::SetUp;
                }
            }
            default_signals();
            if self
                .files
                .is_some_and(|files| libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files) < 0)
            {
                return Step::SetUp;
            }
            if libc::chdir(self.folder.as_ptr()) < 0 {
                return Step::Folder;
            }
            libc::execve(self.program.as_ptr(), self.args.as_ptr(), self.env.as_ptr());
            Step::Exec
        }
    }
}

/// How many files a child may have open: as many as the host may.
static HOST_FILES: OnceLock<libc::rlimit> = OnceLock::new();

/// Lets this process have as many files open as it is allowed to: each task of the host has some.
pub(super) fn raise_limit_of_files() {
    let mut files = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: what is written to is of the right type, and is read only if the call has succeeded.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, files.as_mut_ptr()) == 0 {
            let files = *HOST_FILES.get_or_init(|| files.assume_init());
            let raised = libc::rlimit { rlim_cur: files.rlim_max, ..files };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised);
        }
    }
}

/// Gives signals the effects that a program expects. Those that are not ignored have them already:
/// see [`ignore_signals`].
///
/// # Safety
///
/// To be called in a child before it execs.
unsafe fn default_signals() {
    // SAFETY: an empty set is made before it is used; the effects are constants.
    unsafe {
        for signal in IGNORED {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// What a terminal or an administrator sends to end or stop programs, and what tells of a pipe that
/// nobody reads.
const IGNORED: [i32; 9] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGPIPE,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGUSR1,
];

/// Ignores what would end or stop a guard, which ends when its host does. Everything else has its
/// default effect from here on, whatever the host had of it.
pub(super) fn ignore_signals() {
    for signal in 1..=LAST_SIGNAL {
        let effect = if IGNORED.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: the effects are constants, and no handler of anybody's is replaced: the program has
        // just been started. SIGKILL, SIGSTOP and those of the C library refuse.
        unsafe { libc::signal(signal, effect) };
    }
}

/// A descriptor that can be read when a child has ended. All signals are blocked: one that is sent to
/// a child before its program runs waits, and has its effect there.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the set is made before it is used, and the descriptor is new and ours.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        // An effect of "ignore" that came from the host would have children reaped unseen.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut all = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Closes every descriptor but the standard ones and these.
pub(super) fn close_all_but(kept: &[RawFd]) {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            // SAFETY: whoever calls this has forked or was just started, and uses nothing that is
            // not named. What cannot be closed was not open.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

impl Failed {
    pub(crate) fn at(step: Step, error: &io::Error) -> Self {
        Self { step, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    fn bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.errno.to_le_bytes();
        [self.step as u8, a, b, c, d]
    }

    fn of(bytes: [u8; 5]) -> Self {
        const STEPS: [Step; 5] = [Step::Prepare, Step::Fork, Step::SetUp, Step::Folder, Step::Exec];
        let [step, errno @ ..] = bytes;
        let step = STEPS.get(usize::from(step)).copied().unwrap_or(Step::Prepare);
        Self { step, errno: i32::from_le_bytes(errno) }
    }
}
