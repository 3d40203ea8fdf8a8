//! One binary for the tests that need none of their own: linking each by itself takes longer than
//! compiling it. `cargo xtask tidy` sees to it that none is forgotten.

mod model;
mod support;
#[path = "support/world.rs"]
mod support_world;

mod bound_handles;
mod breakdown;
mod closing;
mod completers;
mod corners;
mod counters;
mod deadlines;
mod delivery;
mod determinism;
mod driver;
mod events;
mod foreground;
mod forgetting;
mod handles;
mod idle_wake;
mod ids;
mod late_ends;
mod leftovers;
mod limits;
mod machine_prop;
mod mailboxes;
mod outcomes;
mod output_follow;
mod output_log;
mod output_quota;
mod output_search;
mod output_segments;
mod owner_end;
mod pages;
mod parents_and_admin;
mod reentrancy;
mod registry_drop;
mod reports;
mod retention;
mod scale;
mod slots;
mod stopping;
mod text_cut;
mod told_at_once;
mod views;
mod waits;
mod walls;
mod watching;
