//! `proc_exit`: a process exits, and the wait for it returns.
//!
//! The process is this program. It sleeps until its waiter has settled, writes the time into a file
//! in memory that it has opened before, and exits: the last thing it does is the first that is
//! timed. Its pipes are silent, so nobody is woken before the exit. All sides use one clock.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::thread;
use std::time::Duration;

use rustix::fd::AsRawFd;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::{Bench, Cost};
use crate::line::{Case, Target};
use crate::ours::processes::{Held, Starter};
use crate::peers;
use crate::samples::percentile;
use crate::sides::Sides;

/// The hidden argument before the file.
pub(crate) const EXIT_AT: &str = "--exit-at";

/// How many exits one round times.
const SAMPLES: usize = 100;

/// How long a process gives its waiter to settle.
const SETTLE: Duration = Duration::from_millis(5);

pub(crate) fn run(bench: &Bench) {
    let lines = [
        ("proc_exit", Held::Marked, 1.5),
        ("proc_exit_guard", Held::Cgroup, 3.0),
        ("proc_exit_subreaper", Held::Subreaper, 3.0),
    ];
    for (workload, held, target) in lines {
        if held.is_there(bench, workload) {
            bench.compare(Cost::Cheap, [case(workload, target)], sides(bench, held));
        }
    }
}

fn sides(bench: &Bench, held: Held) -> Sides<'_, 1> {
    Sides {
        limit: Box::new(|| [limit()]),
        ours: Box::new(move || [bench.on_watching_worker(ours(held))]),
        peer: peers::proc_exit(bench).filter(|_| held == Held::Marked),
    }
}

fn case(workload: &'static str, target: f64) -> Case {
    let limit_is = "a thread in waitpid";
    Case { workload, n: 1, unit: "us", limit_is, target: Target::Ratio(target) }
}

async fn ours(held: Held) -> f64 {
    let starter = Starter::new(held);
    let stamp = Stamp::new();
    let mut times = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let id = starter.spawn(&this_program(), &stamp.args());
        starter.waited(id).await;
        times.push(stamp.age());
        starter.one_ended().await;
    }
    percentile(&mut times, 0.5)
}

fn limit() -> f64 {
    thread::spawn(waits).join().expect("no side panics")
}

fn waits() -> f64 {
    let stamp = Stamp::new();
    let mut times: Vec<f64> = (0..SAMPLES).map(|_| wait(&stamp)).collect();
    percentile(&mut times, 0.5)
}

fn wait(stamp: &Stamp) -> f64 {
    let mut command = Command::new(this_program());
    command.args(stamp.args()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("this program starts again");
    let status = child.wait().expect("a child is waited for");
    let age = stamp.age();
    assert!(status.success());
    age
}

/// The path of this program.
pub(crate) fn this_program() -> String {
    let path = std::env::current_exe().expect("a process knows its program");
    path.into_os_string().into_string().expect("the path of the program is text")
}

/// A file in memory, into which a process writes when it exits.
pub(crate) struct Stamp(File);

impl Stamp {
    pub(crate) fn new() -> Self {
        let file = memfd_create("exit", MemfdFlags::CLOEXEC).expect("memory is a file");
        Self(file.into())
    }

    /// The arguments for this program to write into it.
    pub(crate) fn args(&self) -> [String; 2] {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        [EXIT_AT.to_owned(), path]
    }

    /// Returns how long ago it was written, in microseconds.
    pub(crate) fn age(&self) -> f64 {
        let now = now();
        let mut stamp = [0; 8];
        self.0.read_exact_at(&mut stamp, 0).expect("the process has written");
        (now - u64::from_ne_bytes(stamp)) as f64 / 1e3
    }
}

/// Does what [`Stamp::args`] asks for.
pub(crate) fn exit_at(path: &Path) -> ! {
    let file = File::options().write(true).open(path).expect("the file is open elsewhere");
    thread::sleep(SETTLE);
    file.write_all_at(&now().to_ne_bytes(), 0).expect("memory takes it");
    exit(0)
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let time: Duration =
        clock_gettime(ClockId::Monotonic).try_into().expect("it does not run backwards");
    time.as_nanos().try_into().expect("the machine is young")
}
