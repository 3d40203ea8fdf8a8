//! `bg run`: a team over a folder, from the plan to the report.
//!
//! Everything is checked before anything starts. Then everything that comes after nothing starts in
//! the background, and the rest as what it comes after ends; lines tell what happens, results are
//! printed as they arrive, and a report ends the run. An interrupt stops everything with two seconds
//! of grace, a second one at once.

mod board;
mod interrupt;
mod json;
mod live;
mod meter;
mod order;
mod player;
mod report;
mod rest;
mod result;
mod save;
mod screen;
mod script;
mod sessions;
mod stop;
pub(crate) mod team;
mod told;
mod transcript;
mod typed;
mod watch;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bg_agents::core::Usage;
pub(crate) use screen::{Screen, harmless};

use crate::files::Folder;
use crate::interrupt::{INTERRUPTED, LAST};
use crate::model::{Choice, ModelArgs};
use crate::plan::Plan;
use crate::secret::Secret;
use crate::{bad_input, file_tools};
use board::{Board, Place};
use meter::Meter;
use player::Player;
use result::TaskResult;
use save::Save;
use stop::{Ends, Stop};
use team::{Team, TeamError};
use tokio_util::sync::CancellationToken;
use typed::{Lines, terminal};
use watch::{Around, Watch, Watched};

/// What `bg run` was asked to do.
pub(crate) struct Options {
    pub(crate) plan: String,
    pub(crate) path: PathBuf,
    pub(crate) json: bool,
    pub(crate) model: ModelArgs,
    /// How many tokens may be spent, in and out.
    pub(crate) max_tokens: Option<NonZeroU64>,
    /// The folder for everything that comes of it.
    pub(crate) save: Option<PathBuf>,
    /// Whether commands are read also when nobody types them.
    pub(crate) commands: bool,
}

/// How a run went.
pub(crate) struct Run {
    plan: String,
    folder: PathBuf,
    /// A language model plays the agents, and its tokens are worth a column.
    has_model: bool,
    meter: Meter,
    watched: Watched,
    elapsed: Duration,
}

/// The tools that the agents of a plan may name.
pub(crate) fn tool_names() -> Vec<&'static str> {
    [&["Bash", "InvokeAgent"], &file_tools::NAMES[..], &team::TASK_TOOLS].concat()
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let plan = match Plan::load(&options.plan, &tool_names(), &options.model) {
        Ok(plan) => plan,
        Err(error) => return bad_input(&error.chain()),
    };
    let folder = match Folder::open(&options.path) {
        Ok(folder) => Arc::new(folder),
        Err(error) => return bad_input(&error),
    };
    match prepared(options, plan, folder).and_then(|job| play(job, options.json)) {
        Ok(code) => code,
        Err(error) => bad_input(&error),
    }
}

/// What is needed to begin.
struct Job {
    plan: Plan,
    folder: Arc<Folder>,
    player: Player,
    save: Option<Save>,
    commands: bool,
    secret: Secret,
}

/// The folder is made last: whatever else is wrong, nothing is left of it.
fn prepared(options: &Options, plan: Plan, folder: Arc<Folder>) -> Result<Job, TeamError> {
    let secret = plan.model.secret();
    let model = plan.model.build()?;
    let new = |path: &PathBuf| Save::new(path, secret.clone());
    let save = options.save.as_ref().map(new).transpose()?;
    let player = Player::new(model, Meter::new(options.max_tokens), save.clone());
    Ok(Job { plan, folder, player, save, commands: options.commands, secret })
}

