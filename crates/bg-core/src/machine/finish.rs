//! The one end of a task.

use super::scope::ScopeState;
use super::{
    Delivery, Ended, Foreign, Key, Live, Machine, More, Root, ScopeKey, Slot, Stamp, State,
};
use crate::effects::Effects;
use crate::events::EventKind;
use crate::outcome::{Cancellation, Finished, Left, Outcome, Reason, Unclaimed};
use crate::sync::Arc;

impl Machine {
    /// Ends a task: the one place where a status becomes terminal (I1). The children that still
    /// run are stopped, the unclaimed ones listed and released.
    ///
    /// `finished` carries the outcome as the shell saw it, and nobody else has it yet.
    pub(crate) fn finish(
        &mut self,
        key: Key,
        finished: Arc<Finished>,
        now: Stamp,
        fx: &mut Effects,
    ) {
        let unclaimed = self.end_scope(key, now, fx);
        let Some(root) = self.roots.get_mut(key.root.0) else {
            return self.supersede(finished, fx);
        };
        let undated = root.retained.has_undated();
        let gone = match root.end_record(key.number, finished, unclaimed, now, fx) {
            Ok(gone) => gone,
            Err(finished) => return self.supersede(finished, fx),
        };
        self.unattached -= usize::from(gone.wanted_handle);
        self.vacate(key.root, gone.slot, fx);
        if let Some(finished) = gone.told {
            self.tell(gone.more, gone.wait, finished, fx);
        }
        self.publish_end(key, fx);
        if undated {
            self.expire(key.root, now, fx);
        }
        if !gone.delivered {
            self.retain(key, now, fx);
            self.forget_if_over(key.root, gone.owner, fx);
        }
    }

    /// Drops an end that came after the first one (I1).
    fn supersede(&mut self, finished: Arc<Finished>, fx: &mut Effects) {
        self.superseded += 1;
        fx.drop(Foreign::Finished(finished));
    }

    /// Tells an end to those who watch or wait for this task.
    fn tell(
        &mut self,
        more: Option<Box<More>>,
        first_wait: Option<u64>,
        finished: Arc<Finished>,
        fx: &mut Effects,
    ) {
        let Some(mut more) = more else {
            if let Some(wait) = first_wait {
                self.count_in_wait(wait, finished, fx);
            }
            return;
        };
        if let Some(watch) = more.watch.take() {
            fx.wake(watch.set(finished.status()));
        }
        for wait in first_wait.into_iter().chain(std::mem::take(&mut more.waits)) {
            self.count_in_wait(wait, finished.clone(), fx);
        }
        fx.drop(Foreign::More(more));
    }

    fn publish_end(&mut self, key: Key, fx: &mut Effects) {
        if !self.events.is_heard() {
            return;
        }
        let record = self.record_mut(key).map(|record| (record.id(), record.status()));
        if let Some((id, status)) = record {
            self.publish(key.root, id, fx, || EventKind::Status(status));
        }
    }

    /// Forgets the scope of an ended owner with its last live member, and the root with its last
    /// one (I7).
    fn forget_if_over(&mut self, root: super::RootId, owner: u64, fx: &mut Effects) {
        if let Some(state) = self.roots.get_mut(root.0) {
            state.forget_scope_if_over(owner);
        }
        self.release_root_if_over(root, fx);
    }

    /// Ends the scope of an ending task (I7): lists what nobody had claimed, in order of
    /// completion, and has the children that still run stopped.
    fn end_scope(&mut self, key: Key, now: Stamp, fx: &mut Effects) -> Vec<Unclaimed> {
        let scope = ScopeKey { root: key.root, owner: key.number };
        if !self.roots.get(key.root.0).is_some_and(|root| root.owns_and_lives(key.number)) {
            return Vec::new();
        }
        let unclaimed = self.release_scope(scope, now, fx);
        self.sweep(scope, &Arc::new(Reason::OwnerEnded), None, fx);
        unclaimed
    }

