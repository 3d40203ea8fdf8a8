//! Prompts that come in the moment in which a session ends because it was idle: none that was accepted is
//! lost. `BG_COUNT` says how many there are, `BG_SEED` which ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common_random as random;
use crate::common_sessions as talking;

use std::time::Duration;

use bg_core::{Kind, Registry, Scope, TaskId};
use bg_sessions::{
    AgentSpec, Agents, ModelRequest, Models, Prompted, RunOptions, SessionCommand, Turn,
};
use common::AGENT;
use random::{Rng, number};
use talking::Answering;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Prompts on a paused clock, two per race; so many in all are 20,000.
const COUNT: u64 = 14_000;

/// Prompts on real threads.
const REAL_COUNT: u64 = 6_000;

/// As short as it can be.
const IDLE_SECS: u64 = 1;

/// A moment before that is over.
const LITTLE_BEFORE: Duration = Duration::from_millis(IDLE_SECS * 1000 - 1);

/// Most sessions that one caller has.
const SESSIONS: u64 = 60;

fn host() -> Agents {
    let says = |request: &ModelRequest| Turn::say(request.messages.len().to_string());
    Agents::builder(Models::new("test", Answering(says)))
        .agent(AgentSpec::new(AGENT).with_idle_timeout_secs(IDLE_SECS))
        .build()
        .unwrap()
}

fn ask(agents: &Agents, scope: &Scope, id: &str) -> TaskId {
    let prompt = SessionCommand::Prompt("go".to_owned());
    match agents.prompt(scope, AGENT, id, prompt, RunOptions::default()).unwrap() {
        Prompted::Queued { task } => task,
        other => panic!("not queued: {other:?}"),
    }
}

/// Waits for the reply to a prompt: how many messages its model has read.
async fn reply(scope: &Scope, task: TaskId) -> u64 {
    let waited = scope.wait([task]).timeout(Duration::from_secs(30)).await.unwrap();
    assert!(waited.pending.is_empty(), "{task} has no reply");
    let done = scope.claim(task).unwrap().ack();
    done.outcome.output().unwrap_or_else(|| panic!("lost: {done:?}")).text.parse().unwrap()
}

/// One race: a prompt, its reply, and another prompt so long after it. Returns whether the session was
/// still there.
async fn race(agents: &Agents, scope: &Scope, id: &str, after: Duration, ticks: u64) -> bool {
    reply(scope, ask(agents, scope, id)).await;
    tokio::time::sleep_until(Instant::now() + after).await;
    for _ in 0..ticks {
        tokio::task::yield_now().await;
    }
    reply(scope, ask(agents, scope, id)).await > 1
}

/// Waits for the end of all sessions, and looks for what is left.
async fn over(registry: &Registry, agents: &Agents, scope: &Scope) {
    while scope.live() > 0 {
        let done = scope.inbox().next().await.unwrap().ack();
        assert_eq!(done.id.kind(), Kind::SESSION, "the replies were taken");
    }
    scope.inbox().drain().for_each(drop);
    assert!(agents.sessions_of(scope, None).is_empty());
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.undelivered), (0, 0));
}

/// On a paused clock both come in the same millisecond, before and after each other.
#[tokio::test(start_paused = true)]
async fn no_prompt_is_lost_around_the_moment_of_an_idle_end() {
    let (mut rng, count) = (Rng::new(number("BG_SEED", 1)), number("BG_COUNT", COUNT));
    let (registry, agents) = (Registry::new(), host());
    let root = registry.root_scope();
    let mut found = [0_u64; 2];
    for number in 0..count / 2 {
        let after = LITTLE_BEFORE + Duration::from_millis(rng.below(3));
        let id = format!("s{}", number % 7);
        let is_there = race(&agents, &root, &id, after, rng.below(12)).await;
        found[usize::from(is_there)] += 1;
        if number % 64 == 0 {
            over(&registry, &agents, &root).await;
        }
        root.inbox().drain().for_each(drop);
    }
    over(&registry, &agents, &root).await;
    println!("{count} prompts: {} new sessions, {} the same one", found[0], found[1]);
    assert!(found.iter().all(|&found| found > count / 20), "no race: {found:?}");
}

/// The same with real threads and real time.
#[test]
fn no_prompt_is_lost_around_the_moment_of_an_idle_end_on_many_threads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let found = runtime.block_on(races(number("BG_SEED", 1), number("BG_COUNT", REAL_COUNT) / 2));
    println!("{} new sessions, {} the same one", found[0], found[1]);
    assert!(found.iter().all(|&found| found > 0), "no race: {found:?}");
}

async fn races(seed: u64, count: u64) -> [u64; 2] {
    let (agents, mut found) = (host(), [0; 2]);
    let registry = Registry::new();
    let (mut rng, mut racing, mut scopes) = (Rng::new(seed), JoinSet::new(), Vec::new());
    for number in 0..count {
        if number % SESSIONS == 0 {
            scopes.push(registry.root_scope());
        }
        let (agents, scope) = (agents.clone(), scopes.last().unwrap().clone());
        let after = LITTLE_BEFORE + Duration::from_micros(rng.below(4_000));
        let id = format!("s{number}");
        racing.spawn(async move { race(&agents, &scope, &id, after, 0).await });
    }
    while let Some(is_there) = racing.join_next().await {
        found[usize::from(is_there.unwrap())] += 1;
    }
    for scope in &scopes {
        while scope.live() > 0 {
            scope.inbox().next().await.unwrap().ack();
        }
        scope.inbox().drain().for_each(drop);
        assert!(agents.sessions_of(scope, None).is_empty());
    }
    let stats = registry.admin().stats();
    assert_eq!((stats.live, stats.undelivered), (0, 0));
    found
}
