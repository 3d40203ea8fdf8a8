//! Delivery: inboxes, claims, acknowledgement, retention.

use std::task::Waker;

use super::{Delivery, Key, Machine, Root, ScopeKey, ScopeState, State};
use crate::claim::{Delivered, Held};
use crate::effects::Effects;
use crate::error::{ClaimError, TaskError};
use crate::events::EventKind;
use crate::id::{TaskId, TaskRef};
use crate::outcome::{Finished, Unclaimed};
use crate::sync::Arc;

/// What a listener on an inbox finds.
pub(crate) enum Next {
    Claimed(Held),
    /// Nothing yet; the listener is registered under this key.
    Waiting(u64),
    /// The scope is gone: nothing will come.
    Over,
}

impl Machine {
    /// Puts a task that has just ended into its scope's inbox, or releases it when there is none.
    pub(super) fn deliver(&mut self, key: Key, fx: &mut Effects) {
        let cap = self.retained_cap;
        let Some(root) = self.roots.get_mut(&key.root) else { return };
        root.make_ready(key.number, cap, fx);
    }

    /// Claims the oldest outcome of an inbox.
    pub(crate) fn take(&mut self, scope: ScopeKey, fx: &mut Effects) -> Option<Held> {
        let root = self.roots.get_mut(&scope.root)?;
        let (_, number) = root.scopes.get_mut(&scope.owner)?.ready.pop_first()?;
        self.hold(scope.task(number), fx)
    }

    /// Claims the oldest outcome of an inbox, or registers a listener.
    pub(crate) fn listen(
        &mut self,
        scope: ScopeKey,
        listener: Option<u64>,
        waker: Waker,
        fx: &mut Effects,
    ) -> Next {
        if let Some(held) = self.take(scope, fx) {
            self.unlisten(scope, listener, fx);
            fx.drop.wakers.push(waker);
            return Next::Claimed(held);
        }
        let state = self.roots.get_mut(&scope.root).and_then(|root| root.scope_mut(scope.owner));
        let Some(state) = state.filter(|state| !state.is_over()) else {
            fx.drop.wakers.push(waker);
            return Next::Over;
        };
        let key = listener.unwrap_or_else(|| {
            state.next_listener += 1;
            state.next_listener
        });
        fx.drop.wakers.extend(state.listeners.insert(key, waker));
        Next::Waiting(key)
    }

    pub(crate) fn unlisten(&mut self, scope: ScopeKey, listener: Option<u64>, fx: &mut Effects) {
        let state = self.roots.get_mut(&scope.root).and_then(|r| r.scopes.get_mut(&scope.owner));
        if let (Some(state), Some(key)) = (state, listener) {
            fx.drop.wakers.extend(state.listeners.remove(&key));
        }
    }

    /// Claims one outcome by its id.
    pub(crate) fn claim(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
        fx: &mut Effects,
    ) -> Result<Held, ClaimError> {
        let record = self.find(scope, task)?;
        let id = record.id;
        let (finished, seq, delivery) = match &record.state {
            State::Live(live) => return Err(ClaimError::NotEnded { id, status: live.status() }),
            State::Ended { finished, seq, delivery } => (finished.clone(), *seq, *delivery),
        };
        if delivery != Delivery::Ready {
            return Err(ClaimError::Delivered(Delivered { finished }));
        }
        let state = self.roots.get_mut(&scope.root).and_then(|r| r.scopes.get_mut(&scope.owner));
        state.map(|state| state.ready.remove(&seq));
        self.hold(scope.task(id.number()), fx).ok_or_else(|| TaskError::not_found(task).into())
    }

    /// Marks an outcome that was taken out of an inbox as held by one claim.
    fn hold(&mut self, key: Key, fx: &mut Effects) -> Option<Held> {
        let record = self.record_mut(key)?;
        let State::Ended { finished, delivery, .. } = &mut record.state else { return None };
        if *delivery != Delivery::Ready {
            return None;
        }
        *delivery = Delivery::Held;
        let held = Held { key, finished: finished.clone() };
        self.publish(key.root, held.finished.id, fx, || EventKind::Claimed);
        Some(held)
    }

    /// Ends a claim: the outcome is delivered. Nothing happens if the root is gone.
    pub(crate) fn ack(&mut self, key: Key, fx: &mut Effects) {
        if let Some(id) = self.held(key) {
            let cap = self.retained_cap;
            if let Some(root) = self.roots.get_mut(&key.root) {
                root.retain(key.number, cap, fx);
            }
            self.publish(key.root, id, fx, || EventKind::Acked);
        }
    }

