//! `bg`: background agents and processes over a folder.

mod file_tools;
mod files;
mod interrupt;
#[cfg(feature = "mcp")]
mod mcp;
mod model;
mod plan;
mod run;
mod secret;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use plan::BUILTIN;

/// The exit status for input that cannot be run.
const BAD_INPUT: u8 = 2;

/// Runs background agents and processes over a folder.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a plan: a TOML file, or the name of a built-in plan.
    ///
    /// Everything in a plan starts at once, except what comes `after` others. An agent is told their
    /// results behind its prompt. A task or a process is not started when one of those failed, was
    /// stopped or was not started; a prompt of a session is asked all the same, and told. What was
    /// not started counts as failed.
    ///
    /// The exit status is 0 when all went well, 1 when something failed, 2 when the plan or the
    /// folder cannot be used, 130 when the run was interrupted.
    Run(RunArgs),
    /// Serve background work to an MCP host: shell commands, and the agents of a plan.
    ///
    /// Without --http it speaks with one client on standard input and output, and ends with it. See
    /// `docs/guides/mcp.md` for what to write into the configuration of a host.
    ///
    /// The exit status is 0 when the client has gone, 1 when the connection broke, 2 when an option
    /// cannot be used, 130 when it was interrupted.
    #[cfg(feature = "mcp")]
    Mcp(mcp::McpArgs),
    /// List the built-in plans, or show one to start from.
    Plans {
        #[command(subcommand)]
        command: Option<PlansCommand>,
    },
}

#[derive(clap::Args)]
struct RunArgs {
    /// A TOML file, or the name of a built-in plan.
    plan: String,
    /// The folder to work on.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Print one JSON document at the end, and everything else on standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: model::ModelArgs,
    /// End the run, as failed, when so many tokens were spent, in and out.
    #[arg(long, value_name = "N")]
    max_tokens: Option<NonZeroU64>,
    /// Save outputs, traces, what models were asked and said, and the JSON document, as files of a
    /// new or empty folder.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Read commands from the standard input also when it is no terminal: `/status`, `/steer 3 TEXT`,
    /// `/stop 3`, `/cancel 3`, `/quit`.
    #[arg(long)]
    commands: bool,
}

#[derive(Subcommand)]
enum PlansCommand {
    /// Print a built-in plan.
    Show {
        /// Its name.
        name: String,
    },
}

fn main() -> ExitCode {
    // Before everything else: what a killed `bg` has started is ended by its guard.
    bg_agents::process::guard_main();
    match Cli::parse().command {
        Command::Run(RunArgs { plan, path, json, model, max_tokens, save, commands }) => {
            run::run(&run::Options { plan, path, json, model, max_tokens, save, commands })
        }
        #[cfg(feature = "mcp")]
        Command::Mcp(args) => mcp::serve(&args),
        Command::Plans { command: None } => list_plans(),
        Command::Plans { command: Some(PlansCommand::Show { name }) } => show_plan(&name),
    }
}

fn list_plans() -> ExitCode {
    let row = |(name, text)| format!("{name}: {}\n", plan::description(text));
    print(&BUILTIN.map(row).concat())
}

fn show_plan(name: &str) -> ExitCode {
    match BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        Some((_, text)) => print(text),
        None => bad_input(&format!("there is no built-in plan \"{name}\"; see `bg plans`")),
    }
}

fn print(text: &str) -> ExitCode {
    let mut screen = run::Screen::stdout();
    screen.text(text);
    match screen.error() {
        Some(error) => {
            run::Screen::stderr().line(&format!("bg: cannot write: {error}"));
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Says what is wrong, in one message, with its causes.
fn bad_input(problem: &dyn std::fmt::Display) -> ExitCode {
    // A plan, or a path, may hold anything.
    run::Screen::stderr().line(&run::harmless(&format!("bg: {problem}")));
    ExitCode::from(BAD_INPUT)
}
