//! `cargo xtask loom`: every order of the registry's locks, for a few threads at a time.

use crate::models::{self, Models};
use crate::repo::{Repo, Result};

pub(crate) const LOOM: Models = Models {
    name: "loom",
    packages: &["bg-core"],
    test: "loom",
    cfg: Some("bg_loom"),
    things: "executions",
};

pub(crate) fn run(repo: &Repo) -> Result {
    models::run(repo, &LOOM, &[], "cargo xtask loom")
}
