//! Measures `bg-core` and `bg-process`: each workload beside the cheapest way to do the same work with bare parts
//! (the limit), and beside published peers when they are compiled in.
//!
//! Prints one JSON line per workload and size on stdout and nothing else. The exit status is 1
//! when a line misses its target, 2 when nothing could be measured.

mod args;
#[cfg(target_os = "linux")]
mod ballast;
mod bench;
mod clock;
#[cfg_attr(not(target_os = "linux"), path = "no_errands.rs")]
mod errand;
mod line;
mod ours;
#[cfg_attr(not(feature = "peers"), path = "no_peers.rs")]
mod peers;
mod rss;
mod samples;
mod sides;
mod words;
mod workloads;

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::bench::Bench;

fn main() -> ExitCode {
    bg_process::guard_main();
    match Args::parse(std::env::args().skip(1)) {
        Ok(Command::Measure(args)) => measure(&args),
        Ok(Command::Rss(side, phase)) => {
            println!("{}", workloads::memory::bytes_per_task(side, phase));
            ExitCode::SUCCESS
        }
        Ok(Command::Run(errand)) => errand.run(),
        Err(error) => refuse(&error),
    }
}

fn measure(args: &Args) -> ExitCode {
    let bench = Bench::new(args.quick);
    let chosen: Vec<_> = workloads::ALL.iter().filter(|(name, _)| args.wants(name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = workloads::ALL.iter().map(|(name, _)| *name).collect();
        return refuse(&format!("no workload is called that; there are: {}", names.join(", ")));
    }
    for (_, run) in chosen {
        run(&bench);
    }
    if bench.all_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refuse(error: &str) -> ExitCode {
    eprintln!("bg-bench: {error}");
    ExitCode::from(2)
}
