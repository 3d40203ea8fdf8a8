//! The results of a run's own background work, as the model reads them.

use bg_core::{Claim, Scope, TaskId, WaitFor};
use bg_tools::{Budget, format_outcome_within};

use crate::compaction::size;

/// Waits until background work of the scope has ended, and claims what has: its text, and the claims
/// to acknowledge once the model's history has it. `None` when nothing is live or undelivered.
///
/// Past so many tokens no further outcome is claimed: it is left for the next turn.
///
/// # Cancel safety
///
/// Safe: outcomes are claimed in the poll that returns them.
pub(crate) async fn next_burst(scope: &Scope, tokens: u64) -> Option<(String, Vec<Claim>)> {
    loop {
        // In this order: what ends between the two is claimed, what ends later was seen live.
        let live = live(scope);
        let burst = claim(scope, tokens);
        if !burst.1.is_empty() {
            return Some(burst);
        }
        if live.is_empty() {
            return None;
        }
        // A wait and not a listener on the inbox: a tool that is still at work in this scope may
        // claim the outcome, and then nothing would come. An error is a task that is gone by now.
        let _ = scope.wait(live).until(WaitFor::Any).await;
    }
}

fn claim(scope: &Scope, tokens: u64) -> (String, Vec<Claim>) {
    let (mut text, mut size, mut claims) = (String::new(), 0_u64, Vec::new());
    let half = usize::try_from(tokens / 2).unwrap_or(usize::MAX);
    let budget = Budget::new(half.min(Budget::DEFAULT_TOKENS));
    let inbox = scope.inbox();
    while size < tokens
        && let Some(claim) = inbox.try_next()
    {
        let outcome = format_outcome_within(&claim, &budget);
        size = size.saturating_add(size::text(&outcome));
        text.push_str(&outcome);
        claims.push(claim);
    }
    (text, claims)
}

fn live(scope: &Scope) -> Vec<TaskId> {
    let tasks = scope.snapshot().into_iter();
    tasks.filter(|task| !task.status.is_terminal()).map(|task| task.id).collect()
}