    /// Nothing is delivered in a scope from here on. It is forgotten unless something runs there.
    fn release_scope(&mut self, scope: ScopeKey, now: Stamp, fx: &mut Effects) -> Vec<Unclaimed> {
        let Some(root) = self.roots.get_mut(scope.root.0) else { return Vec::new() };
        let Some(state) = root.scopes.get_mut(scope.owner) else { return Vec::new() };
        state.wake_listeners(fx);
        let ready = state.clear_ready();
        let released = ready.iter().filter_map(|&number| root.unclaimed(number)).collect();
        for number in ready {
            self.retain(scope.task(number), now, fx);
        }
        if let Some(root) = self.roots.get_mut(scope.root.0) {
            root.end_scope(scope.owner);
        }
        released
    }

    /// The last handle of a root is gone: nobody can start or claim anything there any more. What
    /// runs goes on, what is unclaimed is released. Returns how much that was.
    pub(crate) fn abandon(&mut self, root: super::RootId, now: Stamp, fx: &mut Effects) -> usize {
        let scope = ScopeKey { root, owner: ScopeKey::ROOT_OWNER };
        let unclaimed = self.release_scope(scope, now, fx);
        if let Some(root) = self.roots.get_mut(root.0) {
            root.abandoned = Some(self.interest.clone());
        }
        self.release_root_if_over(root, fx);
        unclaimed.len()
    }
}

impl Root {
    /// Returns whether a task lives and has a scope. Few have one, so that comes first.
    fn owns_and_lives(&self, number: u64) -> bool {
        let lives = || self.records.get(number).is_some_and(|record| record.live().is_some());
        self.scopes.contains(number) && lives()
    }

