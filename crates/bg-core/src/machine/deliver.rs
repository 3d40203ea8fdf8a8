//! Delivery: inboxes, claims, acknowledgement, retention.

use std::collections::VecDeque;
use std::hint::black_box;
use std::mem;
use std::task::Waker;

use super::{
    Delivery, Ended, Foreign, Gauge, Key, Machine, Record, Retained, Root, RootId, ScopeKey, Stamp,
    State,
};
use crate::claim::{Delivered, Held};
use crate::effects::Effects;
use crate::error::{ClaimError, TaskError};
use crate::events::EventKind;
use crate::id::{TaskId, TaskRef};
use crate::limits::Retention;
use crate::outcome::Finished;
use crate::sync::Arc;

/// What a listener on an inbox finds.
pub(crate) enum Next {
    Claimed(Held),
    /// Something is claimable; nothing was claimed.
    Ready,
    /// Nothing yet; the listener has this place.
    Waiting(Option<u64>),
    /// The scope is gone: nothing will come.
    Over,
}

/// What a listener on an inbox wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seek {
    /// To claim the oldest outcome.
    Claim,
    /// To know that there is one.
    Look,
    /// The same for somebody who is not the task that owns the scope: it lends no slot.
    Watch,
}

impl Seek {
    /// Whether the task that owns the scope waits, and lends its slot.
    fn lends(self) -> bool {
        self != Self::Watch
    }
}

impl Machine {
    /// Makes an ended record claimable, in its own place; releases it when its scope has ended.
    fn make_ready(&mut self, key: Key, now: Stamp, fx: &mut Effects) -> bool {
        let Some(root) = self.roots.get_mut(key.root.0) else { return false };
        let Some(record) = root.records.get_mut(key.number) else { return false };
        let owner = record.owner;
        let Some(ended) = record.ended_mut() else { return false };
        let Some(scope) = root.scopes.get_mut(owner).filter(|scope| !scope.ended) else {
            self.retain(key, now, fx);
            return false;
        };
        ended.delivery = Delivery::Ready;
        scope.put(ended.seq, key.number, ended.foreground, fx);
        true
    }

    /// Returns the gauge of a scope's inbox, made on first use; `None` when the scope has ended.
    pub(crate) fn gauge(&mut self, scope: ScopeKey) -> Option<Gauge> {
        Some(self.scope_mut(scope)?.gauge())
    }

    /// Claims the oldest outcome of an inbox.
    pub(crate) fn take(&mut self, scope: ScopeKey, fx: &mut Effects) -> Option<Held> {
        let root = self.roots.get_mut(scope.root.0)?;
        let number = root.scopes.get_mut(scope.owner)?.take_ready()?;
        let finished = root.hold(number)?;
        self.publish(scope.root, finished.id, fx, || EventKind::Claimed);
        Some(Held { key: scope.task(number), finished })
    }

    /// Claims and acknowledges the oldest outcome of an inbox. Its age begins with the next change
    /// that knows the time: a look at the clock would be a part of this that is felt.
    pub(crate) fn take_acked(
        &mut self,
        scope: ScopeKey,
        fx: &mut Effects,
    ) -> Option<Arc<Finished>> {
        let root = self.roots.get_mut(scope.root.0)?;
        let number = root.scopes.get_mut(scope.owner)?.take_ready()?;
        let finished = root.mark_acked(number, Arc::clone, fx)?;
        root.retained.push_undated(number);
        if self.events.is_heard() {
            self.publish(scope.root, finished.id, fx, || EventKind::Claimed);
            self.publish(scope.root, finished.id, fx, || EventKind::Acked);
        }
        let kept = self.policy.retention.count;
        self.evict(scope.root, |retained| retained.len() > kept, fx);
        Some(finished)
    }

    /// Claims the oldest outcomes of an inbox.
    pub(crate) fn take_some(
        &mut self,
        scope: ScopeKey,
        max: usize,
        taken: &mut VecDeque<Held>,
        fx: &mut Effects,
    ) {
        if let Some(root) = self.roots.get(scope.root.0) {
            root.warm_ready(scope.owner, max);
        }
        taken.extend(std::iter::from_fn(|| self.take(scope, fx)).take(max));
    }

