//! `capture`: the output of a process goes into a bounded log; the time, and how far the host's
//! memory rises.
//!
//! Each side and round is a process of its own: what another one freed is not reused, and its peak
//! is not seen. The output is written by this program, in blocks of 64 KiB: lines of 80 bytes, or
//! one line without an end. The time is that from the start of the writer until it is reaped and
//! all that it wrote has come in.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Cost, watching_runtime};
use crate::line::{Case, Target};
use crate::ours::processes::{Held, Starter, log_cap};
use crate::peers;
use crate::rss::Peak;
use crate::sides::{Side, Sides, Which};
use crate::workloads::proc_exit::this_program;

mod produce;
mod splice;

pub(crate) use produce::{PRODUCE, Shape};

/// The hidden argument before a side, a shape and a number of bytes.
pub(crate) const CAPTURE: &str = "--capture";

const BYTES: usize = 512 << 20;
const BYTES_QUICK: usize = 128 << 20;

pub(crate) fn run(bench: &Bench) {
    let bytes = if bench.quick { BYTES_QUICK } else { BYTES };
    let names = [
        (Shape::Lines, "capture", "capture_rss"),
        (Shape::Endless, "capture_endless", "capture_endless_rss"),
    ];
    for (shape, time, rss) in names {
        let sides = sides(shape, bytes);
        bench.compare(Cost::Cheap, [time_case(time, bytes), rss_case(rss, bytes)], sides);
    }
}

/// The sides for output of a shape.
pub(crate) fn sides(shape: Shape, bytes: usize) -> Sides<'static, 2> {
    Sides {
        limit: in_children(Which::Limit, shape, bytes),
        ours: in_children(Which::Ours, shape, bytes),
        peer: peers::capture(shape, bytes),
    }
}

fn time_case(workload: &'static str, n: usize) -> Case {
    Case { workload, n, unit: "ms", limit_is: LIMIT_IS, target: Target::Ratio(1.5) }
}

/// The line about memory: the cap of the log, and 4 MiB.
pub(crate) fn rss_case(workload: &'static str, n: usize) -> Case {
    let target = Target::Ours((log_cap() + (4 << 20)) as f64);
    Case { workload, n, unit: "bytes", limit_is: LIMIT_IS, target }
}

const LIMIT_IS: &str = "splice to /dev/null";

/// Measures a side in a process for each round.
pub(crate) fn in_children(side: Which, shape: Shape, bytes: usize) -> Side<'static, 2> {
    Box::new(move || {
        let mut child = Command::new(this_program());
        child.args([CAPTURE, side.as_str(), shape.as_str(), &bytes.to_string()]);
        let output = child.stderr(Stdio::inherit()).output().expect("the program starts again");
        figures(&String::from_utf8_lossy(&output.stdout))
    })
}

fn figures(text: &str) -> [f64; 2] {
    let (ms, bytes) = text.trim().split_once(' ').expect("the child prints two numbers");
    [ms, bytes].map(|word| word.parse().expect("the child prints numbers"))
}

/// Measures one side in this process: milliseconds, and the bytes by which its memory rose.
pub(crate) fn measured(side: Which, shape: Shape, bytes: usize) -> String {
    let (time, growth) = match side {
        Which::Limit => rising(|bytes| splice::to_null(shape, bytes), bytes),
        Which::Ours => on_worker(move |bytes| ours(shape, bytes), bytes),
        Which::Peer => on_worker(move |bytes| peers::captured(shape, bytes), bytes),
    };
    format!("{} {growth}", time.as_secs_f64() * 1e3)
}

/// Captures nothing to settle what is made once, then all.
fn rising(capture: impl Fn(usize), bytes: usize) -> (Duration, usize) {
    capture(0);
    let peak = Peak::start();
    let start = Instant::now();
    capture(bytes);
    (start.elapsed(), peak.growth())
}

/// Captures as a task of a runtime like that of the other workloads.
fn on_worker<F>(capture: impl Fn(usize) -> F, bytes: usize) -> (Duration, usize)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = watching_runtime();
    let capture = |bytes| runtime.block_on(runtime.spawn(capture(bytes)));
    rising(|bytes| capture(bytes).expect("no side panics"), bytes)
}

async fn ours(shape: Shape, bytes: usize) {
    let starter = Starter::new(Held::Best);
    let id = starter.spawn(&this_program(), &shape.args(bytes));
    starter.one_ended().await;
    assert_eq!(starter.written(id), bytes as u64);
}