    /// Ends a record and puts it where its owner finds it. Everything in one go: this is done with
    /// the lock held, once for each task. Gives back what comes after an end, or for no record.
    fn end_record(
        &mut self,
        number: u64,
        mut finished: Arc<Finished>,
        unclaimed: Vec<Unclaimed>,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<Gone, Arc<Finished>> {
        let Some(record) = self.records.get_mut(number) else { return Err(finished) };
        let (owner, spawned) = (record.owner, record.spawned);
        let Some(live) = record.live_mut() else { return Err(finished) };
        let wait = live.take_first_wait();
        let mut scope = self.scopes.get_mut(owner);
        let sweep = scope.as_ref().and_then(|scope| scope.covers(number));
        let stopped = live.stop.is_some() || sweep.is_some();
        if let Some(finished) = Arc::get_mut(&mut finished) {
            finished.describe(std::mem::take(&mut live.text), now.nanos_since(spawned));
            if !unclaimed.is_empty() {
                finished.left_mut().unclaimed = unclaimed;
            }
            live.fill(finished, sweep.map(|sweep| sweep.reason.clone()), fx);
        }
        let foreground = live.is_foreground();
        let discard = live.more.as_ref().is_some_and(|more| more.discard);
        let seq = self.completions;
        if let Some(scope) = &mut scope {
            scope.live -= 1;
            scope.unstopped -= usize::from(!stopped);
        }
        let inbox = scope.filter(|scope| !scope.ended && !discard);
        let delivered = inbox.is_some();
        if let Some(inbox) = inbox {
            inbox.put(seq, number, foreground, fx);
        }
        self.completions += 1;
        self.live -= 1;
        self.undelivered += 1;
        self.undelivered_bytes = self.undelivered_bytes.saturating_add(finished.weight());
        let (wanted_handle, slot) = (live.wants_handle(), live.marks.slot());
        let (handle, more) = (live.abort.take(), live.more.take());
        fx.drop_all(handle.map(Foreign::Handle));
        let told = (wait.is_some() || more.is_some()).then(|| finished.clone());
        // What is left of the live state is no foreign code.
        record.state = State::Ended(Ended { finished, seq, delivery: Delivery::Ready, foreground });
        Ok(Gone { wanted_handle, slot, more, wait, told, owner, delivered })
    }

    fn unclaimed(&self, number: u64) -> Option<Unclaimed> {
        let record = self.records.get(number)?;
        Some(Unclaimed { id: record.id(), status: record.status() })
    }

    /// Marks a scope as ended, and hands what still runs below it to the nearest living owner
    /// above (I9).
    fn end_scope(&mut self, owner: u64) {
        let keeper = self.keeper_above(owner);
        let Some(scope) = self.scopes.get_mut(owner) else { return };
        scope.ended = true;
        scope.keeper = keeper;
        let orphans = std::mem::take(&mut scope.orphans);
        let lasts = scope.live > 0;
        for &orphan in &orphans {
            self.scopes.get_mut(orphan).into_iter().for_each(|scope| scope.keeper = keeper);
        }
        if !lasts {
            self.scopes.remove(owner);
        }
        // There is none above the root's own scope, nor when the last handle of the root is gone.
        if let Some(above) = self.scopes.get_mut(keeper).filter(|above| !above.ended) {
            above.orphans.extend(orphans);
            above.orphans.extend(lasts.then_some(owner));
        }
    }

    fn keeper_above(&self, owner: u64) -> u64 {
        let Some(record) = self.records.get(owner) else { return ScopeKey::ROOT_OWNER };
        match self.scopes.get(record.owner) {
            Some(scope) if scope.ended => scope.keeper,
            _ => record.owner,
        }
    }

    /// Forgets the scope of an ended owner once its last live member has ended (I7).
    pub(super) fn forget_scope_if_over(&mut self, owner: u64) {
        let over = |scope: &ScopeState| scope.ended && scope.live == 0;
        if !self.scopes.get(owner).is_some_and(over) {
            return;
        }
        let keeper = self.scopes.remove(owner).map(|scope| scope.keeper);
        if let Some(above) = keeper.and_then(|keeper| self.scopes.get_mut(keeper)) {
            above.orphans.remove(&owner);
        }
    }
}

/// What is left to do about a record that has ended.
struct Gone {
    /// Somebody waited for the handle of its future, to abort it with.
    wanted_handle: bool,
    slot: Slot,
    more: Option<Box<More>>,
    wait: Option<u64>,
    /// The outcome, if there may be somebody to tell it to.
    told: Option<Arc<Finished>>,
    owner: u64,
    /// Its owner finds it. Otherwise nobody will ask for it.
    delivered: bool,
}

impl Live {
    fn fill(&mut self, finished: &mut Finished, swept: Option<Arc<Reason>>, fx: &mut Effects) {
        if self.step > 0 {
            finished.left_mut().steps = self.step;
        }
        if let Some(reason) = self.stop.clone().or(swept) {
            finished.outcome.stopped(&reason);
        }
        if let Some(more) = &mut self.more {
            more.leave(finished, fx);
        }
    }
}

impl More {
    fn leave(&mut self, finished: &mut Finished, fx: &mut Effects) {
        if !self.trace.is_empty() {
            finished.left_mut().take_trace(self);
        }
        if let Some(log) = self.log.take() {
            // Before anybody can see the outcome: the log of a task that has ended is complete.
            fx.close(&log);
            finished.left_mut().log = Some(log);
        }
        if let Some(view) = self.view.take() {
            finished.left_mut().view = Some(view);
        }
        if let Some(mailbox) = self.mailbox.take() {
            let (unread, wakers) = mailbox.shut();
            fx.wake(wakers);
            if unread > 0 {
                finished.left_mut().unread = unread;
            }
        }
    }
}

impl Left {
    fn take_trace(&mut self, more: &mut More) {
        self.trace = std::mem::take(&mut more.trace);
        if more.trace_dropped > 0 {
            self.trace.push(format!("... ({} more trace lines)", more.trace_dropped));
        }
        self.weight += self.trace.iter().map(|line| line.len() as u64).sum::<u64>();
    }
}

impl Outcome {
    /// The truth about an end (R3): what the task returned wins over a stop that came late.
    fn stopped(&mut self, reason: &Reason) {
        let reason = reason.clone();
        match std::mem::replace(self, Self::Lost) {
            Self::Failed(failure) => {
                let error = Some(*failure);
                *self = Self::Cancelled(Box::new(Cancellation { reason, error }));
            }
            Self::Cancelled(mut cancellation) => {
                *cancellation = Cancellation { reason, error: None };
                *self = Self::Cancelled(cancellation);
            }
            other => *self = other,
        }
    }
}
