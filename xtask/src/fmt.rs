//! `cargo xtask fmt`: red when a file is not formatted; changes nothing.

use crate::repo::{Repo, Result};

pub(crate) fn run(repo: &Repo) -> Result {
    Ok(repo.cargo("fmt --all --check").run()?)
}
