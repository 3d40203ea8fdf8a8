//! Callers of sessions on many threads, who say anything at any time: whatever was accepted has one
//! outcome, and nothing is left. `BG_COUNT` says how many rounds, `BG_SEED` which ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/random.rs"]
mod random;
#[path = "common/sessions.rs"]
mod talking;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Completer, Kind, Registry, Scope, Task, TaskId};
use bg_sessions::{
    Agents, InvokeError, Model, ModelError, ModelInfo, ModelReply, ModelRequest, Prompted,
    Recorded, RunOptions, SessionCommand, Turn, TurnsModel,
};
use common::{AGENT, agents, echo, start, toolbox};
use parking_lot::Mutex;
use random::{Rng, number};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const ROUNDS: u64 = 60;
const THREADS: usize = 4;
const STEPS: usize = 25;
const KEYS: [&str; 3] = ["a", "b", "c"];
const PANIC: &str = "a panic of a test";

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap()
}

/// A model that does anything, and knows what it was asked.
#[derive(Clone)]
struct Anything {
    rng: Arc<Mutex<Rng>>,
    read: Arc<Mutex<BTreeSet<String>>>,
    /// How many calls there are at the same time for each key, and the most that there were.
    now: Arc<Mutex<BTreeMap<char, (usize, usize)>>>,
}

/// A call for a key, which may be dropped.
struct UnderWay<'a>(&'a Anything, char);

impl<'a> UnderWay<'a> {
    fn new(model: &'a Anything, key: char) -> Self {
        let mut all = model.now.lock();
        let (now, most) = all.entry(key).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(all);
        Self(model, key)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.now.lock().entry(self.1).or_default().0 -= 1;
    }
}

impl Anything {
    fn new(seed: u64) -> Self {
        let rng = Arc::new(Mutex::new(Rng::new(seed)));
        Self { rng, read: Arc::default(), now: Arc::default() }
    }

    fn turn(&self, is_result: bool) -> Turn {
        let choice = self.rng.lock().below(24);
        match choice {
            0 => Turn::Fail(ModelError::fatal("no")),
            1 => Turn::Panic(PANIC),
            2 => Turn::Hang,
            3..8 => Turn::say("slow").after(Duration::from_millis(1)),
            8..12 if !is_result => Turn::call("Echo", r#"{"text": "x"}"#),
            12..15 if !is_result => Turn::call("Start", r#"{"ms": 1, "text": "x"}"#),
            _ => Turn::say("ok"),
        }
    }
}

#[async_trait]
impl Model for Anything {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("anything")
    }

    async fn complete(
        &self,
        request: ModelRequest,
        token: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        let heard = talking::heard(&request);
        let key = heard.first().and_then(|text| text.chars().next()).unwrap_or('?');
        let _under_way = UnderWay::new(self, key);
        self.read.lock().extend(common::texts(&request));
        tokio::task::yield_now().await;
        let is_result = !common::results(&request).is_empty();
        TurnsModel::new([self.turn(is_result)]).complete(request, token).await
    }
}

/// What callers have said.
#[derive(Default)]
struct Said {
    accepted: Vec<TaskId>,
    refused: Vec<String>,
}

/// One caller, who says so many things.
struct Talker {
    agents: Agents,
    scope: Scope,
    number: usize,
    rng: Rng,
    cancels: bool,
}

impl Talker {
    fn talk(mut self) -> Said {
        let mut said = Said::default();
        for step in 0..STEPS {
            let key = KEYS[usize::try_from(self.rng.below(3)).unwrap()];
            let text = format!("{key} {}-{step}", self.number);
            let command = self.command(&text);
            let options = RunOptions::default();
            match self.agents.prompt(&self.scope, AGENT, key, command, options) {
                Ok(Prompted::Queued { task }) => said.accepted.push(task),
                Ok(_) => {}
                Err(error) => {
                    assert!(is_known(&error), "{error}");
                    said.refused.push(text);
                }
            }
            self.pause(&said);
        }
        said
    }

    fn command(&mut self, text: &str) -> SessionCommand {
        match self.rng.below(20) {
            0 => SessionCommand::Stop(String::new()),
            1 if self.cancels => SessionCommand::Cancel(String::new()),
            2 | 3 => SessionCommand::Steer(text.to_owned()),
            4 => SessionCommand::Ping,
            5 => SessionCommand::Status,
            _ => SessionCommand::Prompt(text.to_owned()),
        }
    }

