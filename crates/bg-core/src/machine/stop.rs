//! Stopping: requests, cascades, force.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ending, Key, Live, Machine, RootId, ScopeKey, State, WaitFor};
use crate::effects::Effects;
use crate::error::TaskError;
use crate::events::EventKind;
use crate::id::{TaskId, TaskRef};
use crate::outcome::Reason;
use crate::status::Status;

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
        reason: &Reason,
        now: Instant,
        fx: &mut Effects,
    ) -> Result<CancelOutcome, TaskError> {
        let record = self.find(scope, task)?;
        let outcome = match &record.state {
            State::Ended { finished, .. } => CancelOutcome::AlreadyEnded(finished.status()),
            State::Live(live) if live.stop.is_some() => CancelOutcome::AlreadyRequested,
            State::Live(_) => CancelOutcome::Requested,
        };
        self.stop(scope.task(task.number()), reason, None, now, fx);
        Ok(outcome)
    }

    /// Stops every live task of a scope; returns those that had not been stopped before.
    pub(crate) fn cancel_all(
        &mut self,
        scope: ScopeKey,
        reason: &Reason,
        now: Instant,
        fx: &mut Effects,
    ) -> usize {
        let members = self.live_members(scope.root, scope.owner);
        let fresh = |&number: &u64| {
            self.live_mut(scope.task(number)).is_some_and(|(_, live)| live.stop.is_none())
        };
        let count = members.iter().copied().filter(fresh).count();
        for number in members {
            self.stop(scope.task(number), reason, None, now, fx);
        }
        count
    }

    /// Refuses new tasks in a scope and stops what is in it, with `grace` in place of each task's
    /// own. Returns every task that was live below it, and a wait for all of them that began before
    /// any of them was stopped.
    pub(crate) fn close_scope(
        &mut self,
        scope: ScopeKey,
        grace: Duration,
        now: Instant,
        fx: &mut Effects,
    ) -> (Vec<TaskId>, u64) {
        let state = self.roots.get_mut(&scope.root).and_then(|root| root.scope_mut(scope.owner));
        if let Some(state) = state {
            state.closed = true;
            state.wake_if_over(fx);
        }
        let below = self.live_below(scope);
        let numbers = below.iter().map(|id| id.number()).collect();
        let wait = self.wait_for(scope.root, numbers, WaitFor::All);
        for number in self.live_members(scope.root, scope.owner) {
            self.stop(scope.task(number), &Reason::Closed, Some(grace), now, fx);
        }
        (below, wait)
    }

    /// Refuses everything from here on and aborts what runs, without waiting for it.
    pub(crate) fn close_registry(&mut self, now: Instant, fx: &mut Effects) {
        self.closed = true;
        for key in self.all_live() {
            self.stop(key, &Reason::Closed, Some(Duration::ZERO), now, fx);
            self.force(key, now, fx);
        }
        self.wake_all_listeners(fx);
        self.wake_all_waits(fx);
        self.events.close(&mut fx.wake);
    }

    /// Every live record, also of a root whose last handle is gone and which has no scope any more.
    fn all_live(&self) -> Vec<Key> {
        let records = self.roots.iter().flat_map(|(&id, root)| {
            root.records.iter().map(move |(&number, record)| (Key { root: id, number }, record))
        });
        records.filter(|(_, record)| record.live().is_some()).map(|(key, _)| key).collect()
    }

    /// Requests a stop of a task and of everything below it. A work list in place of recursion:
    /// how deep tasks nest is up to callers.
    pub(super) fn stop(
        &mut self,
        key: Key,
        reason: &Reason,
        grace: Option<Duration>,
        now: Instant,
        fx: &mut Effects,
    ) {
        let mut todo = vec![key.number];
        let mut over = Vec::new();
        while let Some(number) = todo.pop() {
            let key = Key { number, ..key };
            let Some((id, live)) = self.live_mut(key) else { continue };
            if live.stop.is_some() {
                // I10, and it takes no more children.
                continue;
            }
            live.stop = Some(reason.clone());
            if live.request_stop(key, grace, fx) {
                over.push(key);
            }
            todo.extend(self.live_members(key.root, number));
            self.publish(key.root, id, fx, || EventKind::CancelRequested);
        }
        for key in over {
            self.finish(key, Ending::Dropped(Reason::Aborted), now, fx);
        }
    }

    /// Ends a task whose grace is over: aborts its future, or gives up on the holder of its
    /// completer. A future in a busy loop cannot be aborted and stays live.
    pub(crate) fn force(&mut self, key: Key, now: Instant, fx: &mut Effects) {
        let Some((_, live)) = self.live_mut(key) else { return };
        live.forced = true;
        fx.abort.extend(live.abort.clone());
        if live.external {
            self.finish(key, Ending::Dropped(Reason::Aborted), now, fx);
        }
    }

    fn live_members(&self, root: RootId, owner: u64) -> Vec<u64> {
        let Some(root) = self.roots.get(&root) else { return Vec::new() };
        let Some(scope) = root.scopes.get(&owner) else { return Vec::new() };
        let is_live = |number: &u64| root.records.get(number).is_some_and(|r| r.live().is_some());
        scope
            .members
            .iter()
            .filter(|number| is_live(number))
            .chain(&scope.orphans)
            .copied()
            .collect()
    }

    fn live_below(&self, scope: ScopeKey) -> Vec<TaskId> {
        let mut todo = self.live_members(scope.root, scope.owner);
        let mut found = Vec::new();
        while let Some(number) = todo.pop() {
            todo.extend(self.live_members(scope.root, number));
            let record = self.roots.get(&scope.root).and_then(|root| root.records.get(&number));
            found.extend(record.map(|record| record.id));
        }
        found.sort_unstable();
        found
    }

    fn wake_all_listeners(&mut self, fx: &mut Effects) {
        for scope in self.roots.values_mut().flat_map(|root| root.scopes.values_mut()) {
            fx.wake.extend(std::mem::take(&mut scope.listeners).into_values());
        }
    }
}

impl Live {
    /// Does what a stop does first; returns whether the task is over with that.
    fn request_stop(&mut self, key: Key, grace: Option<Duration>, fx: &mut Effects) -> bool {
        if let Some(token) = &self.token {
            fx.cancel.push(token.clone());
            fx.force_after.push((key, grace.unwrap_or(self.grace)));
            return false;
        }
        // It never asked for its token, so it would not notice: abort it now. Work that is done
        // elsewhere is over when nobody there listens.
        fx.abort.extend(self.abort.clone());
        self.external
    }
}
