//! `cargo xtask mcp-volume`: 100,000 calls on one connection of `bg mcp` and 1,000 connections, and
//! what is in the server's memory meanwhile.
//!
//! These are tests of bg-cli, which a test run plays with fewer; here they are optimized.

use crate::repo::{Repo, Result};

const RUN: &str = "test --quiet --release -p bg-cli --test mcp_memory_is_flat -- --nocapture \
                   --test-threads 1 leave_nothing";

const VOLUME: [(&str, &str); 2] = [("BG_CALLS", "100000"), ("BG_CONNECTIONS", "1000")];

pub(crate) fn run(repo: &Repo) -> Result {
    Ok(repo.cargo(RUN).envs(VOLUME).run()?)
}
