//! What a caller sees of its tasks.

use tokio::time::Instant;

use super::{Machine, Record, ScopeKey, State};
use crate::error::TaskError;
use crate::id::{TaskId, TaskRef};
use crate::log::OutputLog;
use crate::outcome::Finished;
use crate::sync::Arc;
use crate::task::Snapshot;

/// A snapshot whose output has not been measured yet: that needs the log's own lock.
pub(crate) type Unmeasured = (Snapshot, Option<OutputLog>);

impl Machine {
    /// Lists the live and undelivered tasks of a scope, by number.
    pub(crate) fn list(&self, scope: ScopeKey, now: Instant) -> Vec<Unmeasured> {
        let Some(root) = self.roots.get(&scope.root) else { return Vec::new() };
        let members = root.scopes.get(&scope.owner).into_iter().flat_map(|s| &s.members);
        members.filter_map(|n| root.records.get(n)).map(|record| record.snapshot(now)).collect()
    }

    /// Shows one task of a scope.
    pub(crate) fn inspect(
        &self,
        scope: ScopeKey,
        task: TaskRef,
        now: Instant,
    ) -> Result<Unmeasured, TaskError> {
        Ok(self.find(scope, task)?.snapshot(now))
    }

    pub(crate) fn resolve(&self, scope: ScopeKey, task: TaskRef) -> Result<TaskId, TaskError> {
        Ok(self.find(scope, task)?.id)
    }

    /// Returns the delivered outcomes of a scope that are still kept, the oldest first.
    pub(crate) fn history(&self, scope: ScopeKey) -> Vec<Arc<Finished>> {
        let Some(root) = self.roots.get(&scope.root) else { return Vec::new() };
        let own = |finished: &&Arc<Finished>| {
            root.records.get(&finished.id.number()).is_some_and(|r| r.owner == scope.owner)
        };
        root.retained().filter(own).cloned().collect()
    }

    /// Returns the output log of a task, if it has one.
    pub(crate) fn task_log(
        &self,
        scope: ScopeKey,
        task: TaskRef,
    ) -> Result<Option<OutputLog>, TaskError> {
        Ok(match &self.find(scope, task)?.state {
            State::Live(live) => live.log.clone(),
            State::Ended { finished, .. } => finished.log.clone(),
        })
    }
}

impl Record {
    pub(super) fn snapshot(&self, now: Instant) -> Unmeasured {
        match &self.state {
            State::Live(live) => {
                let snapshot = Snapshot {
                    id: self.id,
                    label: live.label.clone(),
                    prompt: live.prompt.clone(),
                    status: live.status(),
                    age: now.saturating_duration_since(self.spawned),
                    last_trace: live.trace.last().cloned(),
                    output_bytes: 0,
                    exit: None,
                    reason: None,
                };
                (snapshot, live.log.clone())
            }
            State::Ended { finished, .. } => (Snapshot::ended(finished), finished.log.clone()),
        }
    }
}

impl Snapshot {
    fn ended(finished: &Finished) -> Self {
        Self {
            id: finished.id,
            label: finished.label.clone(),
            prompt: finished.prompt.clone(),
            status: finished.status(),
            age: finished.elapsed,
            last_trace: finished.trace.last().cloned(),
            output_bytes: 0,
            exit: finished.outcome.output().and_then(|output| output.exit),
            reason: finished.outcome.reason(),
        }
    }
}