    /// Gives a claim back to its place in the inbox, or releases it when there is none any more.
    pub(crate) fn give_back(&mut self, key: Key, fx: &mut Effects) {
        if let Some(id) = self.held(key) {
            let cap = self.retained_cap;
            if let Some(root) = self.roots.get_mut(&key.root) {
                root.make_ready(key.number, cap, fx);
            }
            self.publish(key.root, id, fx, || EventKind::GivenBack);
        }
    }

    fn held(&mut self, key: Key) -> Option<TaskId> {
        let record = self.record_mut(key)?;
        match record.state {
            State::Ended { delivery: Delivery::Held, .. } => Some(record.id),
            _ => None,
        }
    }

    /// Reads an outcome without claiming it.
    pub(crate) fn read(&self, scope: ScopeKey, task: TaskRef) -> Result<Arc<Finished>, ClaimError> {
        let record = self.find(scope, task)?;
        match &record.state {
            State::Live(live) => Err(ClaimError::NotEnded { id: record.id, status: live.status() }),
            State::Ended { finished, .. } => Ok(finished.clone()),
        }
    }

    /// Takes the scope of an ending task apart (I7): lists what nobody had claimed, in order of
    /// completion, and returns the children that still run.
    pub(super) fn end_scope(&mut self, key: Key, fx: &mut Effects) -> (Vec<Unclaimed>, Vec<u64>) {
        let cap = self.retained_cap;
        let Some(root) = self.roots.get_mut(&key.root) else { return Default::default() };
        let Some(scope) = root.scopes.remove(&key.number) else { return Default::default() };
        fx.wake.extend(scope.listeners.into_values());
        let unclaimed =
            scope.ready.values().filter_map(|&number| root.release(number, cap, fx)).collect();
        let is_live = |number: &u64| root.records.get(number).is_some_and(|r| r.live().is_some());
        let running = scope.members.into_iter().filter(is_live).chain(scope.orphans).collect();
        (unclaimed, running)
    }

    /// The last handle of a root is gone: nobody can start or claim anything there any more. What
    /// runs goes on, what is unclaimed is released. Returns how much that was.
    pub(crate) fn abandon(&mut self, root: super::RootId, fx: &mut Effects) -> usize {
        let (unclaimed, _) = self.end_scope(Key { root, number: ScopeKey::ROOT_OWNER }, fx);
        self.release_root_if_over(root, fx);
        unclaimed.len()
    }
}

impl ScopeState {
    /// Returns whether nothing will come any more: it takes no task and has none left.
    fn is_over(&self) -> bool {
        self.closed && self.members.is_empty()
    }

    pub(super) fn wake_if_over(&mut self, fx: &mut Effects) {
        if self.is_over() {
            fx.wake.extend(std::mem::take(&mut self.listeners).into_values());
        }
    }
}

impl Root {
    fn make_ready(&mut self, number: u64, cap: usize, fx: &mut Effects) {
        let Some(record) = self.records.get_mut(&number) else { return };
        let State::Ended { seq, delivery, .. } = &mut record.state else { return };
        let Some(scope) = self.scopes.get_mut(&record.owner) else {
            return self.retain(number, cap, fx);
        };
        *delivery = Delivery::Ready;
        scope.ready.insert(*seq, number);
        fx.wake.extend(std::mem::take(&mut scope.listeners).into_values());
    }

    fn release(&mut self, number: u64, cap: usize, fx: &mut Effects) -> Option<Unclaimed> {
        let record = self.records.get(&number)?;
        let State::Ended { finished, .. } = &record.state else { return None };
        let unclaimed = Unclaimed { id: record.id, status: finished.status() };
        self.retain(number, cap, fx);
        Some(unclaimed)
    }

    /// Marks an outcome as acknowledged and evicts the oldest ones past the cap (I4).
    fn retain(&mut self, number: u64, cap: usize, fx: &mut Effects) {
        let Some(record) = self.records.get_mut(&number) else { return };
        let State::Ended { delivery, .. } = &mut record.state else { return };
        *delivery = Delivery::Acked;
        if let Some(scope) = self.scopes.get_mut(&record.owner) {
            scope.members.remove(&number);
            scope.wake_if_over(fx);
        }
        self.retained.push_back(number);
        while self.retained.len() > cap {
            let oldest = self.retained.pop_front();
            let evicted = oldest.and_then(|number| self.records.remove(&number));
            fx.drop.records.extend(evicted.map(super::Record::into_foreign));
        }
    }

    pub(super) fn retained(&self) -> impl Iterator<Item = &Arc<Finished>> {
        let records = self.retained.iter().filter_map(|number| self.records.get(number));
        records.filter_map(|record| match &record.state {
            State::Ended { finished, .. } => Some(finished),
            State::Live(_) => None,
        })
    }
}
