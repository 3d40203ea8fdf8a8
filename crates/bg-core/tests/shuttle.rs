//! Larger mixes than loom can try, in random orders: ten threads and more on one root.
//!
//! Each thread has a role, and a ledger counts who acknowledged what. When every role is played
//! there is a quiet phase: nothing runs any more, and every outcome was acknowledged once or can be
//! claimed. A wake that is lost leaves a thread asleep, which shuttle reports as a deadlock. The
//! command is `cargo xtask shuttle`.

#![cfg(bg_shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::env;
use std::sync::{Arc, Mutex};

use bg_core::{
    Claim, ClaimError, Completer, Events, Failure, Finished, Lagged, Output, Registry, Scope, Task,
    TaskContext, TaskError, TaskId, WaitFor,
};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::thread::{self, JoinHandle};

const PCT_DEPTH: usize = 3;

/// Tasks that every role knows of.
const TASKS: usize = 4;

/// Tasks that each spawner adds.
const SPAWNED: usize = 2;

/// Tasks whose futures are polled.
const RUN: usize = 2;

/// The text of the outcome that ends the listener.
const LAST: &str = "last";

/// Reads a number that the caller of the tests may set.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn run(name: &str, scheduler: impl Scheduler + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x10000;
    let executions = shuttle::Runner::new(scheduler, config).run(mix);
    println!("model {name}: {executions} executions");
}

fn count() -> usize {
    usize::try_from(number("BG_SHUTTLE_COUNT", 2_000)).unwrap().div_ceil(2)
}

#[test]
fn every_outcome_is_delivered_once_in_random_orders() {
    let seed = number("BG_SHUTTLE_SEED", 1);
    run("random", RandomScheduler::new_from_seed(seed, count()));
}

#[test]
fn every_outcome_is_delivered_once_in_orders_with_few_switches() {
    let seed = number("BG_SHUTTLE_SEED", 1);
    run("pct depth 3", PctScheduler::new_from_seed(seed, PCT_DEPTH, count()));
}

/// Who acknowledged what. Its lock is std's and never held over a call, so no switch happens under
/// it.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeSet<TaskId>>>);

impl Ledger {
    fn record(&self, id: TaskId) {
        assert!(self.0.lock().unwrap().insert(id), "{id} was delivered twice");
    }

    fn ack(&self, claim: Claim) -> Arc<Finished> {
        let finished = claim.ack();
        self.record(finished.id);
        finished
    }
}

fn register(scope: &Scope) -> (TaskId, Completer) {
    scope.register(Task::new("", "")).unwrap()
}

fn complete(completer: Completer, text: &str) {
    completer.complete(Ok(Output::text(text)));
}

/// One execution: all roles at once, then the quiet phase.
fn mix() {
    let registry = Registry::builder().events_kept(8).build();
    let root = registry.root_scope();
    let ledger = Ledger::default();
    let counting = counter(registry.events());
    let listening = listener(&root, &ledger);
    let (ids, completers): (Vec<_>, Vec<_>) = (0..TASKS).map(|_| register(&root)).unzip();
    let (to, from) = channel();
    for completer in completers {
        to.send(completer).unwrap();
    }
    let from = Arc::new(shuttle::sync::Mutex::new(from));
    let roles = [
        spawner(&root, to.clone()),
        spawner(&root, to),
        completer(from.clone()),
        completer(from),
        waiter(&root, &ids),
        claimer(&root, &ids, &ledger),
        drainer(&root, &ledger),
        canceller(&root, &ids),
        runner(&root),
        runner(&root),
        family(registry.root_scope()),
        leavers(registry.root_scope()),
    ];
    for role in roles {
        role.join().unwrap();
    }

    // Quiet: only the listener and the counter are left.
    let (last, completer) = register(&root);
    complete(completer, LAST);
    listening.join().unwrap();
    root.inbox().drain().for_each(|finished| ledger.record(finished.id));
    assert_eq!(*ledger.0.lock().unwrap(), root.history().iter().map(|f| f.id).collect());
    assert_eq!(root.history().len(), TASKS + 2 * SPAWNED + RUN + 1);
    assert!(root.snapshot().is_empty(), "{:?}", root.snapshot());
    drop(registry);
    counting.join().unwrap();
    assert_eq!(root.outcome(last).unwrap_err().to_string(), TaskError::Closed.to_string());
}

/// Polls the future of a spawned task, as a runtime would: what it reports waits for no lock.
fn runner(root: &Scope) -> JoinHandle<()> {
    let body = |cx: TaskContext| async move {
        cx.step(1);
        Ok(Output::text("run"))
    };
    let (_, future) = root.future_of(Task::new("", ""), body).unwrap();
    thread::spawn(move || block_on(future))
}

/// Registers, and hands on how that will end.
fn spawner(root: &Scope, to: Sender<Completer>) -> JoinHandle<()> {
    let root = root.clone();
    thread::spawn(move || {
        for _ in 0..SPAWNED {
            let (_, completer) = register(&root);
            completer.context().step(1);
            to.send(completer).unwrap();
        }
    })
}

