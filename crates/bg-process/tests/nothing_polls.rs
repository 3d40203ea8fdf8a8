//! Exits are events: they arrive without a call, and waiting for them costs nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

#[macro_use]
mod support;

use std::fs;
use std::time::Duration;

use bg_core::Status;
use bg_process::{GuardStatus, ProcessSpec, guard_status};
use support::fixture::{Fenced, fixture};
use support::{exit, numbers};

in_every_containment!(
    an_exit_arrives_although_nobody_asks,
    many_that_wait_for_many_cost_nothing,
    what_has_ended_is_kept_as_long_as_it_should_be_and_no_longer,
    an_id_is_no_number_of_a_process,
);

/// Where tests share a process, they would count each other's wakes.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn an_exit_arrives_although_nobody_asks(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    let inbox = fenced.host.root.inbox();
    for code in [0, 1, 3] {
        let script = format!("echo $$; exit {code}");
        let id = fenced.start_spec(ProcessSpec::shell(script));
        let claim = tokio::time::timeout(Duration::from_secs(10), inbox.next()).await;
        let done = claim.unwrap().unwrap().ack();
        assert_eq!((done.id, exit(&done).code), (id, Some(code)));
        let pid = numbers(&support::output(&done))[0];
        assert!(!fs::exists(format!("/proc/{pid}/stat")).unwrap(), "it is not even a zombie");
    }
}

/// How often the threads of a process were given the processor because they had waited.
fn wakes(pid: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok);
    let statuses = threads.filter_map(|it| fs::read_to_string(it.path().join("status")).ok());
    let counts = statuses.filter_map(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok()
    });
    counts.sum()
}

async fn many_that_wait_for_many_cost_nothing(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    let root = &fenced.host.root;
    let start = |number| {
        let spec = fixture("deaf").arg(&fenced.word);
        fenced.start_spec(if number % 3 == 0 { spec } else { spec.interactive() })
    };
    let ids: Vec<_> = (0..100).map(start).collect();
    for (number, id) in ids.iter().enumerate() {
        fenced.host.output_with(*id, "begun").await;
        if number % 3 == 1 {
            // More than the pipe takes.
            root.send(*id, vec![0; 100_000]).unwrap();
        }
    }
    let waiters: Vec<_> = (0..100).map(|_| tokio::spawn(root.wait(ids.clone()))).collect();
    // Whatever is due at once is over when another process has come and gone.
    let clock = fenced.start_spec(ProcessSpec::new("sleep").arg("0.2"));
    fenced.host.end(clock).await;
    let guard = match guard_status() {
        GuardStatus::Running { pid, .. } => pid.to_string(),
        _ => "self".to_owned(),
    };
    let before = (wakes("self"), wakes(&guard));
    let clock = fenced.start_spec(ProcessSpec::new("sleep").arg("0.5"));
    fenced.host.end(clock).await;
    let woken = (wakes("self") - before.0, wakes(&guard) - before.1);
    // The start and the exit of the clock, and not 100 children 5 times.
    assert!(woken.0 < 100 && woken.1 < 100, "{woken:?} wakes in half a second");
    root.cancel_all("enough");
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap().ended.len(), 100);
    }
}

async fn what_has_ended_is_kept_as_long_as_it_should_be_and_no_longer(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    for _ in 0..20 {
        let ids: Vec<_> = (0..30).map(|_| fenced.start_spec(ProcessSpec::new("true"))).collect();
        for id in ids {
            fenced.host.end(id).await;
        }
    }
    let kept = fenced.host.root.history().len();
    assert!(kept <= bg_core::Retention::default().count, "{kept} are kept");
    assert_eq!(fenced.host.root.live(), 0);
}

async fn an_id_is_no_number_of_a_process(fenced: Fenced) {
    let _alone = ALONE.lock().await;
    let id = fenced.start_spec(fixture("sleep").arg(&fenced.word));
    let pid = numbers(&fenced.host.output_with(id, "begun").await)[0];
    // The first task was the one that found out whether there is this containment.
    assert_eq!(id.to_string(), "process:2");
    let by_pid = fenced.host.root.resolve(&format!("process:{pid}"));
    assert!(by_pid.is_err() || pid <= 2, "{by_pid:?}");
    let (done, _) = fenced.stop(id).await;
    assert_eq!(done.status(), Status::Cancelled);
}