fn play(job: Job, json: bool) -> Result<ExitCode, TeamError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(TeamError::Runtime)?;
    let (secret, save) = (job.secret.clone(), job.save.clone());
    let (mut screen, board) = stage(json, secret.clone());
    let typing = terminal::Guard::new();
    let played = runtime.block_on(play_on(job, &mut screen, board));
    drop(typing);
    let played = played.map(|run| {
        let document = if json || save.is_some() { json::document(&run) } else { String::new() };
        if let Some(save) = &save {
            save.document(&document);
        }
        // While the runtime still heeds interrupts: whoever reads may not.
        if json {
            screen = Screen::stdout().hiding(secret);
            screen.line(&document);
        } else {
            screen.text(&report::report(&run));
            if let Some(save) = &save {
                let folder = save.folder().display().to_string();
                screen.line(&format!("saved to {}", screen::one_line(&folder)));
            }
        }
        run.exit_code(screen, save.as_ref())
    });
    // Futures that are left are dropped here, and a process that is dropped is killed.
    runtime.shutdown_timeout(LAST);
    played
}

/// Where it is told what happens.
fn stage(json: bool, secret: Secret) -> (Screen, Option<Board>) {
    let stdout = || (Screen::stdout(), Board::new(Place::Stdout));
    let stderr = || (Screen::stderr(), Board::new(Place::Stderr));
    let (screen, board) = if json { stderr() } else { stdout() };
    let screen = screen.hiding(secret);
    let above = board.as_ref().map(Board::multi);
    (above.into_iter().fold(screen, Screen::above), board)
}

async fn play_on(job: Job, screen: &mut Screen, board: Option<Board>) -> Result<Run, TeamError> {
    let Job { plan, folder, player, save, commands, .. } = job;
    let began = Instant::now();
    let name = plan.name.clone();
    if let (Choice::Server(server), true) = (&plan.model, plan.ignores_scripts) {
        let name = screen::one_line(&server.name);
        screen.line(&format!("the scripts of the plan are not used: {name} plays its agents"));
    }
    let has_model = plan.model != Choice::Script;
    let meter = player.meter().clone();
    let ends = Ends { spent: meter.spent().clone(), quit: CancellationToken::new() };
    let team = Team::new(&plan, &folder, player)?;
    // Before anything is started that an interrupt has to stop.
    let interrupted = interrupt::stop_on_interrupt(team.root.clone(), ends.clone())?;
    let lines = Lines::new(commands, board.is_some());
    let around = Around { save, lines, board, has_model, ends, meter: meter.clone() };
    let watch = Watch::new(team, plan.items, around, screen);
    let watched = watch.until_over(interrupted).await;
    let (folder, elapsed) = (folder.root().to_owned(), began.elapsed());
    Ok(Run { plan: name, folder, has_model, meter, watched, elapsed })
}

impl Run {
    /// How many tasks failed or could not be started.
    fn failed(&self) -> usize {
        let failed = self.watched.results.iter().filter(|result| result.failed()).count();
        failed + self.watched.not_started.len()
    }

    /// What all of it has cost: also what no result tells of, since its task was aborted.
    fn usage(&self) -> Usage {
        let mut all = self.meter.usage();
        all.tool_calls = self.watched.results.iter().map(|result| result.usage().tool_calls).sum();
        all
    }

    /// Why it was stopped. That the last tokens were spent counts also when the last task came to
    /// its end with them: whether it did is a matter of chance.
    fn stop(&self) -> Option<Stop> {
        self.watched.stop.or_else(|| self.meter.spent().is_cancelled().then_some(Stop::Tokens))
    }

    fn exit_code(&self, screen: Screen, save: Option<&Save>) -> ExitCode {
        if self.stop() == Some(Stop::Interrupt) {
            return ExitCode::from(INTERRUPTED);
        }
        if let Some(error) = screen.error() {
            Screen::stderr().line(&format!("bg: cannot write the report: {error}"));
            return ExitCode::FAILURE;
        }
        if let Some(problem) = save.and_then(Save::problem) {
            Screen::stderr().line(&harmless(&format!("bg: cannot save everything: {problem}")));
            return ExitCode::FAILURE;
        }
        if self.stop().is_some() || self.failed() > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}
