//! `cargo xtask ci`: every step in order, up to the first failure.
//!
//! The last line on stdout sums up the steps that ran, with their times.

use std::time::Instant;

use crate::repo::{Repo, Result};
use crate::{clippy, doc, fmt, layers, test, tidy};

type Step = fn(&Repo) -> Result;

/// The steps in the order in which they run; each is a command of its own as well.
pub(crate) const STEPS: &[(&str, Step)] = &[
    ("fmt", fmt::run),
    ("clippy", clippy::run),
    ("test", |repo| test::run(repo, &[])),
    ("doc", doc::run),
    ("layers", layers::run),
    ("tidy", tidy::run),
];

pub(crate) fn run(repo: &Repo) -> Result {
    let mut times = Vec::new();
    let result = STEPS.iter().try_for_each(|(name, step)| timed(repo, name, *step, &mut times));
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!("ci: {verdict}: {}", times.join(", "));
    result
}

fn timed(repo: &Repo, name: &str, step: Step, times: &mut Vec<String>) -> Result {
    println!("== {name}");
    let start = Instant::now();
    let result = step(repo);
    times.push(format!("{name} {:.1}s", start.elapsed().as_secs_f64()));
    result
}
