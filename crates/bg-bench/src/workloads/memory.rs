//! `memory`: resident bytes per pending task, each side in a process of its own.
//!
//! tokio aligns a task to 128 bytes. Whether the prompts fill the gaps that this leaves depends on
//! where the heap of the process happens to stand, so every round begins at another place.

use std::env;
use std::future::pending;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bench::{Bench, Cost, runtime};
use crate::line::{Case, Target};
use crate::ours::Host;
use crate::peers;
use crate::rss::resident_bytes;
use crate::sides::{Side, Sides, Which};
use crate::words::PROMPT;
use crate::workloads::reached;

/// How many tasks are pending.
const TASKS: usize = 100_000;

/// Where a heap may stand between two borders of 128 bytes, in steps of 16.
const PHASES: usize = 8;

pub(crate) fn run(bench: &Bench) {
    if resident_bytes().is_none() {
        eprintln!("bg-bench: `memory` is left out: it reads /proc/self/status");
        return;
    }
    let sides = Sides {
        limit: in_children(Which::Limit),
        ours: in_children(Which::Ours),
        peer: peers::memory(),
    };
    bench.compare(Cost::Cheap, [case()], sides);
}

fn case() -> Case {
    Case {
        workload: "memory",
        n: TASKS,
        unit: "bytes",
        limit_is: "bare task + prompt",
        target: Target::Ratio(1.25),
    }
}

/// Measures a side in a process for each round, the heap of which begins at another place.
pub(crate) fn in_children(which: Which) -> Side<'static, 1> {
    let mut phases = (0..PHASES).cycle();
    Box::new(move || [in_a_child(which, phases.next().unwrap_or(0))])
}

/// Runs this program again for one side, so that what another one freed is not reused.
fn in_a_child(side: Which, phase: usize) -> f64 {
    let program = env::current_exe().expect("a process knows its program");
    let mut child = Command::new(program);
    child.args(["--rss", side.as_str(), &phase.to_string()]).stderr(Stdio::inherit());
    let output = child.output().expect("the program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("the child prints one number")
}

/// Measures one side in this process, with the heap moved on by so many times 16 bytes.
pub(crate) fn bytes_per_task(side: Which, phase: usize) -> f64 {
    // Longer than what the start of the process may have left free.
    std::mem::forget(black_box(vec![1_u8; 8_000 + 16 * phase]));
    runtime().block_on(async move {
        match side {
            Which::Limit => grown_by(limit).await,
            Which::Ours => grown_by(ours).await,
            Which::Peer => grown_by(peers::pending).await,
        }
    })
}

/// Starts one task to settle what is made once, then all of them, and returns the growth of the
/// process per task. What `start` returns is held until then.
async fn grown_by<T>(start: impl Fn(usize, &'static AtomicUsize) -> T) -> f64 {
    static POLLED: AtomicUsize = AtomicUsize::new(0);
    let first = start(1, &POLLED);
    reached(&POLLED, 1).await;
    let before = resident_bytes().unwrap_or(0);
    let rest = start(TASKS, &POLLED);
    reached(&POLLED, TASKS + 1).await;
    let after = resident_bytes().unwrap_or(0);
    drop((first, rest));
    after.saturating_sub(before) as f64 / TASKS as f64
}

fn ours(count: usize, polled: &'static AtomicUsize) -> Host {
    let host = Host::new();
    host.spawn_pending(count, polled);
    host
}

fn limit(count: usize, polled: &'static AtomicUsize) {
    for _ in 0..count {
        let prompt = PROMPT.to_owned();
        tokio::spawn(async move {
            polled.fetch_add(1, Ordering::Release);
            pending::<()>().await;
            drop(prompt);
        });
    }
}
