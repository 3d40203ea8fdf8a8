//! All sequences of what a model can do: whatever it does, a run ends as it has to, within its bounds,
//! and leaves nothing behind; a session answers for every prompt, and goes on.
//!
//! `cargo xtask script` runs this for volume. `BG_LENGTH` says up to which length all sequences are
//! played, `BG_COUNT` and `BG_SEED` play so many of just that length instead, `BG_SEQUENCE` plays one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod behaviour;
mod play;
mod reference;
mod session;

use std::env;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use behaviour::{Behaviour, Sequence};
use bg_sessions::Agents;
use play::{Played, host, play};
use session::play_session;
use tokio::runtime::{Builder, Runtime};

/// How long sequences are where nobody says: a thousand are played in a second.
const LENGTH: usize = 3;

/// What comes before a sequence: nothing, or two large turns, after which a summary is what the model
/// is asked for first.
const SCENES: [&[Behaviour]; 2] = [&[], &[Behaviour::Rambles, Behaviour::Rambles]];

/// The name of a thread whose panics are counted and not printed.
const PLAYER: &str = "player";

/// Which sequences are played.
enum Plan {
    /// All of them, the short ones first.
    All {
        length: usize,
    },
    /// Any of one length.
    Some {
        length: usize,
        count: u64,
        seed: u64,
    },
    One(Sequence),
}

impl Plan {
    fn from_env() -> Self {
        if let Some(sequence) = var("BG_SEQUENCE") {
            return Self::One(sequence);
        }
        let length = var("BG_LENGTH").unwrap_or(LENGTH);
        match var("BG_COUNT") {
            Some(count) => Self::Some { length, count, seed: var("BG_SEED").unwrap_or(1) },
            None => Self::All { length },
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::All { length } => (1..=*length).map(of_length).sum(),
            Self::Some { count, .. } => *count,
            Self::One(_) => 1,
        }
    }

    fn sequence(&self, mut index: u64) -> Sequence {
        match self {
            Self::All { .. } => {
                let mut length = 1;
                while index >= of_length(length) {
                    index -= of_length(length);
                    length += 1;
                }
                Sequence::numbered(length, index)
            }
            Self::Some { length, seed, .. } => {
                Sequence::numbered(*length, random(seed.wrapping_add(index)) % of_length(*length))
            }
            Self::One(sequence) => sequence.clone(),
        }
    }
}

fn of_length(length: usize) -> u64 {
    10_u64.pow(length.try_into().unwrap())
}

/// Splitmix64.
fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn var<T: FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<T> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

/// What many sequences came to.
#[derive(Default)]
struct Tally {
    runs: u64,
    requests: usize,
    summaries: usize,
    compacted: u64,
    used_up: u64,
    failures: u64,
    /// The one with the lowest number, which is a shortest one.
    first: Option<(u64, String)>,
}

impl Tally {
    fn count(&mut self, played: Played) {
        self.runs += 1;
        self.requests += played.requests;
        self.summaries += played.summaries;
        self.compacted += u64::from(played.summaries > 0);
        self.used_up += u64::from(played.is_used_up);
    }

    fn fail(&mut self, index: u64, problem: String) {
        self.failures += 1;
        if self.first.as_ref().is_none_or(|(first, _)| index < *first) {
            self.first = Some((index, problem));
        }
    }

    fn add(mut self, other: Self) -> Self {
        self.runs += other.runs;
        self.requests += other.requests;
        self.summaries += other.summaries;
        self.compacted += other.compacted;
        self.used_up += other.used_up;
        let failures = self.failures + other.failures;
        if let Some((index, problem)) = other.first {
            self.fail(index, problem);
        }
        self.failures = failures;
        self
    }
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Plays a sequence in every scene, and in a session, each in a time and a registry of its own.
fn play_all_scenes(agents: &Agents, sequence: &Sequence, tally: &mut Tally) -> Result<(), String> {
    for scene in SCENES {
        let behaviours = [scene, &sequence.0].concat();
        let run = || paused().block_on(play(agents, &behaviours));
        let played = catch_unwind(AssertUnwindSafe(run));
        let played = played.unwrap_or_else(|_| Err("a check panicked".to_owned()));
        tally.count(played.map_err(|problem| format!("{behaviours:?}: {problem}"))?);
    }
    let talk = || paused().block_on(play_session(agents, &sequence.0));
    let played = catch_unwind(AssertUnwindSafe(talk));
    let played = played.unwrap_or_else(|_| Err("a check panicked".to_owned()));
    tally.count(played.map_err(|problem| format!("in a session: {problem}"))?);
    Ok(())
}

fn play_some(plan: &Plan, next: &AtomicU64) -> Tally {
    let (agents, mut tally) = (host(), Tally::default());
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= plan.count() {
            return tally;
        }
        if let Err(problem) = play_all_scenes(&agents, &plan.sequence(index), &mut tally) {
            tally.fail(index, problem);
        }
    }
}

/// Does not print the panics that are part of the play.
fn quieten_players() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(PLAYER) {
            print(info);
        }
    }));
}

fn play_plan(plan: &Plan) -> Tally {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        let player = || {
            let builder = thread::Builder::new().name(PLAYER.to_owned());
            builder.spawn_scoped(scope, || play_some(plan, &next)).unwrap()
        };
        let players: Vec<_> = (0..threads).map(|_| player()).collect();
        let tallies = players.into_iter().map(|player| player.join().unwrap());
        tallies.fold(Tally::default(), Tally::add)
    })
}

/// A number with commas: 11,110.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn report(plan: &Plan, tally: &Tally) -> String {
    let mut report = String::new();
    writeln!(
        report,
        "script: {} runs and sessions, {} with a compaction, {} that met the whole sequence, {} requests, {} of \
         them for summaries",
        grouped(tally.runs),
        grouped(tally.compacted),
        grouped(tally.used_up),
        grouped(tally.requests as u64),
        grouped(tally.summaries as u64),
    )
    .unwrap();
    let (count, failures) = (grouped(plan.count()), grouped(tally.failures));
    write!(report, "script: {count} sequences, {failures} failures").unwrap();
    report
}

#[test]
fn a_run_ends_as_it_has_to_whatever_its_model_does() {
    quieten_players();
    let plan = Plan::from_env();
    let tally = play_plan(&plan);
    println!("\n{}", report(&plan, &tally));
    if let Some((index, problem)) = tally.first {
        let sequence = plan.sequence(index);
        panic!(
            "sequence {sequence}: {problem}\nrepeat with: cargo xtask script --sequence {sequence}"
        );
    }
    let is_all = matches!(plan, Plan::All { .. });
    assert!(!is_all || tally.compacted > 0, "no run was compacted");
}
