//! The process that keeps tasks: the guard itself, or the one of a single task (a *reaper*).
//!
//! # Invariants
//!
//! 1. The process has one thread. It is the parent, by birth or by adoption, of everything that its
//!    tasks have started, so nobody else can reap them, and no number that it holds of a child can
//!    have been given to another process.
//! 2. A child is forgotten where it is reaped, and signalled nowhere after.
//! 3. A warden ends when everything is gone that it keeps, and never before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bg_core::Exit;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};

use super::launch::{Birth, Launched, child_signals, close_all_but, fork, launch};
use super::ward::{Heard, Held, Ward, kill_child, tell};
use super::wire::{Failed, Fence, Launch, Order, Received, Report, Step, in_file};
use crate::linux::cgroup::Cgroups;
use crate::linux::procfs;

/// What events are called. Those of tasks are called by their numbers, which are smaller.
const ORDERS: u64 = u64::MAX;
const CHILDREN: u64 = u64::MAX - 1;
const HOST: u64 = u64::MAX - 2;

/// Most events that are taken at a time.
const EVENTS: usize = 256;

/// Most orders that are taken before what has exited is looked at.
const ORDERS_AT_A_TIME: usize = 16;

/// How long reapers get to end their tasks by themselves when the host has gone.
const LENIENCE: Duration = Duration::from_millis(300);

/// Keeps tasks.
pub(super) struct Warden {
    epoll: OwnedFd,
    children: OwnedFd,
    /// A handle of the host. A copy of the host, which it has forked, keeps every socket of it open:
    /// that the host is gone is seen here then, and nowhere else.
    host: Option<OwnedFd>,
    role: Role,
    wards: BTreeMap<u64, Ward>,
    /// Those that are being ended.
    ending: BTreeSet<u64>,
    leaders: HashMap<Pid, u64>,
    /// Processes of our own: reapers, and the one that sweeps.
    helpers: HashSet<Pid>,
    /// There is no child, as of the last look.
    childless: bool,
}

enum Role {
    /// Takes orders.
    Guard(Guard),
    /// Keeps one task.
    Reaper,
}

struct Guard {
    /// `None` once the host has gone.
    orders: Option<OwnedFd>,
    groups: Option<Cgroups>,
    /// When the host had gone.
    alone_since: Option<Instant>,
    /// Where orders arrive.
    buffer: Vec<u8>,
}

impl Warden {
    pub(super) fn guard(
        orders: OwnedFd,
        groups: Option<Cgroups>,
        host: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let spare = orders.try_clone()?;
        let buffer = vec![0; Order::MESSAGE];
        let guard = Guard { orders: Some(orders), groups, alone_since: None, buffer };
        let warden = Self::new(Role::Guard(guard), host)?;
        warden.watch(spare, ORDERS)?;
        Ok(warden)
    }

