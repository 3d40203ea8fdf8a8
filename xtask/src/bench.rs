//! `cargo xtask bench [FILTER] [--quick] [--peers]`: measures bg-core, one JSON line a workload and
//! size on stdout.
//!
//! The benchmarks are a workspace of their own, so that nothing here depends on the peers. Those
//! are compiled for `--peers` alone.

use crate::repo::{Repo, Result};

const RUN: &str = "run --quiet --release --manifest-path crates/bg-bench/Cargo.toml";

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    let (peers, rest): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--peers");
    let mut bench = repo.cargo(RUN);
    if !peers.is_empty() {
        // The rust-version that a peer states is newer than what it needs.
        bench = bench.args(["--features", "peers", "--ignore-rust-version"]);
    }
    Ok(bench.arg("--").args(rest).run()?)
}
