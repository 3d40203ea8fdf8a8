//! `cargo xtask test [ARGS...]`: all tests, then the doctests, which nextest does not run.
//!
//! - Without ARGS the models come first: the random driver, loom, shuttle, the sequences of a
//!   scripted model, each with its figure.
//! - The doctests run even when a test failed: one run tells everything.
//! - What the tests will skip because it is not installed is said before them.
//! - Red when either part is red.
//! - When all is green the last lines are the runners' own summaries.

use crate::repo::{Repo, Result};
use crate::{features, loom, prop, script, setup, shuttle};

const NEXTEST: &str = "nextest run";
const CARGO_TEST: &str = "test --all-targets";

pub(crate) fn run(repo: &Repo, args: &[String]) -> Result {
    if args.is_empty() {
        models(repo)?;
    }
    tests_and_doctests(repo, &features::workspace(repo)?, args)
}

/// Runs the tests, then the doctests, of the crates and with the features that `scope` names.
pub(crate) fn tests_and_doctests(repo: &Repo, scope: &str, args: &[String]) -> Result {
    setup::tell_missing(repo)?;
    let (runner, command) = runner(repo);
    println!("tests run under {runner}");
    let tests = repo.cargo(&format!("{command} {scope}")).args(args).run();
    let doctests = repo.cargo(&format!("test --doc {scope}")).run();
    match (tests, doctests) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(_), Ok(())) => Err(format!("the tests failed under {runner}").into()),
        (Ok(()), Err(_)) => Err("the doctests failed".into()),
        (Err(_), Err(_)) => {
            Err(format!("the tests failed under {runner}, the doctests too").into())
        }
    }
}

/// What is not about one test but about volume.
fn models(repo: &Repo) -> Result {
    prop::run(repo, &[])?;
    loom::run(repo)?;
    shuttle::run(repo, &[])?;
    script::run(repo, &[])
}

fn runner(repo: &Repo) -> (&'static str, &'static str) {
    let version = repo.cargo("nextest --version").quiet().ignore_stderr();
    match version.read() {
        Ok(_) => ("cargo nextest", NEXTEST),
        Err(_) => ("cargo test (cargo nextest is not installed)", CARGO_TEST),
    }
}
