//! `proc_idle`: what n running processes cost the host while nothing happens to them.
//!
//! In each turn of a host (`proc_idle`), against one system call that looks at all of them; the
//! turn with a thousand against the turn with ten (`proc_idle_growth`), which is flat unless there
//! is something to do for each process. And beside the turns (`proc_idle_beside`): the processor
//! time of the whole host in a second in which nobody asks for anything, so that nothing polls
//! behind the turn's back either.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::{Bench, Cost};
use crate::clock::{ns_per_call, us_each};
use crate::line::{Case, Target};
use crate::ours::processes::{Held, Starter, guard};
use crate::peers;
use crate::sides::Sides;

const FEW: usize = 10;
const MANY: usize = 1_000;

/// Turns between two looks at the clock.
const TURNS: usize = 1_000_000;

/// Looks at the pidfds between two looks at the clock.
const LOOKS: usize = 100_000;

/// How long a host does nothing.
const WHILE: Duration = Duration::from_secs(1);

/// A command that says when it runs and then sleeps.
pub(crate) const SLEEPER: &str = "echo; exec sleep 1000";

pub(crate) fn run(bench: &Bench) {
    for n in [FEW, MANY] {
        turns(bench, n);
    }
    growth(bench);
    beside(bench);
}

fn turns(bench: &Bench, n: usize) {
    let (ours, limit) = (Ours::start(bench, n), Limit::start(n));
    let sides = Sides {
        limit: Box::new(|| [ns_per_call(LOOKS, || limit.look(Duration::ZERO))]),
        ours: Box::new(|| [ours.turns()]),
        peer: peers::proc_idle(bench, n),
    };
    // Ours makes no system call, be it one for all.
    let target = Target::Ratio(1.0);
    let limit_is = "epoll_wait over n pidfds";
    let case = Case { workload: "proc_idle", n, unit: "ns", limit_is, target };
    bench.compare(Cost::Cheap, [case], sides);
}

fn growth(bench: &Bench) {
    let (few, many) = (Ours::start(bench, FEW), Ours::start(bench, MANY));
    let sides =
        Sides { limit: Box::new(|| [few.turns()]), ours: Box::new(|| [many.turns()]), peer: None };
    let target = Target::Ratio(1.2);
    let limit_is = "ours with 10 running";
    let case = Case { workload: "proc_idle_growth", n: MANY, unit: "ns", limit_is, target };
    bench.compare(Cost::Cheap, [case], sides);
}

fn beside(bench: &Bench) {
    let sides = Sides {
        limit: Box::new(|| [Limit::start(MANY).idle()]),
        ours: Box::new(|| [Ours::start(bench, MANY).idle()]),
        peer: None,
    };
    let target = Target::Ours(1_000.0);
    let limit_is = "epoll_wait over n pidfds";
    let case = Case { workload: "proc_idle_beside", n: MANY, unit: "us", limit_is, target };
    bench.compare(Cost::Dear, [case], sides);
}

/// The processor time of this process and its guard while it does what `idle` does, in
/// microseconds.
fn used_while<T>(idle: impl FnOnce() -> T) -> f64 {
    let before = used() + guard().map_or(0.0, used_by);
    idle();
    used() + guard().map_or(0.0, used_by) - before
}

fn used() -> f64 {
    let time: Duration =
        clock_gettime(ClockId::ProcessCPUTime).try_into().expect("it does not run backwards");
    us_each(time, 1)
}

/// The processor time of another process that has one thread.
fn used_by(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat"));
    let stat = stat.expect("the kernel counts the time of processes");
    let ns: f64 = stat.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN);
    ns / 1e3
}

struct Ours<'a> {
    bench: &'a Bench,
    starter: Starter,
}

impl<'a> Ours<'a> {
    /// Starts so many and returns once all of them run.
    fn start(bench: &'a Bench, n: usize) -> Self {
        let starter = bench.on_watching_worker(async move {
            let starter = Starter::new(Held::Best);
            let ids: Vec<_> = (0..n).map(|_| starter.spawn("/bin/sh", &["-c", SLEEPER])).collect();
            for id in ids {
                starter.wrote(id).await;
            }
            starter
        });
        Self { bench, starter }
    }

    fn turns(&self) -> f64 {
        let inbox = self.starter.inbox();
        ns_per_call(TURNS, || assert!(!inbox.drain_one()))
    }

    fn idle(&self) -> f64 {
        used_while(|| self.bench.on_watching_worker(async { tokio::time::sleep(WHILE).await }))
    }
}

struct Limit {
    children: Vec<Child>,
    _pidfds: Vec<OwnedFd>,
    epoll: OwnedFd,
}

impl Limit {
    fn start(n: usize) -> Self {
        let children: Vec<Child> = (0..n).map(|_| sleeper()).collect();
        let pidfds: Vec<OwnedFd> = children.iter().map(pidfd).collect();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll is to be had");
        for pidfd in &pidfds {
            let added =
                epoll::add(&epoll, pidfd, epoll::EventData::new_u64(0), epoll::EventFlags::IN);
            added.expect("a pidfd can be watched");
        }
        Self { children, _pidfds: pidfds, epoll }
    }

    /// Looks for exits, for so long.
    fn look(&self, time: Duration) {
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 64];
        let time = Timespec::try_from(time).expect("it is short");
        let (events, _) = epoll::wait(&self.epoll, &mut events, Some(&time)).expect("it waits");
        assert!(events.is_empty());
    }

    fn idle(&self) -> f64 {
        used_while(|| self.look(WHILE))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        for child in &mut self.children {
            // A sleeper that is gone already is as good.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn sleeper() -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SLEEPER]).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("a shell starts")
}

fn pidfd(child: &Child) -> OwnedFd {
    pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a child has a pidfd")
}
