//! Stopping: requests, cascades, force.

use std::time::Duration;

use super::record::{Marks, Record};
use super::wait::Begun;
use super::{Foreign, Key, Live, Machine, Root, RootId, ScopeKey, Slot, Stamp};
use crate::effects::Effects;
use crate::error::TaskError;
use crate::events::EventKind;
use crate::id::{TaskId, TaskRef};
use crate::machine::WaitFor;
use crate::outcome::{Finished, Reason};
use crate::status::Status;
use crate::sync::Arc;
use crate::task::Task;

/// What a request to stop a task did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The stop was requested now.
    Requested,
    /// It had been requested before; nothing was done.
    AlreadyRequested,
    /// The task had ended; nothing was done.
    AlreadyEnded(Status),
}

impl Machine {
    /// Stops one task and everything below it.
    pub(crate) fn cancel(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
        reason: Reason,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<CancelOutcome, TaskError> {
        let record = self.find(scope, task)?;
        let root = self.roots.get(scope.root.0);
        let outcome = match record.live() {
            None => CancelOutcome::AlreadyEnded(record.status()),
            Some(_) if root.is_some_and(|root| root.is_stopped(record)) => {
                CancelOutcome::AlreadyRequested
            }
            Some(_) => CancelOutcome::Requested,
        };
        let key = scope.task(record.number());
        self.stop(key, &Arc::new(reason), None, now, fx);
        Ok(outcome)
    }

    /// Stops every live task of a scope; returns those that had not been stopped before.
    pub(crate) fn cancel_all(
        &mut self,
        scope: ScopeKey,
        reason: Reason,
        fx: &mut Effects,
    ) -> usize {
        self.sweep(scope, &Arc::new(reason), None, fx)
    }

    /// Refuses new tasks in a scope and stops what is in it, with `grace` in place of each task's
    /// own. Returns every task that was live below it, and a wait for all of them that began before
    /// any of them was stopped.
    pub(crate) fn close_scope(
        &mut self,
        scope: ScopeKey,
        grace: Duration,
        fx: &mut Effects,
    ) -> (Vec<TaskId>, Begun) {
        self.refuse_tasks(scope, fx);
        let below = self.live_below(scope);
        let numbers = below.iter().map(|id| id.number()).collect();
        let wait = self.wait_for(scope.root, numbers, WaitFor::All, fx);
        self.sweep(scope, &Arc::new(Reason::Closed), Some(grace), fx);
        (below, wait)
    }

    /// Closes a root because the host's token above it has fired: each task has its own grace.
    pub(crate) fn parent_cancelled(&mut self, root: RootId, fx: &mut Effects) {
        let scope = ScopeKey { root, owner: ScopeKey::ROOT_OWNER };
        self.refuse_tasks(scope, fx);
        self.sweep(scope, &Arc::new(Reason::ParentCancelled), None, fx);
    }

    fn refuse_tasks(&mut self, scope: ScopeKey, fx: &mut Effects) {
        if let Some(state) = self.scope_mut(scope) {
            state.closed = true;
            state.wake_if_over(fx);
        }
    }

    /// Refuses everything from here on and aborts what runs, without waiting for it.
    pub(crate) fn close_registry(&mut self, now: Stamp, fx: &mut Effects) {
        self.closed = true;
        let reason = Arc::new(Reason::Closed);
        for key in self.all_live() {
            self.stop(key, &reason, Some(Duration::ZERO), now, fx);
            self.force(key, now, fx);
        }
        for scope in self.roots.values_mut().flat_map(|root| root.scopes.values_mut()) {
            scope.wake_listeners(fx);
            scope.clear_ready();
        }
        self.wake_all_waits(fx);
        for slot in std::mem::take(&mut self.waits).into_values() {
            slot.drop_in(fx);
        }
        self.events.close(fx);
        // Whoever still has a handle keeps the shell, not what was in it.
        for root in std::mem::take(&mut self.roots).into_values() {
            root.drop_in(fx);
        }
        self.sweeps.clear();
    }

    /// Every live record, also of a root whose last handle is gone.
    fn all_live(&self) -> Vec<Key> {
        let live = |root: RootId, record: &Record| {
            record.live().map(|_| Key { root, number: record.number() })
        };
        let roots = self.roots.iter();
        let all = roots.flat_map(|(id, root)| {
            root.records.iter().filter_map(move |record| live(RootId(id), record))
        });
        all.collect()
    }

    /// Requests a stop of one task; what is below it is swept.
    pub(super) fn stop(
        &mut self,
        key: Key,
        reason: &Arc<Reason>,
        grace: Option<Duration>,
        now: Stamp,
        fx: &mut Effects,
    ) {
        let Some((id, live)) = self.live_mut(key) else { return };
        if live.stop.is_some() {
            return;
        }
        live.stop = Some(reason.clone());
        let over = live.request_stop(key, grace, fx);
        self.unattached += usize::from(live.wants_handle());
        self.count_stopped(key);
        self.publish(key.root, id, fx, || EventKind::CancelRequested);
        self.sweep(ScopeKey { root: key.root, owner: key.number }, reason, grace, fx);
        if over {
            self.finish_aborted(key, id, now, fx);
        }
    }

    fn count_stopped(&mut self, key: Key) {
        let Some(root) = self.roots.get_mut(key.root.0) else { return };
        let Some(owner) = root.records.get(key.number).map(|record| record.owner) else { return };
        if let Some(scope) = root.scopes.get_mut(owner).filter(|s| s.covers(key.number).is_none()) {
            scope.unstopped -= 1;
        }
    }

    /// A task has reached its deadline.
    pub(crate) fn deadline(&mut self, key: Key, now: Stamp, fx: &mut Effects) {
        self.stop(key, &Arc::new(Reason::DeadlineExceeded), None, now, fx);
    }

    /// Ends a task whose grace is over: aborts its future, or gives up on the holder of its
    /// completer. A future in a busy loop cannot be aborted and stays live.
    pub(crate) fn force(&mut self, key: Key, now: Stamp, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        live.marks.set(Marks::FORCED);
        live.abort(fx);
        if live.marks.slot() == Slot::Elsewhere {
            self.finish_aborted(key, id, now, fx);
        }
    }

    fn finish_aborted(&mut self, key: Key, id: TaskId, now: Stamp, fx: &mut Effects) {
        self.finish(key, Arc::new(Finished::dropped(id, Reason::Aborted)), now, fx);
    }

    fn live_below(&self, scope: ScopeKey) -> Vec<TaskId> {
        let Some(root) = self.roots.get(scope.root.0) else { return Vec::new() };
        let mut todo = vec![scope.owner];
        let mut found = Vec::new();
        while let Some(owner) = todo.pop() {
            let before = found.len();
            root.live_members(owner, &mut found);
            todo.extend(found[before..].iter().map(|id| id.number()));
            todo.extend(root.scopes.get(owner).into_iter().flat_map(|scope| &scope.orphans));
        }
        found.sort_unstable();
        found
    }
}

impl Root {
    fn live_members(&self, owner: u64, found: &mut Vec<TaskId>) {
        let Some(scope) = self.scopes.get(owner) else { return };
        let records = scope.members(&self.records).filter_map(|number| self.records.get(number));
        found.extend(records.filter(|record| record.live().is_some()).map(Record::id));
    }
}

impl Live {
    /// Does what a stop does first; returns whether the task is over with that.
    fn request_stop(&mut self, key: Key, grace: Option<Duration>, fx: &mut Effects) -> bool {
        if let Some(token) = self.more.as_ref().and_then(|more| more.token.as_ref()) {
            fx.cancel(token.clone());
            let own = self.more.as_ref().and_then(|more| more.grace);
            let grace = grace.or(own).unwrap_or(Task::DEFAULT_GRACE);
            fx.chores().force_after.push((key, grace));
            return false;
        }
        // It never asked for its token, so it would not notice: abort it now. Work that is done
        // elsewhere is over when nobody there listens, and what waits for a slot when it is
        // dropped.
        self.abort(fx);
        if self.marks.slot() == Slot::Queued {
            let start = self.more.as_mut().and_then(|more| more.start.take());
            fx.drop_all(start.map(Foreign::Start));
        }
        self.marks.slot() == Slot::Elsewhere
    }

    /// Returns whether it was stopped before its future could be attached, so that there was
    /// nothing to abort yet.
    pub(super) fn wants_handle(&self) -> bool {
        self.stop.is_some()
            && self.abort.is_none()
            && !self.marks.has(Marks::ABORTED)
            && !matches!(self.marks.slot(), Slot::Elsewhere | Slot::Queued)
    }

    fn abort(&mut self, fx: &mut Effects) {
        if let Some(handle) = self.abort.take() {
            self.marks.set(Marks::ABORTED);
            fx.abort_task(handle);
        }
        for handle in self.more.iter_mut().flat_map(|more| more.bound.drain(..)) {
            fx.abort(handle);
        }
    }
}
