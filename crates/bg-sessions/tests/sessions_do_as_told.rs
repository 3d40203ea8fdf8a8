//! Random scripts of what a caller does with a session, against a small reference of what has to come
//! out: which prompts complete, and what the model reads.
//!
//! Time passes only where the caller waits, and nothing that happens by itself falls on the same
//! moment as something that the caller does: waits are whole seconds, all else is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/random.rs"]
mod random;
#[path = "common/sessions.rs"]
mod talking;

use std::collections::BTreeMap;
use std::time::Duration;

use bg_core::{Registry, Status, TaskId};
use bg_sessions::{ModelError, ModelRequest, Prompted, Recorded, Turn};
use common::{agents, echo, pause, results, start, texts, toolbox};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use random::number;
use talking::{Answering, Caller};

const SLOW_MS: u64 = 2_001;
const CHILD_MS: u64 = 5_040;
const IDLE_MS: u64 = 60_000;

/// What a caller does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A prompt, whose text says what the model does.
    Ask(&'static str),
    /// And a second, so that the words are heard.
    Steer,
    Stop,
    Cancel,
    Ping,
    Status,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let kinds = ["say", "slow", "slow", "fail", "fail", "hang", "call", "child", "child", "child"];
    prop_oneof![
        8 => proptest::sample::select(kinds.to_vec()).prop_map(Act::Ask),
        2 => Just(Act::Steer),
        2 => Just(Act::Stop),
        1 => Just(Act::Cancel),
        1 => Just(Act::Ping),
        1 => Just(Act::Status),
        8 => proptest::sample::select(vec![1, 1, 1, 2, 2, 3, 8, 61]).prop_map(Act::Wait),
    ]
}

/// How a prompt ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Completed,
    Failed,
    Cancelled,
}

/// The text of background work in a request.
fn told(count: usize) -> String {
    format!("{count} told")
}

