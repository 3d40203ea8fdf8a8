//! `cargo xtask clippy`: red on any warning, in tests, examples and benches too.

use crate::repo::{Repo, Result};

pub(crate) fn run(repo: &Repo) -> Result {
    let line = "clippy --workspace --all-targets --all-features -- -D warnings";
    Ok(repo.cargo(line).run()?)
}
