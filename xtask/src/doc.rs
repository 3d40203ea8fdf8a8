//! `cargo xtask doc`: red on any rustdoc warning, over what a user of the crates can see.

use crate::repo::{Repo, Result};

pub(crate) fn run(repo: &Repo) -> Result {
    let doc = repo.cargo("doc --workspace --no-deps --all-features");
    Ok(doc.env("RUSTDOCFLAGS", "-D warnings").run()?)
}
