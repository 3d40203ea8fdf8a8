//! A stop ends a process with everything that it has started, in whatever way that tries to get away.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use bg_core::Status;
use support::fixture::{Fenced, fixture};
use support::{exit, is_running, numbers, output};

in_every_containment!(
    a_thousand_stubborn_processes_are_killed_when_their_grace_is_over,
    a_stopped_process_is_continued_and_killed,
    a_tree_of_any_size_ends,
    a_process_that_left_its_group_ends,
    everything_told_is_true,
    a_storm_of_forks_ends,
    a_hundred_processes_stop_together,
);

/// Beyond the grace, on a machine that does other things too.
const BOUND: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_millis(200);

async fn a_thousand_stubborn_processes_are_killed_when_their_grace_is_over(fenced: Fenced) {
    const AT_ONCE: usize = 50;
    for _ in 0..1000 / AT_ONCE {
        let mut ids = Vec::new();
        for _ in 0..AT_ONCE {
            ids.push(fenced.start("stubborn"));
        }
        for id in &ids {
            fenced.host.output_with(*id, "begun").await;
        }
        let before = Instant::now();
        fenced.host.root.cancel_all("enough");
        for id in ids {
            let done = fenced.host.end(id).await;
            let took = before.elapsed();
            assert_eq!((done.status(), exit(&done).signal), (Status::Cancelled, Some(9)));
            assert!(took >= GRACE && took < GRACE + BOUND, "took {took:?}");
            assert!(!is_running(numbers(&output(&done))[0]), "killed was said before it was true");
        }
    }
    fenced.nobody_left(BOUND).await;
}

async fn a_stopped_process_is_continued_and_killed(fenced: Fenced) {
    let id = fenced.begun("stop-self").await;
    let (done, took) = fenced.stop(id).await;
    // It was continued, and so it could die of SIGTERM.
    assert_eq!(exit(&done).signal, Some(15));
    assert!(took < BOUND, "took {took:?}");
    fenced.nobody_left(BOUND).await;
}

async fn a_tree_of_any_size_ends(fenced: Fenced) {
    for words in ["fork-tree depth=1 fan=1", "fork-tree depth=4 fan=3", "fork-tree depth=2 fan=31"]
    {
        let id = fenced.start(words);
        let said = fenced.host.output_with(id, "begun").await;
        let size = numbers(&said)[1];
        assert_eq!(fenced.traces().find().len(), size as usize, "{words}: all are there");
        let (done, took) = fenced.stop(id).await;
        assert_eq!(done.status(), Status::Cancelled);
        assert!(took < GRACE + BOUND, "{words}: took {took:?}");
        let after = fenced.nobody_left(BOUND).await;
        println!("{:?}: {size} processes: {took:?}, then {after:?}", fenced.fence);
    }
}

async fn a_process_that_left_its_group_ends(fenced: Fenced) {
    for words in ["leave-group", "leave-group how=parent"] {
        let id = fenced.begun(words).await;
        let (done, _) = fenced.stop(id).await;
        assert_eq!(exit(&done).signal, Some(15), "{words}");
        fenced.nobody_left(BOUND).await;
    }
}

/// What is said of a stop: nothing before the kernel has said it.
async fn everything_told_is_true(fenced: Fenced) {
    for words in ["sleep", "stubborn", "fork-tree depth=1 fan=5"] {
        let id = fenced.begun(words).await;
        fenced.host.root.cancel(id, "enough").unwrap();
        while !fenced.host.root.inspect(id).unwrap().status.is_terminal() {
            tokio::task::yield_now().await;
        }
        assert_eq!(fenced.traces().find().len(), 0, "{words}: it has ended and there is more");
        fenced.host.end(id).await;
    }
}

/// Forks that race with the signals. The chains would end by themselves after seconds, not before.
async fn a_storm_of_forks_ends(fenced: Fenced) {
    let id = fenced.begun("fork-tree depth=1 fan=8").await;
    let storm = "trap '' TERM; echo begun; while :; do /bin/true & done";
    let spec = bg_process::ProcessSpec::shell(storm).grace(GRACE).env("BG_STORM", &fenced.word);
    let other = fenced.start_spec(spec);
    fenced.host.output_with(other, "begun").await;
    let (done, took) = fenced.stop(other).await;
    assert_eq!(exit(&done).signal, Some(9));
    assert!(took < GRACE + BOUND, "took {took:?}");
    fenced.stop(id).await;
    fenced.nobody_left(BOUND).await;
}

async fn a_hundred_processes_stop_together(fenced: Fenced) {
    for _ in 0..100 {
        fenced.start_spec(fixture("fork-tree depth=1 fan=2").arg(&fenced.word));
    }
    let before = Instant::now();
    let report = fenced.host.root.close(Duration::from_secs(4)).await;
    assert!(report.unresponsive.is_empty(), "{report:?}");
    assert!(before.elapsed() < Duration::from_secs(5), "took {:?}", before.elapsed());
    fenced.nobody_left(BOUND).await;
}
