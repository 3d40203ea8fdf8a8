//! Stands in for each workload that needs Linux.

#![allow(clippy::duplicate_mod, reason = "all of them are left out the same way")]

use crate::bench::Bench;

pub(crate) use self::{run as bare, run as guard, run as subreaper};

pub(crate) fn run(_: &Bench) {
    let name = module_path!().rsplit("::").next().unwrap_or_default();
    eprintln!("bg-bench: `{name}` is left out: it needs Linux");
}
