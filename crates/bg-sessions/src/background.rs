//! The results of a run's own background work, as the model reads them.

use std::pin::pin;
use std::sync::Arc;

use bg_core::{Claim, Finished, Kind, Phase, Scope, Snapshot, TaskId, WaitFor};
use bg_tools::{Budget, format_outcome_within};
use futures_util::future::select;

use crate::compaction::size;

/// Outcomes of children that a model is to be told together.
#[derive(Default)]
pub(crate) struct Burst {
    pub(crate) text: String,
    /// To be acknowledged once the model has answered.
    pub(crate) claims: Vec<Claim>,
    /// Those that nobody is to be told. They are acknowledged.
    pub(crate) dropped: Vec<Arc<Finished>>,
}

/// Waits until background work of the scope has ended, and claims what has. `None` when nothing is
/// live or undelivered.
///
/// Past so many tokens no further outcome is claimed: it is left for the next turn.
///
/// # Cancel safety
///
/// Safe: outcomes are claimed in the poll that returns them.
pub(crate) async fn next_burst(scope: &Scope, tokens: u64) -> Option<Burst> {
    loop {
        // In this order: what ends between the two is claimed, what ends later was seen live.
        let live = live(scope);
        let burst = burst(scope, tokens, |_| false);
        if !burst.claims.is_empty() {
            return Some(burst);
        }
        if live.is_empty() {
            return None;
        }
        // Not a listener on the inbox alone: a tool that is still at work in this scope may claim the
        // outcome, and then nothing would come. Not a wait alone: a session starts tasks for its
        // caller that were not there before. An error is a task that is gone by now.
        let ended = scope.wait(live).until(WaitFor::Any);
        select(pin!(ended), scope.inbox().ready()).await;
    }
}

/// Claims outcomes of the scope as long as their text has no more than so many tokens, but for the
/// last one.
pub(crate) fn burst(scope: &Scope, tokens: u64, is_dropped: impl Fn(&Claim) -> bool) -> Burst {
    let (mut burst, mut size) = (Burst::default(), 0_u64);
    let half = usize::try_from(tokens / 2).unwrap_or(usize::MAX);
    let budget = Budget::new(half.min(Budget::DEFAULT_TOKENS));
    let inbox = scope.inbox();
    while size < tokens
        && let Some(claim) = inbox.try_next()
    {
        if is_dropped(&claim) {
            burst.dropped.push(claim.ack());
            continue;
        }
        let outcome = format_outcome_within(&claim, &budget);
        size = size.saturating_add(size::text(&outcome));
        burst.text.push_str(&outcome);
        burst.claims.push(claim);
    }
    burst
}

/// Returns whether something of the scope is at work.
pub(crate) fn is_working(scope: &Scope) -> bool {
    scope.live() > 0 && !live(scope).is_empty()
}

/// The tasks that are at work. A session that waits for its caller is not.
pub(crate) fn live(scope: &Scope) -> Vec<TaskId> {
    let tasks = scope.snapshot().into_iter();
    let waits =
        |task: &Snapshot| task.id.kind() == Kind::SESSION && task.phase == Phase::WaitingForInput;
    tasks.filter(|task| !task.status.is_terminal() && !waits(task)).map(|task| task.id).collect()
}