    fn new(role: Role, host: Option<OwnedFd>) -> io::Result<Self> {
        // Whatever loses its parent becomes a child of this process.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let warden = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            children: child_signals()?,
            host,
            role,
            wards: BTreeMap::new(),
            ending: BTreeSet::new(),
            leaders: HashMap::new(),
            helpers: HashSet::new(),
            childless: true,
        };
        warden.watch(&warden.children, CHILDREN)?;
        if let Some(host) = &warden.host {
            warden.watch(host, HOST)?;
        }
        Ok(warden)
    }

    fn descriptors(&self) -> Vec<RawFd> {
        let wards = self.wards.values().flat_map(Ward::descriptors);
        let own = [self.epoll.as_raw_fd(), self.children.as_raw_fd()];
        wards.chain(own).chain(self.host.as_ref().map(AsRawFd::as_raw_fd)).collect()
    }

    fn watch(&self, fd: impl AsFd, name: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(name), EventFlags::IN)?)
    }

    /// Keeps tasks until there is nothing left to keep.
    pub(super) fn run(mut self) {
        while !self.is_over() {
            let events = self.wait();
            // What tells of an end is taken before the look for ends, or one in between is missed.
            if events.contains(&CHILDREN) {
                self.empty_signals();
            }
            // Before any word of the host's is heeded: what has exited by itself is not stopped.
            self.reap();
            for name in events {
                self.heed(name);
            }
            self.press();
            self.clear_strays();
        }
        if let Role::Guard(Guard { groups: Some(groups), .. }) = &self.role {
            groups.remove();
        }
    }

    fn is_over(&self) -> bool {
        match &self.role {
            Role::Guard(guard) => guard.orders.is_none() && self.wards.is_empty() && self.childless,
            Role::Reaper => self.wards.is_empty(),
        }
    }

    fn wait(&self) -> Vec<u64> {
        let mut events = Vec::with_capacity(EVENTS);
        let buffer = rustix::buffer::spare_capacity(&mut events);
        // An interruption is a wake like any other one.
        let _ = epoll::wait(&self.epoll, buffer, self.patience().as_ref());
        events.iter().map(|event: &epoll::Event| event.data.u64()).collect()
    }

    fn patience(&self) -> Option<rustix::event::Timespec> {
        const ALONE: Duration = Duration::from_millis(20);
        let alone = self.is_alone().then_some(ALONE);
        let paces = self.ending.iter().filter_map(|number| self.wards.get(number)?.pace());
        paces.chain(alone).min().and_then(|pace| pace.try_into().ok())
    }

    fn is_alone(&self) -> bool {
        matches!(&self.role, Role::Guard(guard) if guard.orders.is_none())
    }

    fn heed(&mut self, name: u64) {
        match name {
            ORDERS => self.take_orders(),
            HOST => self.lose_host(),
            CHILDREN => {}
            number => self.heed_ward(number),
        }
    }

    fn heed_ward(&mut self, number: u64) {
        let Some(ward) = self.wards.get_mut(&number) else { return };
        if ward.heed() == Heard::Released {
            let _ = epoll::delete(&self.epoll, ward.leash());
        }
        if ward.is_ending() {
            self.ending.insert(number);
        }
    }

    /// What is to be read says only that some child has ended: [`reap`](Self::reap) asks which.
    fn empty_signals(&self) {
        let mut buffer = [0; 1024];
        while rustix::io::read(&self.children, &mut buffer).is_ok_and(|count| count > 0) {}
    }

    fn reap(&mut self) {
        let mut exited = Vec::new();
        self.childless = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => exited.extend(self.reaped(pid, status)),
                Ok(None) => break false,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break true,
            }
        };
        for (number, exit) in exited {
            let ward = self.wards.get_mut(&number);
            if ward.is_some_and(|ward| ward.exited(exit, self.childless)) {
                self.dismiss(number);
            }
        }
    }

    /// Forgets the number of a child (I2); of a leader, returns how it exited.
    fn reaped(&mut self, pid: Pid, status: WaitStatus) -> Option<(u64, Exit)> {
        self.helpers.remove(&pid);
        let number = self.leaders.remove(&pid)?;
        Some((number, Exit { code: status.exit_status(), signal: status.terminating_signal() }))
    }

    fn dismiss(&mut self, number: u64) {
        self.ending.remove(&number);
        if let Some(ward) = self.wards.remove(&number) {
            ward.clear();
        }
    }

    fn press(&mut self) {
        if self.ending.is_empty() {
            return;
        }
        // Asked once for all of them.
        let strays = self.strays();
        let childless = self.childless;
        let wards = &mut self.wards;
        let is_over =
            |number: &u64| wards.get_mut(number).is_none_or(|ward| ward.press(childless, &strays));
        let over: Vec<u64> = self.ending.iter().copied().filter(is_over).collect();
        for number in over {
            self.dismiss(number);
        }
    }

    /// What a guard has adopted and cannot attribute to a task: what has left its control group, and
    /// what a reaper that was killed has left. (A reaper attributes everything to its one task.)
    fn strays(&self) -> Vec<Pid> {
        let Role::Guard(guard) = &self.role else { return Vec::new() };
        let late = guard.alone_since.is_some_and(|since| since.elapsed() >= LENIENCE);
        let is_helper = |pid: &Pid| !late && self.helpers.contains(pid);
        let is_known = |pid: &Pid| self.leaders.contains_key(pid) || is_helper(pid);
        let mut others = procfs::own_children();
        others.retain(|pid| !is_known(pid) && !self.wards.values().any(|ward| ward.has(*pid)));
        others
    }

    /// Ends what nobody can be said to own any more, once there is no task that it could belong to.
    fn clear_strays(&mut self) {
        if self.wards.is_empty() && !self.childless {
            self.strays().into_iter().for_each(kill_child);
        }
    }

    /// The host is gone, whoever holds its ends of the sockets.
    fn lose_host(&mut self) {
        if let Some(host) = self.host.take() {
            let _ = epoll::delete(&self.epoll, host);
        }
        self.take_no_more_orders();
        for (number, ward) in &mut self.wards {
            ward.end();
            self.ending.insert(*number);
        }
    }

    fn take_no_more_orders(&mut self) {
        let Role::Guard(guard) = &mut self.role else { return };
        if let Some(socket) = guard.orders.take() {
            let _ = epoll::delete(&self.epoll, socket);
            guard.alone_since = Some(Instant::now());
        }
    }

    fn take_orders(&mut self) {
        for _ in 0..ORDERS_AT_A_TIME {
            let Role::Guard(guard) = &mut self.role else { return };
            let Some(socket) = &guard.orders else { return };
            match Order::receive(socket, &mut guard.buffer) {
                Ok(Some(received)) => self.start(received),
                Ok(None) => return,
                Err(_) => return self.take_no_more_orders(),
            }
        }
    }

    fn start(&mut self, received: Received) {
        let Received { order, launch, fds } = received;
        // An order that is not whole comes to a guard that can have no more files open.
        let Some(job) = Job::of(order.number, fds) else { return };
        if let Err(failed) = self.start_job(&job, order.fence, launch) {
            tell(&job.leash, &Report::Failed(failed));
        }
    }

    fn start_job(&mut self, job: &Job, fence: Fence, inline: Vec<u8>) -> Result<(), Failed> {
        let launch = job.launch(inline).map_err(|error| Failed::at(Step::Prepare, &error))?;
        let what =
            Launch::of(&launch).ok_or(Failed { step: Step::Prepare, errno: libc::EINVAL })?;
        match fence {
            Fence::Cgroup => self.start_in_group(job, &what),
            Fence::Subreaper => self.start_reaper(job, &what),
        }
    }

    fn start_in_group(&mut self, job: &Job, what: &Launch<&CStr>) -> Result<(), Failed> {
        let Role::Guard(Guard { groups: Some(groups), .. }) = &self.role else {
            return Err(Failed { step: Step::Fork, errno: libc::EOPNOTSUPP });
        };
        let group = groups.group(job.number).map_err(|error| Failed::at(Step::Fork, &error))?;
        match launch(what, job.streams(), Birth::Group(group.as_fd())) {
            Ok(leader) => self.keep(job, leader, Held::Group(group)),
            Err(failed) => {
                group.remove();
                Err(failed)
            }
        }
    }

    /// Does some work in a process of its own.
    pub(super) fn help_with(&mut self, work: fn()) -> io::Result<()> {
        if self.fork_helper()? {
            return Ok(());
        }
        close_all_but(&[]);
        work();
        std::process::exit(0)
    }

    /// Forks; answers with true here, and with false in the new process.
    fn fork_helper(&mut self) -> io::Result<bool> {
        // SAFETY: this process has one thread (I1).
        #[allow(unsafe_code)]
        let Some(helper) = unsafe { fork() }? else { return Ok(false) };
        self.childless = false;
        self.helpers.insert(helper);
        Ok(true)
    }

    fn keep(&mut self, job: &Job, leader: Launched, held: Held) -> Result<(), Failed> {
        let leash = job.leash.try_clone().map_err(|error| Failed::at(Step::Prepare, &error))?;
        let pid = leader.pid;
        let ward = Ward::new(leash, leader, held);
        self.watch(ward.leash(), job.number).map_err(|error| Failed::at(Step::Prepare, &error))?;
        self.childless = false;
        self.leaders.insert(pid, job.number);
        self.wards.insert(job.number, ward);
        Ok(())
    }

    fn start_reaper(&mut self, job: &Job, what: &Launch<&CStr>) -> Result<(), Failed> {
        if self.fork_helper().map_err(|error| Failed::at(Step::Fork, &error))? {
            return Ok(());
        }
        std::process::exit(i32::from(keep_one(job, what, self.host.take()).is_err()))
    }
}

