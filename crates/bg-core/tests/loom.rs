//! Every order of the locks of the registry, for a few threads at a time.
//!
//! No runtime takes part: what is modelled is the registry's own locks and wakers. A wake that is
//! lost is a deadlock here, an outcome that is lost or doubled fails an assertion. The command is
//! `cargo xtask loom`.

#![cfg(bg_loom)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bg_core::{
    CancelOutcome, Claim, ClaimError, Completer, EventKind, Finished, Outcome, Output, Registry,
    Scope, Status, Stream, Task, TaskError, TaskId,
};
use loom::future::block_on;
use loom::thread;

/// Runs a model in every order, or in all with at most so many preemptions, and says how many
/// there were.
fn check(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("model {name}: {} executions", executions.load(Ordering::Relaxed));
}

fn register(scope: &Scope) -> (TaskId, Completer) {
    scope.register(Task::new("", "")).unwrap()
}

fn complete(completer: Completer) {
    completer.complete(Ok(Output::default()));
}

fn next(scope: &Scope) -> Claim {
    block_on(scope.inbox().next()).unwrap()
}

/// Whoever sees that a task has ended finds its outcome at once, and it is the same one.
fn look(scope: &Scope, id: TaskId) {
    let status = scope.inspect(id).unwrap().status;
    match scope.outcome(id) {
        Ok(finished) if status.is_terminal() => assert_eq!(finished.status(), status),
        Ok(_) => {}
        Err(ClaimError::NotEnded { .. }) => assert!(!status.is_terminal(), "{status} without one"),
        Err(other) => panic!("{other:?}"),
    }
}

/// Takes what is left in the inbox: nothing, or what one holder is still owed.
fn drain(scope: &Scope) -> usize {
    scope.inbox().drain().count()
}

/// A wait sees the one task that it waits for.
fn wait(scope: &Scope, id: TaskId) -> Arc<Finished> {
    let waited = block_on(scope.wait([id])).unwrap();
    assert_eq!((waited.ended.len(), waited.pending.len(), waited.timed_out), (1, 0, false));
    let seen = waited.ended[0].clone();
    assert_eq!(scope.outcome(id).unwrap().outcome, seen.outcome);
    seen
}

#[test]
fn a_claim_and_a_wait_race_for_one_end() {
    check("completer, waiter, claimer", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        let completing = thread::spawn(move || complete(completer));
        let scope = root.clone();
        let waiting = thread::spawn(move || {
            let waited = block_on(scope.wait([id])).unwrap();
            assert_eq!((waited.ended.len(), waited.pending.len()), (1, 0));
            waited.ended[0].status()
        });
        let mut taken = 0;
        match root.claim(id) {
            Ok(claim) => taken += usize::from(claim.ack().status() == Status::Completed),
            Err(error) => assert!(matches!(error, ClaimError::NotEnded { .. }), "{error:?}"),
        }
        completing.join().unwrap();
        assert_eq!(waiting.join().unwrap(), Status::Completed);
        assert_eq!(taken + drain(&root), 1);
        assert!(matches!(root.claim(id), Err(ClaimError::Delivered(_))));
    });
}

#[test]
fn whoever_sees_an_end_finds_its_outcome() {
    check("completer, canceller, looker", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        let completing = thread::spawn(move || complete(completer));
        let scope = root.clone();
        let stopping = thread::spawn(move || scope.cancel(id, "stop").unwrap());
        look(&root, id);
        completing.join().unwrap();
        stopping.join().unwrap();
        assert_eq!(drain(&root), 1);
    });
}

#[test]
fn a_listener_is_woken_although_somebody_else_drains() {
    check("completer, drainer, listener", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (first, second) = (register(&root).1, register(&root).1);
        complete(first);
        let completing = thread::spawn(move || complete(second));
        let scope = root.clone();
        let listening = thread::spawn(move || next(&scope).ack().id);
        let drained = root.inbox().drain().next().map(|finished| finished.id);
        completing.join().unwrap();
        let listened = listening.join().unwrap();
        assert_ne!(drained, Some(listened));
        assert_eq!(usize::from(drained.is_some()) + drain(&root), 1);
    });
}

#[test]
fn what_is_given_back_reaches_whoever_listens() {
    check("giver, taker, listener", Some(4), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        complete(completer);
        let claim = root.claim(id).unwrap();
        let giving = thread::spawn(move || drop(claim));
        let scope = root.clone();
        let listening = thread::spawn(move || assert_eq!(next(&scope).ack().id, id));
        drop(root.inbox().try_next());
        giving.join().unwrap();
        listening.join().unwrap();
        assert_eq!(drain(&root), 0);
    });
}

#[test]
fn a_listener_that_goes_away_takes_no_wake_with_it() {
    check("completer, leaver, listener", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let completer = register(&root).1;
        let completing = thread::spawn(move || complete(completer));
        let scope = root.clone();
        let listening = thread::spawn(move || next(&scope).ack().id);
        let mut leaving = root.inbox().next();
        let polled = Pin::new(&mut leaving).poll(&mut Context::from_waker(Waker::noop()));
        drop(leaving);
        // It may hold the outcome; then this gives it back.
        drop(polled);
        completing.join().unwrap();
        listening.join().unwrap();
        assert_eq!(drain(&root), 0);
    });
}

