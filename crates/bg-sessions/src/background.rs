//! The results of a run's own background work, as the model reads them.

use bg_core::{Claim, Scope, TaskId, WaitFor};
use bg_tools::format_outcome;

/// Waits until background work of the scope has ended, and claims everything that has: its text,
/// and the claims to acknowledge once the model's history has it. `None` when nothing is live or
/// undelivered.
///
/// # Cancel safety
///
/// Safe: outcomes are claimed in the poll that returns them.
pub(crate) async fn next_burst(scope: &Scope) -> Option<(String, Vec<Claim>)> {
    loop {
        // In this order: what ends between the two is claimed, what ends later was seen live.
        let live = live(scope);
        let inbox = scope.inbox();
        let claims: Vec<Claim> = std::iter::from_fn(|| inbox.try_next()).collect();
        if !claims.is_empty() {
            let text = claims.iter().map(|claim| format_outcome(claim)).collect();
            return Some((text, claims));
        }
        if live.is_empty() {
            return None;
        }
        // A wait and not a listener on the inbox: a tool that is still at work in this scope may
        // claim the outcome, and then nothing would come. An error is a task that is gone by now.
        let _ = scope.wait(live).until(WaitFor::Any).await;
    }
}

fn live(scope: &Scope) -> Vec<TaskId> {
    let tasks = scope.snapshot().into_iter();
    tasks.filter(|task| !task.status.is_terminal()).map(|task| task.id).collect()
}
