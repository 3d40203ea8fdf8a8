//! `cargo xtask prop [--seed N] [--count N]`: random operations on the registry and on a reference.
//!
//! A failure prints, above the command that repeats the whole, the one that repeats it alone.

use crate::models::{self, Models, Volume};
use crate::repo::{Repo, Result};

const PROP: Models = Models {
    name: "prop",
    packages: &["bg-core"],
    test: "machine_random",
    cfg: None,
    things: "operations",
};

/// Operations of a test run.
const DEFAULT: Volume = Volume { seed: 1, count: 10_000_000 };

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    let Volume { seed, count } = DEFAULT.read(args)?;
    let vars = [("BG_PROP_SEED", seed), ("BG_PROP_COUNT", count)];
    let repeat = format!("cargo xtask prop --seed {seed} --count {count}");
    models::run(repo, &PROP, &vars, &repeat)
}
