//! Daemons: a double fork, a session of its own, another folder, no pipes, no environment.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::time::Duration;

use bg_core::{Finished, Status};
use bg_process::Containment;
use serde_json::Value;
use support::fixture::{FENCES, Fenced, fixture};
use support::{exit, is_running, numbers};

in_exact_containment!(
    daemons_end_with_a_stop,
    daemons_end_with_the_exit_of_their_leader,
    daemons_end_with_their_registry,
    chains_at_every_speed_die_out,
    a_stop_ends_exactly_its_own_daemon,
    a_holder_is_named_and_ended,
);

const BOUND: Duration = Duration::from_secs(1);

const DAEMONS: &[&str] = &[
    "daemonise",
    "daemonise clear",
    "daemonise clear closed",
    "daemonise hold",
    "daemonise hold clear",
    "holder ms=60000 setsid",
];

fn receipt(done: &Finished) -> Value {
    let output = done.outcome.output().unwrap_or_else(|| panic!("{done:?}"));
    output.data().unwrap_or_else(|| panic!("{done:?}"))["receipt"].clone()
}

#[track_caller]
fn check_gone(fenced: &Fenced, done: &Finished) {
    let receipt = receipt(done);
    assert_eq!(receipt["verdict"], "gone", "{receipt}");
    assert_eq!(receipt["survivors"], serde_json::json!([]));
    let name = serde_json::to_value(fenced.fence).unwrap();
    assert_eq!(receipt["containment"], name);
}

async fn daemons_end_with_a_stop(fenced: Fenced) {
    for words in DAEMONS {
        let id = fenced.begun(words).await;
        let (done, took) = fenced.stop(id).await;
        assert_eq!(done.status(), Status::Cancelled);
        assert!(took < BOUND, "{words}: took {took:?}");
        // It is said after it is true.
        assert_eq!(fenced.traces().find().len(), 0, "{words}");
        check_gone(&fenced, &done);
    }
}

async fn daemons_end_with_the_exit_of_their_leader(fenced: Fenced) {
    for words in DAEMONS {
        let spec = fixture(words).arg("exit=3").arg(&fenced.word);
        let id = fenced.start_spec(spec.drain(Duration::from_millis(100)));
        let done = fenced.host.end(id).await;
        assert_eq!((done.status(), exit(&done).code), (Status::Completed, Some(3)), "{words}");
        fenced.nobody_left(BOUND).await;
    }
}

async fn daemons_end_with_their_registry(fenced: Fenced) {
    for words in DAEMONS {
        fenced.begun(words).await;
    }
    let traces = fenced.traces();
    drop(fenced);
    support::fixture::nobody_left(&traces, BOUND).await;
}

async fn chains_at_every_speed_die_out(fenced: Fenced) {
    for us in [0, 10, 50, 200, 1000, 5000, 20_000] {
        for exits in ["", " exit=0"] {
            let id = fenced.begun(&format!("chain us={us} heads=2{exits}")).await;
            let (done, took) = fenced.stop(id).await;
            assert!(took < BOUND, "{us} us: took {took:?}, {:?}", done.outcome);
            fenced.nobody_left(BOUND).await;
        }
    }
}

/// Two tasks, both of which detach a daemon that nothing gives away.
async fn a_stop_ends_exactly_its_own_daemon(fenced: Fenced) {
    let mut daemons = Vec::new();
    for _ in 0..2 {
        let id = fenced.start("daemonise clear");
        let said = fenced.host.output_with(id, "begun").await;
        daemons.push((id, numbers(&said)));
    }
    let [(first, ours), (second, others)] = &daemons[..] else { panic!("{daemons:?}") };
    let (done, _) = fenced.stop(*first).await;
    check_gone(&fenced, &done);
    assert!(ours.iter().all(|pid| !is_running(*pid)), "its own are gone");
    assert!(others.iter().all(|pid| is_running(*pid)), "the others are there");
    let (done, _) = fenced.stop(*second).await;
    check_gone(&fenced, &done);
    fenced.nobody_left(BOUND).await;
}

async fn a_holder_is_named_and_ended(fenced: Fenced) {
    for words in ["holder ms=60000 setsid exit=4", "daemonise hold clear exit=4"] {
        let spec = fixture(words).arg(&fenced.word).drain(Duration::from_millis(100));
        let id = fenced.start_spec(spec);
        let done = fenced.host.end(id).await;
        assert_eq!(exit(&done).code, Some(4));
        let data = done.outcome.output().unwrap().data().cloned().unwrap();
        let holder = &data["output_incomplete"]["holders"][0];
        let said = support::output(&done);
        let named = numbers(&said).iter().skip(1).any(|pid| holder["pid"] == *pid);
        assert!(named, "{words}: {data} and {said:?}");
        assert!(holder["command"].as_str().unwrap().contains(&fenced.word), "{data}");
        fenced.nobody_left(BOUND).await;
    }
}

/// What is not promised without a guard, and that it is told.
#[tokio::test]
async fn without_a_guard_the_receipt_says_that_it_did_not_see_everything() {
    let fenced = Fenced::new(Containment::Marked).await.unwrap();
    let id = fenced.start("daemonise clear");
    let said = fenced.host.output_with(id, "begun").await;
    // The leader has exited from the daemon's fork: what descends from it is not found either.
    let (done, _) = fenced.stop(id).await;
    assert_eq!(receipt(&done)["verdict"], "gone_as_far_as_seen");
    assert!(is_running(numbers(&said)[1]), "if this fails, more can be promised");
    fenced.traces().clean_up();
}

#[tokio::test]
async fn a_marked_daemon_ends_with_a_stop_without_a_guard() {
    let fenced = Fenced::new(Containment::Marked).await.unwrap();
    for words in ["daemonise", "daemonise closed", "holder ms=60000 setsid", "chain us=2000"] {
        let id = fenced.begun(words).await;
        let (done, _) = fenced.stop(id).await;
        assert_eq!(receipt(&done)["verdict"], "gone_as_far_as_seen", "{words}");
        fenced.nobody_left(BOUND).await;
    }
}

/// Daemons of the guard's tasks have one parent; each still ends with its own task.
#[tokio::test]
async fn daemons_of_many_tasks_are_told_apart() {
    for fence in FENCES.iter().filter(|fence| fence.is_exact()) {
        let Some(fenced) = Fenced::new(*fence).await else { continue };
        let mut tasks = Vec::new();
        for _ in 0..30 {
            tasks.push(fenced.begun("daemonise clear").await);
        }
        let mut left = 60;
        for id in tasks {
            assert_eq!(fenced.traces().find().len(), left);
            let (done, _) = fenced.stop(id).await;
            check_gone(&fenced, &done);
            left -= 2;
        }
        assert_eq!(fenced.traces().find().len(), left);
    }
}