/// A stop and a completion race: one of them is the outcome, and the other side is told so.
fn stop(scope: &Scope, id: TaskId) {
    let told = scope.cancel(id, "stop").unwrap();
    let finished = scope.outcome(id).unwrap();
    match told {
        CancelOutcome::Requested => assert_eq!(finished.status(), Status::Cancelled),
        CancelOutcome::AlreadyEnded(status) => assert_eq!(status, finished.status()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stop_and_a_completion_make_one_end() {
    check("canceller, completer, waiter", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        let completing = thread::spawn(move || complete(completer));
        let scope = root.clone();
        let waiting = thread::spawn(move || wait(&scope, id).outcome.clone());
        stop(&root, id);
        completing.join().unwrap();
        let seen = waiting.join().unwrap();
        assert_eq!(root.inbox().try_next().unwrap().ack().outcome, seen);
        assert_eq!(drain(&root), 0);
    });
}

#[test]
fn a_stop_a_completion_a_wait_and_a_listener_agree() {
    check("completer, canceller, waiter, drainer", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        let completing = thread::spawn(move || complete(completer));
        let scope = root.clone();
        let waiting = thread::spawn(move || wait(&scope, id).outcome.clone());
        let scope = root.clone();
        let draining = thread::spawn(move || next(&scope).ack().outcome.clone());
        stop(&root, id);
        completing.join().unwrap();
        assert_eq!(waiting.join().unwrap(), draining.join().unwrap());
        assert_eq!(drain(&root), 0);
    });
}

#[test]
fn a_child_is_delivered_or_listed_when_its_owner_ends() {
    check("owner, child, claimer", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (owner_id, owner) = register(&root);
        let below = owner.context().scope();
        let (id, child) = register(&below);
        let ending = thread::spawn(move || complete(owner));
        let completing = thread::spawn(move || complete(child));
        let taken = below.claim(id).map(|claim| claim.ack().status());
        ending.join().unwrap();
        completing.join().unwrap();
        let listed = root.claim(owner_id).unwrap().ack().unclaimed().to_vec();
        match (below.outcome(id).unwrap().status(), listed.as_slice()) {
            (Status::Completed, [listed]) => assert!(taken.is_err() && listed.id == id),
            // Claimed, or it ended after its owner, before the stop had reached it.
            (Status::Completed, []) => {
                assert_ne!(taken.unwrap_or(Status::Completed), Status::Cancelled);
            }
            (Status::Cancelled, []) => assert!(taken.is_err()),
            other => panic!("{other:?}"),
        }
        assert_eq!(drain(&below) + drain(&root), 0);
    });
}

#[test]
fn a_subscriber_is_woken_for_every_event() {
    check("two publishers, subscriber", None, || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (first, second) = (register(&root).1, register(&root).1);
        let mut events = registry.events();
        let publishing = [first, second].map(|c| thread::spawn(move || complete(c)));
        for seq in 0..2 {
            let event = block_on(events.next()).unwrap().unwrap();
            assert_eq!((event.seq, event.what), (seq, EventKind::Status(Status::Completed)));
        }
        for publishing in publishing {
            publishing.join().unwrap();
        }
        assert_eq!(drain(&root), 2);
    });
}

#[test]
fn the_end_of_the_registry_releases_everybody() {
    check("closer, waiter, listener", Some(2), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = register(&root);
        let scope = root.clone();
        let waiting = thread::spawn(move || match block_on(scope.wait([id])) {
            Ok(waited) => assert!(matches!(waited.ended[0].outcome, Outcome::Cancelled(_))),
            Err(error) => assert_eq!(error, TaskError::Closed),
        });
        let scope = root.clone();
        let listening = thread::spawn(move || block_on(scope.inbox().next()).map(Claim::ack));
        drop(registry);
        waiting.join().unwrap();
        listening.join().unwrap();
        complete(completer);
        assert!(root.register(Task::new("", "")).is_err());
    });
}

/// Polls what a runtime would: the future of a spawned task, to its end.
fn run(scope: &Scope) -> (TaskId, thread::JoinHandle<()>) {
    let body = |_| async { Ok(Output::default()) };
    let (id, future) = scope.future_of(Task::new("", ""), body).unwrap();
    (id, thread::spawn(move || block_on(future)))
}

#[test]
fn what_two_tasks_report_while_the_lock_is_taken_is_applied() {
    check("two tasks, listener", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (_, first) = run(&root);
        let (_, second) = run(&root);
        next(&root).ack();
        next(&root).ack();
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(drain(&root), 0);
    });
}

#[test]
fn a_task_that_ends_by_itself_is_seen_by_a_wait_and_a_look() {
    check("task, waiter, looker", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, running) = run(&root);
        let looking = {
            let root = root.clone();
            thread::spawn(move || look(&root, id))
        };
        wait(&root, id);
        running.join().unwrap();
        looking.join().unwrap();
        assert_eq!(drain(&root), 1);
    });
}

#[test]
fn a_subscriber_is_told_of_a_start_that_nobody_else_looks_for() {
    check("task, subscriber", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let mut events = registry.events();
        let (_, running) = run(&root);
        let ended = EventKind::Status(Status::Completed);
        while block_on(events.next()).unwrap().unwrap().what != ended {}
        running.join().unwrap();
    });
}

#[test]
fn a_follower_is_woken_by_what_is_written_and_by_the_end() {
    check("follower, completer", Some(3), || {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (_, completer) = register(&root);
        let log = completer.context().log();
        let mut follow = log.follow(0);
        let ending = thread::spawn(move || {
            log.write(Stream::Stdout, b"a");
            complete(completer);
        });
        assert_eq!(block_on(follow.next(9)).unwrap().bytes, b"a");
        assert!(block_on(follow.next(9)).is_none());
        ending.join().unwrap();
    });
}