    /// Acknowledges the outcomes of several claims.
    pub(crate) fn ack_all(
        &mut self,
        scope: ScopeKey,
        keys: impl ExactSizeIterator<Item = Key>,
        now: Stamp,
        fx: &mut Effects,
    ) {
        fx.expect(keys.len());
        if let Some(root) = self.roots.get(scope.root.0) {
            root.warm_retained(self.policy.retention.count, keys.len());
        }
        keys.for_each(|key| self.ack(key, now, fx));
    }

    /// Claims the oldest outcome of an inbox or looks for one, or registers a listener.
    pub(crate) fn listen(
        &mut self,
        scope: ScopeKey,
        seek: Seek,
        listener: Option<u64>,
        waker: Waker,
        fx: &mut Effects,
    ) -> Next {
        let found = self.seek(scope, seek, fx);
        if let Some(found) = found {
            self.unlisten(scope, seek, listener, fx);
            fx.drop_waker([waker]);
            return found;
        }
        let interest = self.interest.clone();
        let Some(state) = self.scope_mut(scope).filter(|state| !state.is_over()) else {
            self.unlisten(scope, seek, listener, fx);
            fx.drop_waker([waker]);
            return Next::Over;
        };
        let mut place = listener;
        state.listen(&mut place, waker, interest, fx);
        if listener.is_none() && seek.lends() {
            self.lend_slot(scope.task(scope.owner), fx);
        }
        Next::Waiting(place)
    }

    fn seek(&mut self, scope: ScopeKey, seek: Seek, fx: &mut Effects) -> Option<Next> {
        match seek {
            Seek::Claim => self.take(scope, fx).map(Next::Claimed),
            Seek::Look | Seek::Watch => {
                let state = self.roots.get(scope.root.0)?.scopes.get(scope.owner)?;
                (!state.ready.is_empty()).then_some(Next::Ready)
            }
        }
    }