/// Ends what it is handed, in one of three ways.
fn completer(from: Arc<shuttle::sync::Mutex<Receiver<Completer>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for turn in 0.. {
            let received = from.lock().unwrap().recv();
            let Ok(completer) = received else { return };
            match turn % 3 {
                0 => complete(completer, ""),
                1 => completer.complete(Err(Failure::new("failed"))),
                _ => drop(completer),
            }
        }
    })
}

/// Waits in each mode, also for what has ended and was delivered.
fn waiter(root: &Scope, ids: &[TaskId]) -> JoinHandle<()> {
    let (root, ids) = (root.clone(), ids.to_vec());
    thread::spawn(move || {
        let any = block_on(root.wait(ids.clone()).until(WaitFor::Any)).unwrap();
        assert!(!any.ended.is_empty());
        assert_eq!(any.ended.len() + any.pending.len(), ids.len());
        let first = block_on(root.wait(ids.clone()).until(WaitFor::FirstSuccess)).unwrap();
        let succeeded = first.ended.iter().any(|finished| finished.outcome.is_success());
        assert!(succeeded || first.pending.is_empty());
        let all = block_on(root.wait(ids.clone())).unwrap();
        for finished in all.ended {
            assert_eq!(root.outcome(finished.id).unwrap().outcome, finished.outcome);
        }
    })
}

/// Claims by id, acknowledges every other claim and gives the others back.
fn claimer(root: &Scope, ids: &[TaskId], ledger: &Ledger) -> JoinHandle<()> {
    let (root, ids, ledger) = (root.clone(), ids.to_vec(), ledger.clone());
    thread::spawn(move || {
        for id in ids {
            match root.claim(id) {
                Ok(claim) if id.number() % 2 == 0 => drop(ledger.ack(claim)),
                Ok(claim) => drop(claim),
                Err(ClaimError::NotEnded { .. } | ClaimError::Delivered(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    })
}

fn drainer(root: &Scope, ledger: &Ledger) -> JoinHandle<()> {
    let (root, ledger) = (root.clone(), ledger.clone());
    thread::spawn(move || {
        for _ in 0..2 {
            root.inbox().drain().take(2).for_each(|finished| ledger.record(finished.id));
        }
    })
}

/// Gives everything back once and takes it the second time, until the last one comes.
fn listener(root: &Scope, ledger: &Ledger) -> JoinHandle<()> {
    let (root, ledger) = (root.clone(), ledger.clone());
    thread::spawn(move || {
        let mut seen = BTreeSet::new();
        loop {
            let claim = block_on(root.inbox().next()).unwrap();
            if seen.insert(claim.id) {
                continue;
            }
            let finished = ledger.ack(claim);
            if finished.outcome.output().is_some_and(|output| output.text == LAST) {
                return;
            }
        }
    })
}

/// Stops one that may have ended, then everything that is there.
fn canceller(root: &Scope, ids: &[TaskId]) -> JoinHandle<()> {
    let (root, ids) = (root.clone(), ids.to_vec());
    thread::spawn(move || {
        let stop = |id| {
            root.cancel(id, "stop").unwrap();
            // Another thread may be the one that stops it.
            block_on(root.wait([id])).unwrap();
            root.outcome(id).unwrap();
        };
        stop(ids[0]);
        root.cancel_all("stop everything");
        stop(ids[TASKS - 1]);
    })
}

/// A task and its child end at once: the child's outcome is claimed, or listed in its owner's, or
/// the child was stopped with its owner.
fn family(root: Scope) -> JoinHandle<()> {
    thread::spawn(move || {
        let (id, owner) = register(&root);
        let below = owner.context().scope();
        let (child_id, child) = register(&below);
        let ending = thread::spawn(move || complete(owner, ""));
        let completing = thread::spawn(move || complete(child, ""));
        let claimed = below.claim(child_id).map(Claim::ack);
        ending.join().unwrap();
        completing.join().unwrap();
        let finished = root.claim(id).unwrap().ack();
        let completed = below.outcome(child_id).unwrap().outcome.is_success();
        let found = finished.unclaimed().len() + usize::from(claimed.is_ok());
        // Neither when it ended after its owner, before the stop had reached it.
        assert!(found <= usize::from(completed));
        assert!(below.register(Task::new("", "")).is_err());
    })
}

/// Two handles of a root are dropped while its work ends; a claim outlives them.
fn leavers(root: Scope) -> JoinHandle<()> {
    thread::spawn(move || {
        let (id, first) = register(&root);
        let second = register(&root).1;
        complete(first, "held");
        let claim = root.claim(id).unwrap();
        let other = root.clone();
        let leaving = thread::spawn(move || drop(other));
        let completing = thread::spawn(move || complete(second, ""));
        drop(root);
        assert_eq!(claim.ack().outcome.output().unwrap().text, "held");
        leaving.join().unwrap();
        completing.join().unwrap();
    })
}

/// Reads every event or how many it missed, to the end of the registry.
fn counter(mut events: Events) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut expected = 0;
        while let Some(read) = block_on(events.next()) {
            match read {
                Ok(event) => {
                    assert_eq!(event.seq, expected);
                    expected += 1;
                }
                Err(Lagged(missed)) => expected += missed,
            }
        }
    })
}
