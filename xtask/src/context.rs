//! `cargo xtask context`: what background work costs in a model's context, as tables of tokens.
//!
//! The tables are printed by tests of the facade, which hold their bounds; `test` runs them too.

use crate::repo::{Repo, Result};

const RUN: &str = "test --quiet -p bg-agents --all-features --test context_economy -- --nocapture \
                   --test-threads 1";

pub(crate) fn run(repo: &Repo) -> Result {
    Ok(repo.cargo(RUN).run()?)
}
