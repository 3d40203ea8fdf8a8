//! `cargo xtask doc`: red on any rustdoc warning, over what a user of the crates can see.

use crate::features;
use crate::repo::{Repo, Result};

pub(crate) fn run(repo: &Repo) -> Result {
    let doc = repo.cargo(&format!("doc --no-deps {}", features::workspace(repo)?));
    Ok(doc.env("RUSTDOCFLAGS", "-D warnings").run()?)
}