    pub(crate) fn unlisten(
        &mut self,
        scope: ScopeKey,
        seek: Seek,
        listener: Option<u64>,
        fx: &mut Effects,
    ) {
        if listener.is_none() {
            return;
        }
        if let Some(state) = self.scope_mut(scope) {
            state.unlisten(listener, fx);
        }
        if seek.lends() {
            self.return_slot(scope.task(scope.owner));
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
        let id = record.id();
        let Some(ended) = record.ended() else {
            return Err(ClaimError::NotEnded { id, status: record.status() });
        };
        if ended.delivery != Delivery::Ready {
            return Err(ClaimError::Delivered(Delivered { finished: ended.finished.clone() }));
        }
        let seq = ended.seq;
        if let Some(state) = self.scope_mut(scope) {
            state.remove_ready(seq);
        }
        self.hold(scope.task(id.number()), fx).ok_or_else(|| TaskError::not_found(task).into())
    }

    /// Marks an outcome that was taken out of an inbox as held by one claim.
    fn hold(&mut self, key: Key, fx: &mut Effects) -> Option<Held> {
        let finished = self.roots.get_mut(key.root.0)?.hold(key.number)?;
        self.publish(key.root, finished.id, fx, || EventKind::Claimed);
        Some(Held { key, finished })
    }

    /// Ends a claim: the outcome is delivered. Nothing happens if the root is gone.
    pub(crate) fn ack(&mut self, key: Key, now: Stamp, fx: &mut Effects) {
        if let Some(id) = self.held(key) {
            self.acked(key, id, now, fx);
        }
    }

    fn acked(&mut self, key: Key, id: TaskId, now: Stamp, fx: &mut Effects) {
        // Before it is evicted, if it is at once.
        self.publish(key.root, id, fx, || EventKind::Acked);
        self.retain(key, now, fx);
    }

    /// Gives a claim back to its place in the inbox, or releases it when there is none any more.
    pub(crate) fn give_back(&mut self, key: Key, now: Stamp, fx: &mut Effects) {
        let Some(id) = self.held(key) else { return };
        if let Some(ended) = self.record_mut(key).and_then(Record::ended_mut) {
            // The caller that a foreground task was for could not use it: the inbox has it now.
            ended.foreground = false;
        }
        let owner = self.record_mut(key).map(|record| record.owner);
        let scopes = self.roots.get(key.root.0).map(|root| &root.scopes);
        let scope = owner.and_then(|owner| scopes?.get(owner));
        let open = scope.is_some_and(|scope| !scope.ended);
        let kind = if open { EventKind::GivenBack } else { EventKind::Released };
        self.publish(key.root, id, fx, || kind);
        self.make_ready(key, now, fx);
    }

    fn held(&mut self, key: Key) -> Option<TaskId> {
        let record = self.record_mut(key)?;
        record.ended().filter(|ended| ended.delivery == Delivery::Held).map(|_| record.id())
    }

    /// Reads an outcome without claiming it.
    pub(crate) fn read(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<Arc<Finished>, ClaimError> {
        self.expire(scope.root, now, fx);
        let record = self.find(scope, task)?;
        match record.ended() {
            None => Err(ClaimError::NotEnded { id: record.id(), status: record.status() }),
            Some(ended) => Ok(ended.finished.clone()),
        }
    }

    /// Turns a foreground task into an ordinary one: it is listed, and its outcome comes through
    /// the inbox. Returns whether it was one.
    pub(crate) fn detach(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<bool, TaskError> {
        let record = self.find_mut(scope, task)?;
        if !record.is_foreground() {
            return Ok(false);
        }
        let id = record.id();
        let mut ready = None;
        match &mut record.state {
            State::Live(live) => {
                let more = live.more();
                (more.foreground, more.discard) = (false, false);
            }
            State::Ended(ended) => {
                ended.foreground = false;
                ready = (ended.delivery == Delivery::Ready).then_some(ended.seq);
            }
        }
        if let Some(seq) = ready {
            self.scope_mut(scope).into_iter().for_each(|state| state.remove_ready(seq));
            self.make_ready(scope.task(id.number()), now, fx);
        }
        self.publish(scope.root, id, fx, || EventKind::Detached);
        Ok(true)
    }

    /// The caller that a foreground task was for is gone: nobody will ask for its outcome.
    /// Returns whether it is a foreground task.
    pub(crate) fn discard(
        &mut self,
        scope: ScopeKey,
        id: TaskId,
        now: Stamp,
        fx: &mut Effects,
    ) -> bool {
        let Ok(record) = self.find_mut(scope, id.into()) else { return false };
        if !record.is_foreground() {
            return false;
        }
        let ready = match &mut record.state {
            State::Live(live) => {
                live.more().discard = true;
                None
            }
            State::Ended(ended) => (ended.delivery == Delivery::Ready).then_some(ended.seq),
        };
        if let Some(seq) = ready {
            self.scope_mut(scope).into_iter().for_each(|state| state.remove_ready(seq));
            self.retain(scope.task(id.number()), now, fx);
        }
        true
    }

    /// Marks an outcome as acknowledged and evicts what retention keeps no more (I4).
    pub(super) fn retain(&mut self, key: Key, now: Stamp, fx: &mut Effects) {
        let Some(root) = self.roots.get_mut(key.root.0) else { return };
        root.mark_acked(key.number, |_| (), fx);
        root.retained.push(key.number, now);
        self.expire(key.root, now, fx);
    }

    /// Evicts the acknowledged outcomes that are too many or too old, the oldest first.
    pub(crate) fn expire(&mut self, root: RootId, now: Stamp, fx: &mut Effects) {
        let Retention { count, age } = self.policy.retention;
        self.roots.get_mut(root.0).into_iter().for_each(|root| root.retained.date(now));
        let is_old = |acked| now.since(acked) >= age;
        self.evict(root, |kept| kept.len() > count || kept.oldest().is_some_and(is_old), fx);
    }

    fn evict(&mut self, root: RootId, goes_on: impl Fn(&Retained) -> bool, fx: &mut Effects) {
        let Some(state) = self.roots.get_mut(root.0) else { return };
        while goes_on(&state.retained)
            && let Some(number) = state.retained.pop()
        {
            // Only what has ended is acknowledged (I4).
            let Some(Record { state: State::Ended(Ended { finished, .. }), .. }) =
                state.records.remove(number)
            else {
                continue;
            };
            if self.events.is_heard() {
                self.events.publish(root, finished.id, fx, || EventKind::Evicted);
            }
            fx.drop(Foreign::Finished(finished));
        }
    }

    /// Returns the gone-by outcomes of a scope that are still kept, the oldest first.
    pub(crate) fn history(
        &mut self,
        scope: ScopeKey,
        now: Stamp,
        fx: &mut Effects,
    ) -> Vec<Arc<Finished>> {
        self.expire(scope.root, now, fx);
        let Some(root) = self.roots.get(scope.root.0) else { return Vec::new() };
        let kept = root.retained.numbers().filter_map(|number| root.records.get(number));
        let own = kept.filter(|record| record.owner == scope.owner);
        own.filter_map(Record::ended).map(|ended| ended.finished.clone()).collect()
    }

    /// Says that a task wrote to its output log. Ignored after the end.
    pub(crate) fn output_grew(&mut self, key: Key, total: u64, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        let log = live.more.as_ref().and_then(|more| more.log.as_ref());
        if log.is_some_and(|log| log.tells(total)) {
            self.publish(key.root, id, fx, || EventKind::OutputGrew { total });
        }
    }
}

/// From so many records on they are not in the cache any more.
const COLD: usize = 2048;

impl Root {
    /// Reads what the next claims are about to touch, so that what has to come from memory comes at
    /// once, and not piece by piece under the lock.
    fn warm_ready(&self, owner: u64, max: usize) {
        let scope = self.scopes.get(owner).filter(|_| self.undelivered > COLD);
        let next = || scope.iter().flat_map(|scope| scope.ready.iter().take(max));
        self.warm(|| next().map(|&(_, number)| number));
    }

    /// The same for what is evicted when so many more are acknowledged.
    fn warm_retained(&self, kept: usize, more: usize) {
        let over = (self.retained.len() + more).saturating_sub(kept);
        let over = if kept > COLD { over.min(more) } else { 0 };
        self.warm(|| self.retained.numbers().take(over));
    }

    fn warm<I: Iterator<Item = u64>>(&self, numbers: impl Fn() -> I) {
        let ended = || numbers().filter_map(|number| self.records.get(number)?.ended());
        // The records, what they lead to, and what that leads to: each step at once for all.
        black_box(ended().fold(0, |sum, ended| sum ^ ended.seq));
        black_box(ended().fold(0, |sum, ended| sum ^ ended.finished.weight()));
        let first = |finished: &Finished| finished.outcome.output()?.text.bytes().next();
        black_box(ended().fold(0, |sum, ended| sum ^ first(&ended.finished).unwrap_or(0)));
    }

    /// Claims a record that nobody has claimed.
    fn hold(&mut self, number: u64) -> Option<Arc<Finished>> {
        let ended = self.records.get_mut(number)?.ended_mut()?;
        if ended.delivery != Delivery::Ready {
            return None;
        }
        ended.delivery = Delivery::Held;
        Some(ended.finished.clone())
    }

    /// Marks an outcome as acknowledged, and takes it out of the list of its scope (I3). Returns
    /// what was to be seen of it.
    fn mark_acked<T>(
        &mut self,
        number: u64,
        see: impl FnOnce(&Arc<Finished>) -> T,
        fx: &mut Effects,
    ) -> Option<T> {
        let record = self.records.get_mut(number)?;
        let owner = record.owner;
        let ended = record.ended_mut()?;
        let seen = see(&ended.finished);
        ended.delivery = Delivery::Acked;
        // What was delivered is in the history, whoever asked for it.
        ended.foreground = false;
        let weight = ended.finished.weight();
        self.undelivered -= 1;
        self.undelivered_bytes = self.undelivered_bytes.saturating_sub(weight);
        let neighbours = (mem::take(&mut record.prev), mem::take(&mut record.next));
        if let Some(scope) = self.scopes.get_mut(owner) {
            scope.unlink(number, neighbours, &mut self.records);
            scope.wake_if_over(fx);
        }
        Some(seen)
    }
}