    /// Does nothing for a moment, or stops one of its prompts.
    fn pause(&mut self, said: &Said) {
        match (self.rng.below(8), said.accepted.last()) {
            (0, _) => yields(5),
            (1..3, _) => yields(1),
            // An error is one that has ended by itself.
            (3, Some(task)) => drop(self.scope.cancel(*task, "")),
            _ => {}
        }
    }
}

/// Whether a refusal is one that may come at any time.
fn is_known(error: &InvokeError) -> bool {
    matches!(error, InvokeError::SessionFull { .. } | InvokeError::Spawn(_))
}

/// Lets the other threads go first, so often.
fn yields(count: u64) {
    (0..count).for_each(|_| std::thread::yield_now());
}

/// How a round comes to its end, while callers still talk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// By itself, and then by a cancel of the sessions.
    Cancelled,
    /// The same, and nothing is cancelled before.
    Quiet,
    /// The task that the sessions are children of ends.
    Owner,
    /// The registry is dropped.
    Dropped,
}

const ENDS: [End; 4] = [End::Cancelled, End::Quiet, End::Owner, End::Dropped];

/// All callers at once.
fn talk(agents: &Agents, scope: &Scope, seed: u64, end: End, meanwhile: impl FnOnce()) -> Said {
    let (runtime, begin) = (tokio::runtime::Handle::current(), Barrier::new(THREADS + 1));
    std::thread::scope(|threads| {
        let talker = |number: usize| {
            let rng = Rng::new(seed.wrapping_mul(31).wrapping_add(number as u64));
            let (agents, scope) = (agents.clone(), scope.clone());
            let talker = Talker { agents, scope, number, rng, cancels: end == End::Cancelled };
            let (runtime, begin) = (&runtime, &begin);
            threads.spawn(move || {
                let _entered = runtime.enter();
                begin.wait();
                talker.talk()
            })
        };
        let talkers: Vec<_> = (0..THREADS).map(talker).collect();
        begin.wait();
        meanwhile();
        talkers.into_iter().map(|talker| talker.join().unwrap()).fold(
            Said::default(),
            |mut all, said| {
                all.accepted.extend(said.accepted);
                all.refused.extend(said.refused);
                all
            },
        )
    })
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let looks = async {
        while !holds() {
            common::pause(1).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), looks).await.is_ok(), "never: {what}");
}

/// Every accepted prompt has one outcome, and nothing is left.
async fn over(registry: &Registry, agents: &Agents, scope: &Scope, said: &Said) {
    until("nothing is live", || registry.admin().stats().live == 0).await;
    until("no session is listed", || agents.sessions_of(scope, None).is_empty()).await;
    let mut outcomes: HashMap<TaskId, usize> = HashMap::new();
    for done in scope.inbox().drain() {
        *outcomes.entry(done.id).or_default() += 1;
        let broken = done.outcome.reason().filter(|why| why.contains("without its result"));
        assert!(broken.is_none(), "{broken:?}");
    }
    for task in &said.accepted {
        assert_eq!(outcomes.get(task), Some(&1), "outcomes of {task}");
    }
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.queued, stats.undelivered), (0, 0, 0));
}

async fn round(seed: u64) -> (usize, usize) {
    let end = ENDS[usize::try_from(seed % 4).unwrap()];
    let model = Anything::new(seed);
    let agents = agents(Recorded::new(model.clone()), toolbox([echo(), start()]));
    let registry = Registry::new();
    let root = registry.root_scope();
    let said = match end {
        End::Dropped => {
            let said = talk(&agents, &root, seed, end, || {
                yields(seed % 37);
                drop(registry);
            });
            until("no session is listed", || agents.sessions_of(&root, None).is_empty()).await;
            said
        }
        End::Owner => {
            let (_, owner): (TaskId, Completer) = root.register(Task::new("owner", "")).unwrap();
            let scope = owner.context().scope();
            let said = talk(&agents, &scope, seed, end, || {
                yields(seed % 37);
                owner.complete(Ok(bg_core::Output::default()));
            });
            until("nothing is live", || registry.admin().stats().live == 0).await;
            until("no session is listed", || agents.sessions_of(&scope, None).is_empty()).await;
            said
        }
        End::Cancelled | End::Quiet => {
            let said = talk(&agents, &root, seed, end, || {});
            cancel_all(&agents, &root, &said).await;
            over(&registry, &agents, &root, &said).await;
            said
        }
    };
    check_model(&model, &said, end);
    (said.accepted.len(), said.refused.len())
}

/// Lets the turns go on for a moment, and then ends what is still there.
async fn cancel_all(agents: &Agents, scope: &Scope, said: &Said) {
    let all = scope.wait(said.accepted.iter().copied());
    let _ = tokio::time::timeout(Duration::from_millis(10), all).await;
    for key in KEYS {
        let cancel = SessionCommand::Cancel(String::new());
        agents.prompt(scope, AGENT, key, cancel, RunOptions::default()).unwrap();
    }
}

