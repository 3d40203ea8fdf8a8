//! `cargo xtask shuttle [--seed N] [--count N]`: random orders of larger mixes of threads.

use crate::models::{self, Models, Volume};
use crate::repo::{Repo, Result};

const SHUTTLE: Models = Models {
    name: "shuttle",
    packages: &["bg-core", "bg-sessions"],
    test: "shuttle",
    cfg: Some("bg_shuttle"),
    things: "executions",
};

/// Executions of a test run for each crate, both schedulers together.
const DEFAULT: Volume = Volume { seed: 1, count: 100_000 };

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    let Volume { seed, count } = DEFAULT.read(args)?;
    let vars = [("BG_SHUTTLE_SEED", seed), ("BG_SHUTTLE_COUNT", count)];
    let repeat = format!("cargo xtask shuttle --seed {seed} --count {count}");
    models::run(repo, &SHUTTLE, &vars, &repeat)
}
