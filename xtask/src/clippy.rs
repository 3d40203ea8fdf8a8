//! `cargo xtask clippy`: red on any warning, in tests, examples and benches too.

use crate::features;
use crate::repo::{Repo, Result};

pub(crate) fn run(repo: &Repo) -> Result {
    let scope = features::workspace(repo)?;
    Ok(repo.cargo(&format!("clippy {scope} --all-targets -- -D warnings")).run()?)
}
