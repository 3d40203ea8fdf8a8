//! The queues of sessions in random orders of many threads.
//!
//! What is modelled is the queue itself, with its lock; its wake is tokio's, in which no switch happens.
//! A wake that is lost leaves a thread asleep, which shuttle reports as a deadlock; a prompt that is lost
//! or processed twice fails the count. The command is `cargo xtask shuttle`.

#![cfg(bg_shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../src/session/queue.rs"]
#[allow(dead_code, reason = "the models use a part of it")]
mod queue;
#[path = "../src/sync.rs"]
mod sync;

use std::collections::BTreeSet;
use std::env;
use std::sync::Arc;

use queue::{Caps, Queue, Refusal};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::{self, JoinHandle};

const PCT_DEPTH: usize = 3;

/// How often a prompt is handed on.
const HOPS: u32 = 2;

const CALLERS: u32 = 3;

/// Reads a number that the caller of the tests may set.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn run(name: &str, scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x10000;
    let executions = shuttle::Runner::new(scheduler, config).run(model);
    println!("model {name}: {executions} executions");
}

/// Runs a model under both schedulers.
fn check(name: &str, model: fn()) {
    let seed = number("BG_SHUTTLE_SEED", 1);
    let count = usize::try_from(number("BG_SHUTTLE_COUNT", 2_000)).unwrap().div_ceil(4);
    run(&format!("{name}, random"), RandomScheduler::new_from_seed(seed, count), model);
    let few = PctScheduler::new_from_seed(seed, PCT_DEPTH, count);
    run(&format!("{name}, pct depth {PCT_DEPTH}"), few, model);
}

#[test]
fn two_sessions_that_prompt_each_other_with_room_for_one_come_to_an_end() {
    check("two sessions", two_sessions);
}

#[test]
fn an_idle_end_loses_no_prompt_and_a_key_has_one_session_at_a_time() {
    check("idle ends", idle_ends);
}

/// One place, as narrow as it gets.
fn narrow() -> Arc<Queue<Prompt>> {
    Arc::new(Queue::new(Caps { prompts: 1, bytes: 100 }))
}

struct Prompt {
    number: u32,
    hops: u32,
}

/// Which prompts were accepted and which answered. Its locks are std's and never held over a call, so
/// no switch happens under them.
#[derive(Clone, Default)]
struct Ledger {
    accepted: Arc<std::sync::Mutex<BTreeSet<u32>>>,
    answered: Arc<std::sync::Mutex<BTreeSet<u32>>>,
    next: Arc<std::sync::atomic::AtomicU32>,
}

impl Ledger {
    /// Asks. Nobody waits for a place: where there is none, that is the answer.
    fn ask(&self, queue: &Arc<Queue<Prompt>>, hops: u32) -> Result<(), Refusal> {
        let place = queue.reserve(1)?;
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.accepted.lock().unwrap().insert(number);
        if let Err(prompt) = place.fill(Prompt { number, hops }) {
            self.answer(&prompt);
        }
        Ok(())
    }

    fn answer(&self, prompt: &Prompt) {
        let is_first = self.answered.lock().unwrap().insert(prompt.number);
        assert!(is_first, "prompt {} is answered twice", prompt.number);
    }

    fn check(&self) {
        assert_eq!(*self.accepted.lock().unwrap(), *self.answered.lock().unwrap());
    }
}

/// A session: it takes what is in its queue, hands it on to the other one, and ends when its time is over
/// and there is nothing left, or when it is cancelled.
fn session(
    own: &Arc<Queue<Prompt>>,
    other: &Arc<Queue<Prompt>>,
    over: &Arc<AtomicBool>,
    ledger: &Ledger,
) -> JoinHandle<()> {
    let (own, other, over, ledger) = (own.clone(), other.clone(), over.clone(), ledger.clone());
    thread::spawn(move || {
        loop {
            while let Some(prompt) = own.take(None) {
                for _ in 0..prompt.hops {
                    // A refusal is an answer too.
                    let _ = ledger.ask(&other, prompt.hops - 1);
                }
                ledger.answer(&prompt);
            }
            if own.is_closed() || (over.load(Ordering::SeqCst) && own.close_if_empty()) {
                return;
            }
            block_on(own.changed());
        }
    })
}

fn two_sessions() {
    let (a, b, over, ledger) = (narrow(), narrow(), Arc::default(), Ledger::default());
    let sessions = [session(&a, &b, &over, &ledger), session(&b, &a, &over, &ledger)];
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (to, ledger) = (if number == 0 { &a } else { &b }.clone(), ledger.clone());
            thread::spawn(move || drop(ledger.ask(&to, HOPS)))
        })
        .collect();
    let (cancelled, given_back) = (b.clone(), ledger.clone());
    let canceller = thread::spawn(move || {
        cancelled.close().iter().for_each(|prompt| given_back.answer(prompt));
        cancelled.wake();
    });
    for thread in callers.into_iter().chain([canceller]) {
        thread.join().unwrap();
    }
    // The idle time of both is over.
    over.store(true, Ordering::SeqCst);
    [&a, &b].into_iter().for_each(|queue| queue.wake());
    for session in sessions {
        session.join().unwrap();
    }
    assert_eq!((a.len(), b.len()), (0, 0));
    ledger.check();
}

/// The session that a key leads to. It ends whenever it finds nothing to do, and is replaced then.
struct Listed {
    queue: shuttle::sync::Mutex<Arc<Queue<Prompt>>>,
    runners: shuttle::sync::Mutex<Vec<JoinHandle<()>>>,
    is_running: Arc<AtomicBool>,
    ledger: Ledger,
}

impl Listed {
    /// As the list of sessions does it: the place is reserved under the lock of the list.
    fn ask(&self) {
        let (queue, place, is_new) = {
            let mut listed = self.queue.lock().unwrap();
            match listed.reserve(1) {
                Ok(place) => (listed.clone(), place, false),
                Err(Refusal::Full { .. }) => return,
                Err(Refusal::Closed) => {
                    *listed = narrow();
                    (listed.clone(), listed.reserve(1).unwrap(), true)
                }
            }
        };
        if is_new {
            self.start(queue);
        }
        let number = self.ledger.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.ledger.accepted.lock().unwrap().insert(number);
        assert!(place.fill(Prompt { number, hops: 0 }).is_ok(), "an accepted prompt came back");
    }

    fn start(&self, queue: Arc<Queue<Prompt>>) {
        let (ledger, is_running) = (self.ledger.clone(), self.is_running.clone());
        let runner = thread::spawn(move || {
            while !queue.close_if_empty() {
                let Some(prompt) = queue.take(None) else {
                    block_on(queue.changed());
                    continue;
                };
                assert!(!is_running.swap(true, Ordering::SeqCst), "two are at work for one key");
                ledger.answer(&prompt);
                is_running.store(false, Ordering::SeqCst);
            }
        });
        self.runners.lock().unwrap().push(runner);
    }
}

fn idle_ends() {
    let queue = narrow();
    queue.close();
    let listed = Arc::new(Listed {
        queue: shuttle::sync::Mutex::new(queue),
        runners: shuttle::sync::Mutex::default(),
        is_running: Arc::default(),
        ledger: Ledger::default(),
    });
    let caller = |_| {
        let listed = listed.clone();
        thread::spawn(move || (0..2).for_each(|_| listed.ask()))
    };
    let callers: Vec<_> = (0..CALLERS).map(caller).collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let runners = std::mem::take(&mut *listed.runners.lock().unwrap());
    runners.into_iter().for_each(|runner| runner.join().unwrap());
    listed.ledger.check();
}
