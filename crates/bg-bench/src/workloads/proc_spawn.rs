//! `proc_spawn`: start `/bin/true`, see it exit and reap it, with 32 in flight; per process.
//!
//! Without the guard, with the guard and a cgroup, and with a subreaper for each process; each with
//! nothing else in the host's memory and with 2 GiB. All sides capture the output, of which there is
//! none.

use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;
use tokio::task::JoinSet;

use crate::ballast::Ballast;
use crate::bench::{Bench, Cost};
use crate::clock::us_each;
use crate::line::{Case, Target};
use crate::ours::processes::{Held, Starter};
use crate::peers;
use crate::sides::Sides;

/// What is started.
pub(crate) const PROGRAM: &str = "/bin/true";

/// How many run at a time.
pub(crate) const IN_FLIGHT: usize = 32;

/// How many are started in one round.
pub(crate) const PROCESSES: usize = 512;

/// What a large host holds.
const BALLAST: usize = 2 << 30;

/// The names of the lines of one way to hold processes, and the target of the first.
struct Lines {
    held: Held,
    against_limit: &'static str,
    against_small: &'static str,
    target: f64,
}

/// Started by the host itself.
pub(crate) fn bare(bench: &Bench) {
    run(
        bench,
        &Lines {
            held: Held::Marked,
            against_limit: "proc_spawn",
            against_small: "proc_spawn_growth",
            target: 1.3,
        },
    );
}

/// Started by the guard in control groups.
pub(crate) fn guard(bench: &Bench) {
    run(
        bench,
        &Lines {
            held: Held::Cgroup,
            against_limit: "proc_spawn_guard",
            against_small: "proc_spawn_guard_growth",
            target: 1.6,
        },
    );
}

/// Started by subreapers.
pub(crate) fn subreaper(bench: &Bench) {
    run(
        bench,
        &Lines {
            held: Held::Subreaper,
            against_limit: "proc_spawn_subreaper",
            against_small: "proc_spawn_subreaper_growth",
            target: 2.0,
        },
    );
}

fn run(bench: &Bench, lines: &Lines) {
    if lines.held.is_there(bench, lines.against_limit) {
        against_limit(bench, lines, 0);
        against_limit(bench, lines, BALLAST);
        against_small(bench, lines);
    }
}

/// Compares with the limit, both in a host that holds so many bytes.
fn against_limit(bench: &Bench, lines: &Lines, bytes: usize) {
    let held = lines.held;
    let ballast = Ballast::of(bytes);
    let sides = Sides {
        limit: Box::new(|| [bench.on_watching_worker(through_join_set(PROCESSES, true_bare))]),
        ours: Box::new(|| [bench.on_watching_worker(ours(held))]),
        peer: peers::proc_spawn(bench, bytes).filter(|_| held == Held::Marked),
    };
    let limit_is = "tokio Command (output) + JoinSet";
    let case = case(lines.against_limit, bytes, limit_is, lines.target);
    bench.compare(Cost::Cheap, [case], sides);
    drop(ballast);
}

/// Compares ours in a large host with ours in a small one.
fn against_small(bench: &Bench, lines: &Lines) {
    let held = lines.held;
    let in_a_host_of = |bytes| {
        move || {
            let _ballast = Ballast::of(bytes);
            [bench.on_watching_worker(ours(held))]
        }
    };
    let sides = Sides {
        limit: Box::new(in_a_host_of(0)),
        ours: Box::new(in_a_host_of(BALLAST)),
        peer: None,
    };
    let limit_is = "ours without the 2 GiB in the host";
    let case = case(lines.against_small, BALLAST, limit_is, 1.2);
    bench.compare(Cost::Cheap, [case], sides);
}

fn case(workload: &'static str, n: usize, limit_is: &'static str, target: f64) -> Case {
    Case { workload, n, unit: "us", limit_is, target: Target::Ratio(target) }
}

async fn ours(held: Held) -> f64 {
    let starter = Starter::new(held);
    let start = Instant::now();
    for started in 0..PROCESSES {
        if started >= IN_FLIGHT {
            starter.one_ended().await;
        }
        starter.spawn::<&str>(PROGRAM, &[]);
    }
    for _ in 0..IN_FLIGHT {
        starter.one_ended().await;
    }
    us_each(start.elapsed(), PROCESSES)
}

/// Runs so many futures, each of which runs a process, as tasks of a set.
pub(crate) async fn through_join_set<F>(count: usize, run: impl Fn() -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let mut set = JoinSet::new();
    for _ in 0..count {
        if set.len() == IN_FLIGHT {
            ended(&mut set).await;
        }
        set.spawn(run());
    }
    while !set.is_empty() {
        ended(&mut set).await;
    }
    us_each(start.elapsed(), count)
}

async fn ended(set: &mut JoinSet<()>) {
    set.join_next().await.expect("one is in flight").expect("no side panics");
}

async fn true_bare() {
    let mut command = Command::new(PROGRAM);
    assert!(command.stdin(Stdio::null()).output().await.expect("it starts").status.success());
}
