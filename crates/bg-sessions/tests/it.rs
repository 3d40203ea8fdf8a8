//! One binary for the tests that need none of their own: linking each by itself takes longer than
//! compiling it. `cargo xtask tidy` sees to it that none is forgotten.

mod common;
#[path = "common/random.rs"]
mod common_random;
#[path = "common/sessions.rs"]
mod common_sessions;

mod a_model_manages_agents;
mod an_agent_is_called_with_plain_text;
mod answers_are_of_the_schema;
mod any_model;
mod background_work;
mod compaction;
mod definitions;
mod definitions_are_kept_in_a_folder;
mod faults_of_long_sessions;
mod faults_of_what_sessions_start;
mod faults_that_other_runs_have;
mod faults_that_other_sessions_have;
mod hooks;
mod idle_ends_race;
mod invoke_agent;
mod retrying;
mod run_loop;
mod scripts;
mod session_control;
mod sessions;
mod sessions_that_rest;
mod stopping;
mod summaries_ahead;
mod summaries_of_any_kind;
