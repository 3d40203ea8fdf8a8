//! On a paused clock and one thread, a scenario that is repeated is repeated exactly (R13).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::task::Poll;
use std::time::Duration;

use bg_core::{Completer, Events, Failure, Limits, Output, Phase, Registry, Retention, Scope};
use bg_core::{Stream, Task, TaskContext, TaskId, TaskResult};
use support::{elapse, poll};
use tokio::runtime::Builder;

use crate::support;

/// Random numbers that are the same on every machine (xorshift).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// Does this and that for a while, with children, then ends in one way or another.
async fn live(cx: TaskContext, mut random: Random, depth: u32) -> TaskResult {
    let listens = random.below(2) == 0;
    let token = listens.then(|| cx.token());
    for step in 0..random.below(6) {
        cx.step(u32::try_from(step).unwrap());
        match random.below(6) {
            0 => cx.trace(format!("line {step}")),
            1 => cx.phase(Phase::WaitingForTool),
            2 => cx.log().write(Stream::Stdout, &[b'x'; 3_000]),
            3 if depth < 3 => drop(spawn(&cx.scope(), &mut random, depth + 1)),
            4 => drop(cx.scope().inbox().try_next()),
            _ => {}
        }
        let pause = elapse(random.millis(400));
        match &token {
            Some(token) => drop(token.run_until_cancelled(pause).await),
            None => pause.await,
        }
    }
    match random.below(8) {
        0 => Err(Failure::new("failed")),
        1 => std::panic::resume_unwind(Box::new("panicked")),
        2 => std::future::pending().await,
        _ => Ok(Output::text("done")),
    }
}

fn spawn(scope: &Scope, random: &mut Random, depth: u32) -> Option<TaskId> {
    let mut task = Task::new(format!("depth {depth}"), "").grace(random.millis(900));
    if random.below(3) == 0 {
        task = task.deadline(random.millis(3_000));
    }
    let own = Random::new(random.below(u64::MAX));
    scope.spawn(task, move |cx| live(cx, own, depth)).ok()
}

/// What two runs must have in common: each event, when it was read, and what is left.
async fn told(seed: u64) -> String {
    let mut random = Random::new(seed);
    let registry = Registry::builder()
        .limits(Limits::default().running(5).depth(4))
        .retention(Retention::new(8, Duration::from_secs(3)))
        .events_kept(64)
        .build();
    let roots = [registry.root_scope(), registry.root_scope()];
    let mut events = registry.events();
    let mut completers: Vec<Completer> = Vec::new();
    let mut log = String::new();
    for _ in 0..400 {
        let root = &roots[usize::try_from(random.below(2)).unwrap()];
        let some = root.snapshot();
        let index = random.below(some.len().max(1) as u64);
        let some = some.get(usize::try_from(index).unwrap()).map(|snapshot| snapshot.id);
        match (random.below(12), some) {
            (0..=3, _) => drop(spawn(root, &mut random, 1)),
            (4, _) => completers.extend(root.register(Task::new("", "")).map(|(_, c)| c)),
            (5, _) => drop(completers.pop()),
            (6, _) => root.inbox().drain().take(3).for_each(drop),
            (7, Some(id)) => drop(root.claim(id)),
            (8, Some(id)) => drop(root.cancel(id, "one").ok()),
            (9, _) if random.below(8) == 0 => drop(root.cancel_all("all").to_string()),
            (10, Some(id)) => {
                let wait = root.wait([id]).timeout(random.millis(500));
                let over = wait.await.map(|waited| (waited.ended.len(), waited.timed_out));
                writeln!(log, "{over:?}").unwrap();
            }
            _ => elapse(random.millis(300)).await,
        }
        note(&mut events, &mut log);
    }
    for root in &roots {
        let report = root.close(Duration::from_secs(1)).await;
        writeln!(log, "{:?} {:?}", report.ended, report.unresponsive).unwrap();
        note(&mut events, &mut log);
        writeln!(log, "{:?} {:?}", root.snapshot(), root.history()).unwrap();
    }
    writeln!(log, "{:?}", registry.admin().stats()).unwrap();
    log
}

fn note(events: &mut Events, log: &mut String) {
    while let Poll::Ready(Some(event)) = poll(&mut Box::pin(events.next())) {
        let event = event.map(|event| serde_json::to_string(&event).unwrap());
        writeln!(log, "{event:?}").unwrap();
    }
}

fn run(seed: u64) -> String {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let begun = runtime.block_on(async { tokio::time::Instant::now() });
    let told = runtime.block_on(told(seed));
    let elapsed = runtime.block_on(async { begun.elapsed() });
    format!("{told}{elapsed:?}")
}

fn digest(told: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    told.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn two_runs_of_one_seed_tell_the_same() {
    let (mut digests, mut all) = (std::collections::BTreeSet::new(), String::new());
    for seed in 1..=12 {
        let (first, second) = (run(seed), run(seed));
        println!("seed {seed}: {:016x}, {} lines", digest(&first), first.lines().count());
        for (line, (one, other)) in first.lines().zip(second.lines()).enumerate() {
            assert_eq!(one, other, "line {line} of seed {seed}");
        }
        assert_eq!(digest(&first), digest(&second), "seed {seed}");
        digests.insert(digest(&first));
        all += &first;
    }
    assert_eq!(digests.len(), 12, "another seed is another run");
    for word in ["spawned", "acked", "evicted", "given_back", "DeadlineExceeded", "panicked"] {
        assert!(all.contains(word), "no seed has {word}");
    }
}
