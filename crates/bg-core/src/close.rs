//! Closing a scope: one deadline for everything below it, and an honest report.

use std::time::Duration;

use crate::id::TaskId;
use crate::outcome::Finished;
use crate::scope::Scope;
use crate::sync::Arc;
use crate::wait::Watch;

/// How long aborted futures get to run their destructors.
const LAST: Duration = Duration::from_secs(1);

/// What became of the tasks below a scope that was closed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// Those that were live and have ended, in order of their ending.
    pub ended: Vec<Arc<Finished>>,
    /// Those that would not end: a future in a busy loop cannot be aborted.
    pub unresponsive: Vec<TaskId>,
}

pub(crate) async fn close(scope: &Scope, grace: Duration) -> CloseReport {
    let cell = scope.cell();
    let closing = cell.shared.call(|machine, fx| machine.close_scope(cell.key, grace, fx));
    let Some((live, begun)) = closing else { return CloseReport::default() };
    let mut watch = Watch::new(scope.clone(), Some(begun));
    if !watch.settle(grace).await {
        let now = cell.shared.now();
        for id in &live {
            cell.shared.call(|m, fx| m.force(cell.key.task(id.number()), now, fx));
        }
        watch.settle(LAST).await;
    }
    let Some(seen) = watch.end() else {
        // The registry went away meanwhile, and what became of them with it.
        return CloseReport { ended: Vec::new(), unresponsive: live };
    };
    let unresponsive = seen.pending.into_iter().map(|snapshot| snapshot.id).collect();
    CloseReport { ended: seen.ended, unresponsive }
}
