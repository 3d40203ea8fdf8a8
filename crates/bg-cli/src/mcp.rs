//! `bg mcp`: background work for an MCP host, over standard input and output or HTTP.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bg_agents::core::CloseReport;
use bg_agents::process::Bash;
use bg_agents::sessions::Models;
use bg_agents::{Background, BackgroundBuilder, Tool};
use bg_mcp::{Http, OnDisconnect, ServeError, Server, Token};
use clap::ValueEnum;

use crate::file_tools::{self, file_tools};
use crate::files::Folder;
use crate::interrupt::{GRACE, INTERRUPTED, Interrupts, LAST, close};
use crate::model::ModelArgs;
use crate::plan::Plan;
use crate::run::{Screen, harmless, tool_names};
use crate::{bad_input, run};

/// What `bg mcp` was asked to do.
#[derive(clap::Args)]
pub(crate) struct McpArgs {
    /// The folder that commands run in, and that agents work on.
    #[arg(long, default_value = ".")]
    path: PathBuf,
    /// Offer the agents of a plan: a TOML file, or the name of a built-in plan. Its tasks are not run.
    #[arg(long)]
    plan: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Offer these tools only, such as `Bash,WaitTask`; `SA_*` stands for all that begin so.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    allow: Vec<String>,
    /// What becomes of what runs when the client on standard input has gone.
    #[arg(long, value_enum, default_value_t = Leaving::Stop, conflicts_with = "http")]
    on_disconnect: Leaving,
    /// Listen for HTTP, such as on `127.0.0.1:8737`, and serve any number of clients.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// The environment variable that holds a client's token. Once for each client: each has tasks of its
    /// own. Needed to listen elsewhere than on this machine.
    #[arg(long, value_name = "VAR", requires = "http")]
    token_env: Vec<String>,
    /// A name by which clients may reach this server, beside that of its address.
    #[arg(long, value_name = "HOST", requires = "http")]
    allow_host: Vec<String>,
    /// An origin whose pages may call this server, such as `http://localhost:6274`.
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    allow_origin: Vec<String>,
    /// Stop what a client over HTTP has started when it has asked nothing for so many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 3600, requires = "http",
        value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    idle: u64,
    /// Keep a task of the Tasks extension for so many seconds: then its result is gone, or it is stopped.
    #[arg(long, value_name = "SECS", default_value_t = 3600,
        value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    task_ttl: u64,
}

/// What becomes of what runs when the client has gone.
#[derive(Clone, Copy, ValueEnum)]
enum Leaving {
    /// It is stopped, with two seconds of grace.
    Stop,
    /// It goes on, and `bg` with it, until the last of it has ended.
    Finish,
}

/// What cannot be served, in words.
type Problem = Box<dyn Error + Send + Sync>;

/// Agents that nothing plays.
#[derive(Debug, thiserror::Error)]
#[error(
    "what plays the agents of the plan? Add --model openai:NAME and --base-url URL, or [model] to the plan"
)]
struct NoModel;

/// A model that plays nothing.
#[derive(Debug, thiserror::Error)]
#[error("a model plays the agents of a plan: add --plan")]
struct NoPlan;

pub(crate) fn serve(args: &McpArgs) -> ExitCode {
    match prepared(args).and_then(|server| play(&server, args)) {
        Ok(code) => code,
        Err(problem) => bad_input(&problem),
    }
}

/// Everything is checked before anything is served.
fn prepared(args: &McpArgs) -> Result<Server, Problem> {
    let folder = Arc::new(Folder::open(&args.path)?);
    let mut hidden = args.token_env.clone();
    let mut background = Background::builder();
    if args.plan.is_none() && args.model.is_given() {
        return Err(NoPlan.into());
    }
    if let Some(name) = &args.plan {
        let plan = Plan::load_agents(name, &tool_names(), &args.model);
        let plan = plan.map_err(|error| error.chain())?;
        hidden.extend(plan.model.key_variable().map(str::to_owned));
        background = with_agents(background, plan, &folder)?;
    }
    let bash = Bash::new(folder.root()).hiding(hidden);
    let background = background.tools([Arc::new(bash) as Arc<dyn Tool>]).build()?;
    let server = Server::builder(background)
        .idle(Duration::from_secs(args.idle))
        .task_ttl(Duration::from_secs(args.task_ttl));
    let server = if args.allow.is_empty() {
        server.deny(file_tools::NAMES)
    } else {
        server.allow(&args.allow)
    };
    Ok(server.build()?)
}

/// Adds the agents, and the tools that they may have: a host has its own for files.
fn with_agents(
    background: BackgroundBuilder,
    plan: Plan,
    folder: &Arc<Folder>,
) -> Result<BackgroundBuilder, Problem> {
    let model = plan.model.build()?.ok_or(NoModel)?;
    let background = background.models(Models::new("model", model)).agents(plan.agents);
    Ok(background.manage_agents().tools(file_tools(folder)))
}

fn play(server: &Server, args: &McpArgs) -> Result<ExitCode, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let played = runtime.block_on(play_on(server, args));
    // A read of standard input may be left on a thread.
    runtime.shutdown_timeout(LAST);
    played
}

async fn play_on(server: &Server, args: &McpArgs) -> Result<ExitCode, Problem> {
    // Before anything can be started that an interrupt has to stop.
    let mut interrupts = Interrupts::new()?;
    let mut server_ends = std::pin::pin!(serving(server, args));
    let ended = tokio::select! {
        ended = &mut server_ends => ended,
        () = interrupts.next() => {
            let closing = close(&mut interrupts, |grace| server.close(grace));
            let mut closing = std::pin::pin!(closing);
            // What is answered meanwhile is still written.
            let reports = tokio::select! {
                (reports, _) = &mut closing => reports,
                _ = &mut server_ends => closing.await.0,
            };
            tell(&reports);
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    tell(&server.close(GRACE).await);
    match ended? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            Screen::stderr().line(&harmless(&format!("bg: {error}")));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What cannot be begun is one error, what does not come to its end another.
async fn serving(server: &Server, args: &McpArgs) -> Result<Result<(), ServeError>, Problem> {
    let Some(address) = args.http else {
        let on_disconnect = match args.on_disconnect {
            Leaving::Stop => OnDisconnect::Stop { grace: GRACE },
            Leaving::Finish => OnDisconnect::Finish,
        };
        return Ok(server.serve_stdio(on_disconnect).await);
    };
    let tokens = args.token_env.iter().map(|variable| Token::of_variable(variable));
    let http = Http::new(address)
        .tokens(tokens.collect::<Result<Vec<_>, _>>()?)
        .hosts(&args.allow_host)
        .origins(&args.allow_origin);
    let listening = server.listen(http).await?;
    run::Screen::stderr().line(&format!("bg: listening on {}", listening.url()));
    Ok(listening.serve().await)
}

/// Says what would not end.
fn tell(reports: &[CloseReport]) {
    for task in reports.iter().flat_map(|report| &report.unresponsive) {
        Screen::stderr().line(&format!("bg: {task} would not end"));
    }
}
