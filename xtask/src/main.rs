//! `cargo xtask <command>`: the checks of this repository, the same ones on a laptop and in CI.
//!
//! - Every command works from any directory inside the repository.
//! - A command that found something wrong exits with a non-zero code.
//! - This file only dispatches: each command is a file of its own, and `ci` is every step in order.

use std::env;
use std::process::ExitCode;

use crate::repo::{Repo, Result};

mod bench;
mod ci;
mod clippy;
mod context;
mod doc;
mod features;
mod fmt;
mod fuzz;
mod genai;
mod killer;
mod layers;
mod loom;
mod mcp_volume;
mod models;
mod planted;
mod prop;
mod repo;
mod script;
mod setup;
mod shuttle;
mod test;
mod tidy;

const USAGE: &str = "\
usage: cargo xtask <command>

  fmt           check the formatting
  clippy        lint every target, warnings are errors
  test [ARGS]   run the four below, all tests and the doctests; with ARGS, which go to the test
                runner, the tests and the doctests alone
  prop, shuttle [--seed N] [--count N]
                random operations against a reference; random orders of many threads
  loom          every order of the locks for a few threads
  script [--length N | --sequence A,B,...] [--count N [--seed N]]
                all sequences of what a model can do, against runs of an agent
  doc           build the documentation, warnings are errors
  layers        check which crate depends on which
  tidy          check the text of sources and documents
  ci            all of the above, in this order, up to the first failure
  planted [NAME]
                put bugs into bg-core on purpose and show that its tests find them
  killer [--points N] [--seed N] [--double]
                kill hosts, or hosts and guards, and look for what is left of their processes
  fuzz [--smoke | --seconds N] [--seed N] [--count N]
                call all tools with any bytes
  mcp-volume    make 100,000 calls and 1,000 connections to `bg mcp`, and look at its memory
  setup-model, setup-clients
                install what the tests of bg-models and of `bg mcp` run against: a small model with
                its server; a mock of servers, the MCP SDK for Python and the MCP Inspector
  serve-model   run that server until its input ends; prints its address
  genai         lint and test what the feature `genai` adds, which no other command builds
  context       show what background work costs in a model's context, in tokens
  bench [FILTER] [--quick] [--peers]
                measure against the limits, and the peers; one JSON line each
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result {
    let (command, rest) = match args {
        [] => ("help", args),
        [command, rest @ ..] => (command.as_str(), rest),
    };
    match (command, rest) {
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        ("test", runner_args) => test::run(&Repo::open()?, runner_args),
        ("bench", bench_args) => bench::run(&Repo::open()?, bench_args),
        ("loom", []) => loom::run(&Repo::open()?),
        ("shuttle", args) => shuttle::run(&Repo::open()?, args),
        ("prop", args) => prop::run(&Repo::open()?, args),
        ("script", args) => script::run(&Repo::open()?, args),
        ("fuzz", args) => fuzz::run(&Repo::open()?, args),
        ("setup-model", []) => setup::model(&Repo::open()?),
        ("setup-clients", []) => setup::clients(&Repo::open()?),
        ("serve-model", []) => setup::serve(&Repo::open()?),
        ("genai", []) => genai::run(&Repo::open()?),
        ("mcp-volume", []) => mcp_volume::run(&Repo::open()?),
        ("context", []) => context::run(&Repo::open()?),
        ("killer", args) => killer::run(&Repo::open()?, args),
        ("planted", []) => planted::run(&Repo::open()?, None),
        ("planted", [name]) => planted::run(&Repo::open()?, Some(name)),
        ("ci", []) => ci::run(&Repo::open()?),
        (name, []) => step(name),
        (name, [extra, ..]) => Err(format!("`{name}` takes no argument `{extra}`\n{USAGE}").into()),
    }
}

fn step(name: &str) -> Result {
    let unknown = || format!("no command `{name}`\n{USAGE}");
    let (_, run) = ci::STEPS.iter().find(|(step, _)| *step == name).ok_or_else(unknown)?;
    run(&Repo::open()?)
}
