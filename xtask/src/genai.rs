//! `cargo xtask genai`: the checks of what the feature `genai` adds, which no other command builds.
//!
//! The tests of the two crates that have it run with it, so what it turns on in other crates is seen
//! not to break them.

use crate::repo::{Repo, Result};
use crate::test;

const SCOPE: &str = "-p bg-models -p bg-cli --features bg-models/genai,bg-cli/genai";

pub(crate) fn run(repo: &Repo) -> Result {
    let clippy = format!("clippy {SCOPE} --all-targets -- -D warnings");
    repo.cargo(&clippy).run()?;
    test::tests_and_doctests(repo, SCOPE, &[])?;
    let doc = repo.cargo("doc -p bg-models --no-deps --features genai");
    Ok(doc.env("RUSTDOCFLAGS", "-D warnings").run()?)
}
