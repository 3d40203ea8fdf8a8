//! The exit of a process and the end of its output are two events.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use bg_core::Status;
use support::fixture::Fenced;
use support::{exit, numbers};

in_every_containment!(
    what_a_process_does_with_its_descriptors_does_not_change_its_status,
    an_exit_waits_for_whoever_holds_the_pipe_as_long_as_the_drain,
    a_holder_that_ends_in_time_loses_no_output,
);

/// Closed or kept, both streams, by one that ends and by one that lives: eight habits.
async fn what_a_process_does_with_its_descriptors_does_not_change_its_status(fenced: Fenced) {
    for closes in ["", "out", "err", "out err"] {
        let ended = fenced.start(format!("closer {closes} exit=6").as_str());
        let done = fenced.host.end(ended).await;
        assert_eq!(exit(&done).code, Some(6), "closes {closes:?}");
        let lives = fenced.begun(format!("closer say {closes}").as_str()).await;
        let status = fenced.host.root.inspect(lives).unwrap().status;
        assert!(matches!(status, Status::Running { .. }), "closes {closes:?}: {status:?}");
        fenced.host.root.cancel(lives, "seen enough").unwrap();
        let done = fenced.host.end(lives).await;
        assert_eq!((done.status(), exit(&done).signal), (Status::Cancelled, Some(15)));
    }
    fenced.nobody_left(Duration::from_secs(1)).await;
}

async fn an_exit_waits_for_whoever_holds_the_pipe_as_long_as_the_drain(fenced: Fenced) {
    let drain = Duration::from_millis(500);
    for words in
        ["holder ms=60000 setsid exit=4", "holder ms=60000 exit=4", "daemonise hold exit=4"]
    {
        let id = fenced.start(words);
        fenced.host.output_with(id, "begun").await;
        let before = Instant::now();
        let done = fenced.host.end(id).await;
        let took = before.elapsed();
        assert_eq!(exit(&done).code, Some(4), "{words}");
        assert!(took < drain + Duration::from_millis(1500), "{words}: took {took:?}");
    }
}

async fn a_holder_that_ends_in_time_loses_no_output(fenced: Fenced) {
    let id = fenced.begun("holder ms=100 setsid exit=4").await;
    let done = fenced.host.end(id).await;
    assert_eq!(exit(&done).code, Some(4));
    assert_eq!(done.outcome.output().unwrap().data(), None, "its output is complete");
    let holder = numbers(&support::output(&done))[1];
    // The end of the output was the end of its holder, or is about to be.
    support::all_dead(&[holder], Duration::from_secs(1)).await;
}