fn check_model(model: &Anything, said: &Said, end: End) {
    let read = model.read.lock();
    for refused in &said.refused {
        assert!(!read.contains(refused), "{refused:?} was refused, and read");
    }
    // A session that was cancelled may still be in a call when the next one begins.
    if end == End::Quiet {
        let most =
            model.now.lock().iter().map(|(key, (_, most))| (*key, *most)).max_by_key(|m| m.1);
        assert!(most.is_none_or(|(_, most)| most <= 1), "two runners for one key: {most:?}");
    }
}

/// Does not print the panics that are part of the play.
fn quieten() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&PANIC) {
            print(info);
        }
    }));
}

#[test]
fn whatever_callers_say_at_the_same_time_each_accepted_prompt_has_one_outcome() {
    quieten();
    let (seed, count) = (number("BG_SEED", 1), number("BG_COUNT", ROUNDS));
    let (mut accepted, mut refused) = (0, 0);
    for seed in seed..seed + count {
        let runtime = runtime();
        let played = std::panic::catch_unwind(|| runtime.block_on(round(seed)));
        let repeat = "cargo test -p bg-sessions --test sessions_race";
        let Ok(counts) = played else {
            panic!("seed {seed}; repeat with: BG_SEED={seed} BG_COUNT=1 {repeat}")
        };
        (accepted, refused) = (accepted + counts.0, refused + counts.1);
    }
    println!("{count} rounds, {accepted} prompts accepted, {refused} refused");
}

/// Whoever has had a prompt accepted finds the session, also while somebody else still starts it.
#[test]
fn a_cancel_finds_the_session_that_has_accepted_a_prompt_before() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let registry = Registry::new();
    let agents = agents(talking::Answering(|_: &ModelRequest| Turn::Hang), toolbox([]));
    for round in 0..number("BG_COUNT", 1_000) {
        let (root, begin) = (registry.root_scope(), Barrier::new(2));
        let say = |text: &str| {
            let command = SessionCommand::parse(text);
            agents.prompt(&root, AGENT, "s", command, RunOptions::default()).unwrap()
        };
        let ask_and_cancel = || {
            let _entered = runtime.enter();
            begin.wait();
            (say("go"), say("/cancel"))
        };
        let all: Vec<_> = std::thread::scope(|threads| {
            let both = [threads.spawn(ask_and_cancel), threads.spawn(ask_and_cancel)];
            both.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for (asked, _) in &all {
            let Prompted::Queued { task } = asked else { panic!("not queued: {asked:?}") };
            let waited = root.wait([*task]).timeout(Duration::from_secs(10));
            let waited = runtime.block_on(waited).unwrap();
            assert!(waited.pending.is_empty(), "round {round}: {all:?}");
        }
        runtime.block_on(until("it is over", || root.live() == 0));
    }
}

#[test]
fn ten_callers_that_race_for_an_id_have_one_session_and_ten_answers() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = talking::Answering(|_: &ModelRequest| Turn::say("ok"));
    let agents = agents(model, toolbox([]));
    for round in 0..number("BG_COUNT", 100) {
        let (id, begin) = (format!("s{round}"), Barrier::new(10));
        let ask = || {
            let _entered = runtime.enter();
            begin.wait();
            let prompt = SessionCommand::Prompt("go".to_owned());
            agents.prompt(&root, AGENT, &id, prompt, RunOptions::default()).unwrap()
        };
        let asked: Vec<_> = std::thread::scope(|threads| {
            let asking: Vec<_> = (0..10).map(|_| threads.spawn(ask)).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let tasks = asked.iter().map(|asked| match asked {
            Prompted::Queued { task } => *task,
            other => panic!("not queued: {other:?}"),
        });
        let all = runtime.block_on(root.wait(tasks)).unwrap();
        assert_eq!(all.ended.len(), 10);
        assert!(all.ended.iter().all(|done| done.outcome.is_success()), "{:?}", all.ended);
        let sessions = root.snapshot().into_iter().filter(|task| task.id.kind() == Kind::SESSION);
        assert_eq!(sessions.count(), 1, "round {round}");
        root.cancel_all("next");
        runtime.block_on(until("it is over", || agents.sessions_of(&root, None).is_empty()));
        root.inbox().drain().for_each(drop);
        runtime.block_on(until("it is over", || root.live() == 0));
        root.inbox().drain().for_each(drop);
    }
}