/// The model of the scripts: it does what the last prompt says.
fn does(request: &ModelRequest) -> Turn {
    let texts = texts(request);
    let mut prompts = texts.iter().filter(|text| !text.starts_with("[background task"));
    match prompts.next_back().map_or("say", String::as_str) {
        _ if !results(request).is_empty() => Turn::say("done"),
        "slow" => Turn::say("slow").after(Duration::from_millis(SLOW_MS)),
        "fail" => Turn::Fail(ModelError::fatal("no")),
        "hang" => Turn::Hang,
        "call" => Turn::call("Echo", r#"{"text": "x"}"#),
        "child" => Turn::call("Start", &format!(r#"{{"ms": {CHILD_MS}, "text": "x"}}"#)),
        _ => Turn::say("ok"),
    }
}

/// What has to come out.
#[derive(Default)]
struct Reference {
    now: u64,
    session: Option<Session>,
    /// By the number of the prompt.
    ends: BTreeMap<usize, End>,
    heard: Vec<Vec<String>>,
}

#[derive(Default)]
struct Session {
    queue: Vec<(usize, &'static str)>,
    turn: Option<UnderWay>,
    /// When its children end.
    children: Vec<u64>,
    /// How many have ended and were not read.
    told: usize,
    ignores_children: bool,
    active: u64,
}

struct UnderWay {
    prompts: Vec<usize>,
    texts: Vec<String>,
    told: usize,
    ends: Option<u64>,
}

impl Reference {
    fn ask(&mut self, number: usize, text: &'static str) {
        let now = self.now;
        let new = || Session { active: now, ..Session::default() };
        self.session.get_or_insert_with(new).queue.push((number, text));
    }

    fn steer(&mut self, number: usize) {
        match self.session.as_mut().map(|session| &mut session.turn) {
            None => {}
            Some(None) => self.ask(number, "be brief"),
            Some(Some(turn)) => {
                turn.texts.push("be brief".to_owned());
                self.heard.push(turn.texts.clone());
                self.end_turn(End::Completed);
            }
        }
    }

    fn stop(&mut self) {
        self.end_turn(End::Cancelled);
        let Some(session) = &mut self.session else { return };
        if !session.children.is_empty() {
            session.active = self.now;
        }
        session.children.clear();
        session.told = 0;
    }

    fn cancel(&mut self) {
        self.end_turn(End::Cancelled);
        let waiting = self.session.take().map(|session| session.queue).unwrap_or_default();
        self.ends.extend(waiting.into_iter().map(|(number, _)| (number, End::Cancelled)));
    }

    fn ping(&mut self) {
        self.session.iter_mut().for_each(|session| session.active = self.now);
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        self.begin();
        while let Some(at) = self.next_event().filter(|at| *at <= until) {
            self.now = at;
            self.happen();
            self.begin();
        }
        self.now = until;
    }

    /// When something happens by itself.
    fn next_event(&self) -> Option<u64> {
        let session = self.session.as_ref()?;
        let is_idle = session.turn.is_none() && session.children.is_empty();
        let idle_end = is_idle.then_some(session.active + IDLE_MS);
        let turn_end = session.turn.as_ref().and_then(|turn| turn.ends);
        session.children.iter().copied().chain(idle_end).chain(turn_end).min()
    }

    fn happen(&mut self) {
        let Some(session) = &mut self.session else { return };
        if session.turn.as_ref().is_some_and(|turn| turn.ends == Some(self.now)) {
            return self.end_turn(End::Completed);
        }
        let live = session.children.len();
        session.children.retain(|end| *end != self.now);
        if session.children.len() == live {
            self.session = None;
            return;
        }
        if session.turn.is_none() && (session.told == 0 || session.children.is_empty()) {
            session.active = self.now;
        }
        session.told += live - session.children.len();
    }

    /// Begins a turn, and the next one after those that end at once.
    fn begin(&mut self) {
        while let Some(session) = &mut self.session {
            let hears = session.told > 0 && !session.ignores_children;
            if session.turn.is_some() || (session.queue.is_empty() && !hears) {
                return;
            }
            let (prompts, mut texts): (Vec<_>, Vec<_>) =
                std::mem::take(&mut session.queue).into_iter().unzip();
            let kind = texts.last().copied().unwrap_or("say");
            let count = std::mem::take(&mut session.told);
            let mut texts: Vec<String> = texts.drain(..).map(str::to_owned).collect();
            texts.extend((count > 0).then(|| told(count)));
            self.heard.push(texts.clone());
            let ends = (kind == "slow").then_some(self.now + SLOW_MS);
            if kind == "child" {
                session.children.push(self.now + CHILD_MS);
            }
            session.turn = Some(UnderWay { prompts, texts, told: count, ends });
            match kind {
                "slow" | "hang" => return,
                "fail" => self.end_turn(End::Failed),
                _ => self.end_turn(End::Completed),
            }
        }
    }

    fn end_turn(&mut self, end: End) {
        let Some(session) = &mut self.session else { return };
        let Some(turn) = session.turn.take() else { return };
        session.active = self.now;
        if end == End::Completed {
            session.ignores_children = false;
        } else {
            // What comes again waits for the next input; what was not in the turn does not.
            session.ignores_children |= turn.told > 0;
            session.told += turn.told;
        }
        self.ends.extend(turn.prompts.into_iter().map(|number| (number, end)));
    }
}

/// What came out.
struct Played {
    ends: BTreeMap<usize, End>,
    heard: Vec<Vec<String>>,
}

/// Plays a script in both worlds.
async fn play(script: &[Act]) -> (Reference, Played) {
    let registry = Registry::new();
    let root = registry.root_scope();
    let model = Recorded::new(Answering(does));
    let caller = Caller::new(&agents(model.clone(), toolbox([echo(), start()])), &root);
    let (mut reference, mut asked) = (Reference::default(), BTreeMap::new());
    for (number, act) in script.iter().enumerate() {
        asked.extend(play_one(&caller, &mut reference, number, *act).await);
    }
    caller.say("/cancel").unwrap();
    reference.cancel();
    pause(1_000).await;
    assert_eq!(registry.admin().stats().live, 0);
    let ends = asked.into_iter().map(|(number, task)| (number, end_of(&caller, task))).collect();
    let requests = model.requests();
    let asking = requests.iter().filter(|request| results(request).is_empty());
    (reference, Played { ends, heard: asking.map(said).collect() })
}

async fn play_one(
    caller: &Caller,
    reference: &mut Reference,
    number: usize,
    act: Act,
) -> Option<(usize, TaskId)> {
    let mut seconds = 0;
    let said = match act {
        Act::Ask(text) => {
            reference.ask(number, text);
            text
        }
        Act::Steer => {
            // What waits has its turn first.
            reference.steer(number);
            seconds = 1;
            "/steer be brief"
        }
        Act::Stop => {
            reference.stop();
            "/stop"
        }
        Act::Cancel => {
            reference.cancel();
            "/cancel"
        }
        Act::Ping => {
            reference.ping();
            "/ping"
        }
        Act::Status => "/status",
        Act::Wait(wait) => {
            seconds = wait;
            "/status"
        }
    };
    let prompted = caller.say(said).unwrap();
    if seconds > 0 {
        pause(seconds * 1_000).await;
        reference.wait(seconds * 1_000);
    }
    if let Prompted::Queued { task } = prompted { Some((number, task)) } else { None }
}

fn end_of(caller: &Caller, task: TaskId) -> End {
    match caller.scope.claim(task).unwrap().ack().status() {
        Status::Completed => End::Completed,
        Status::Cancelled => End::Cancelled,
        _ => End::Failed,
    }
}

/// The texts of a request, in which those of background work are counted.
fn said(request: &ModelRequest) -> Vec<String> {
    let text = |text: String| {
        let is_told = text.starts_with("[background task");
        if is_told { told(text.matches("completed]").count()) } else { text }
    };
    texts(request).into_iter().map(text).collect()
}

fn play_alone(script: &[Act]) -> (Reference, Played) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(play(script))
}

/// As many scripts as `BG_COUNT` says, those of `BG_SEED`.
fn scripts() -> ProptestConfig {
    let (count, seed) = (number("BG_COUNT", 1_000), number("BG_SEED", 1));
    ProptestConfig {
        cases: count.try_into().unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(scripts())]

    #[test]
    fn a_session_does_what_its_caller_says(script in proptest::collection::vec(act(), 1..20)) {
        let (reference, played) = play_alone(&script);
        let seed = number("BG_SEED", 1);
        let repeat = format!(
            "repeat with: BG_SEED={seed} cargo test -p bg-sessions --test sessions_do_as_told"
        );
        prop_assert_eq!(played.heard, reference.heard, "{}", repeat);
        prop_assert_eq!(played.ends, reference.ends, "{}", repeat);
    }
}