/// The life of a reaper, in the process that was forked for it.
fn keep_one(job: &Job, what: &Launch<&CStr>, host: Option<OwnedFd>) -> io::Result<()> {
    rustix::thread::set_name(c"bg-reaper")?;
    let mut warden = Warden::new(Role::Reaper, host)?;
    let kept = launch(what, job.streams(), Birth::Here)
        .and_then(|leader| warden.keep(job, leader, Held::Children));
    if let Err(failed) = kept {
        tell(&job.leash, &Report::Failed(failed));
        return Ok(());
    }
    // What the guard has open is not the reaper's: a leash that is held here too would not end.
    // Nothing of it is dropped in this process, which ends without returning.
    close_all_but(&warden.descriptors());
    warden.run();
    Ok(())
}

/// What came with an order.
struct Job {
    number: u64,
    leash: UnixStream,
    streams: [OwnedFd; 3],
    /// What to run, if it did not fit into the message.
    file: Option<OwnedFd>,
}

impl Job {
    fn of(number: u64, fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        let leash = UnixStream::from(fds.next()?);
        leash.set_nonblocking(true).ok()?;
        let streams = [fds.next()?, fds.next()?, fds.next()?];
        Some(Self { number, leash, streams, file: fds.next() })
    }

    fn launch(&self, inline: Vec<u8>) -> io::Result<Vec<u8>> {
        self.file.as_ref().map_or(Ok(inline), in_file)
    }

    fn streams(&self) -> [BorrowedFd<'_>; 3] {
        self.streams.each_ref().map(AsFd::as_fd)
    }
}
