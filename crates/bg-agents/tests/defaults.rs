//! The facade limits what a root may have.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;

use bg_agents::core::{Completer, LimitKind, Scope, SpawnError, Status};
use bg_agents::{Background, Task};

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, SpawnError>, limit: LimitKind, value: u64) {
    assert_eq!(result.unwrap_err(), SpawnError::Limit { limit, value });
}

#[tokio::test]
async fn thirty_two_run_and_a_thousand_and_twenty_four_wait() {
    let background = Background::builder().build().unwrap();
    let root = background.root_scope();
    let spawn = || root.spawn(Task::new("task", ""), |_| pending());
    let ids: Vec<_> = (0..32 + 1024).map(|_| spawn().unwrap()).collect();
    let waits = |id| root.inspect(id).unwrap().status == Status::Pending;
    assert!(!waits(ids[31]) && waits(ids[32]));
    check_refused(spawn(), LimitKind::Queued, 1024);
}

#[test]
fn tasks_nest_four_deep() {
    fn below(scope: &Scope) -> Result<Completer, SpawnError> {
        scope.register(Task::new("task", "")).map(|(_, completer)| completer)
    }
    let background = Background::builder().build().unwrap();
    let mut owners = vec![below(&background.root_scope()).unwrap()];
    for _ in 1..4 {
        owners.push(below(&owners.last().unwrap().context().scope()).unwrap());
    }
    check_refused(below(&owners[3].context().scope()), LimitKind::Depth, 4);
}
