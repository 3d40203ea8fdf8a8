//! Waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;

use bg_core::{Status, TaskError, WaitFor, Waited};

use super::{Flag, MOST_WAITS, Waiting, World, check_refused, poll};
use crate::model::cover::Branch;
use crate::model::reference::{Ix, Refused, Saw, ScopeIx};

impl World {
    pub(super) fn wait(&mut self, mode: u16, scope: u16, task: u16) {
        let Some(slot) = self.waits.iter().position(Option::is_none) else {
            return self.drop_wait(usize::from(mode) % MOST_WAITS);
        };
        let Some((at, scope, first)) = self.pick_both(scope, task) else { return };
        let count = usize::from(mode / 3 % 4);
        let own = |ix: &Ix| self.reference.tasks[*ix].scope() == at;
        let mut all: Vec<Ix> = (first..self.tasks.len()).filter(own).take(count).collect();
        // Once in a while one that the scope does not own.
        all.extend(mode.is_multiple_of(16).then_some(first));
        let mode = [WaitFor::All, WaitFor::Any, WaitFor::FirstSuccess][usize::from(mode % 3)];
        let mut wait = scope.wait(all.iter().map(|&ix| self.tasks[ix].id)).until(mode);
        let woken = Arc::new(Flag::default());
        let polled = poll(&mut wait, &woken);
        let found: Result<BTreeSet<Ix>, (Ix, Refused)> =
            all.iter().map(|&ix| self.find(at, ix).map_err(|refused| (ix, refused))).collect();
        self.reference.cover.hit_if(all.is_empty(), Branch::WaitOfNothing);
        match found {
            Err((ix, refused)) => self.check_wait_refused(at, ix, refused, &polled),
            Ok(found) => {
                self.reference.begin_wait(slot, found, mode);
                self.keep(at);
                self.waits[slot] = Some(Waiting { wait, woken, scope: at });
                let over = matches!(polled, Poll::Ready(_));
                self.reference.cover.hit_if(over, Branch::WaitOverAtOnce);
                self.check_wait(slot, polled);
            }
        }
    }

    #[track_caller]
    pub(super) fn check_wait_refused<T: std::fmt::Debug>(
        &mut self,
        at: ScopeIx,
        ix: Ix,
        refused: Refused,
        polled: &Poll<Result<T, TaskError>>,
    ) {
        let Poll::Ready(Err(error)) = polled else { panic!("{refused:?}, but {polled:?}") };
        // A wait for oneself or for one above may be refused in words of its own.
        let tasks = &self.reference.tasks;
        let mut above = std::iter::successors(at.1, |&owner| tasks[owner].owner);
        if !above.any(|above| tasks[above].number == tasks[ix].number) {
            check_refused(refused, error);
        }
        self.reference.cover.hit(
            [Branch::WaitNotFound, Branch::WaitForbidden]
                [usize::from(refused == Refused::Forbidden)],
        );
    }

    pub(super) fn poll_wait(&mut self, slot: usize) {
        let Some(Waiting { wait, woken, .. }) = &mut self.waits[slot] else { return };
        let was_woken = woken.is_set();
        let polled = poll(wait, woken);
        self.reference.cover.hit_if(was_woken && polled.is_ready(), Branch::WaitWoken);
        self.check_wait(slot, polled);
    }

    #[track_caller]
    pub(super) fn check_wait(&mut self, slot: usize, polled: Poll<Result<Waited, TaskError>>) {
        let over = self.reference.is_over(slot);
        let Poll::Ready(waited) = polled else {
            assert!(!over, "a wait is over and does not end");
            return self.reference.cover.hit(Branch::WaitPending);
        };
        let (waited, saw) = (waited.unwrap(), self.reference.end_wait(slot).unwrap());
        assert!(over && !waited.timed_out);
        self.check_saw(&saw, &waited);
        let at = self.waits[slot].take().map(|waiting| waiting.scope);
        if let Some(at) = at {
            self.release(at);
        }
    }

    #[track_caller]
    pub(super) fn check_saw(&mut self, saw: &Saw, waited: &Waited) {
        assert_eq!(waited.ended.len(), saw.ended.len());
        for (finished, &ix) in waited.ended.iter().zip(&saw.ended) {
            self.check_finished(ix, finished);
            let evicted = self.reference.tasks[ix].evicted;
            self.reference.cover.hit_if(evicted, Branch::WaitSawEvicted);
        }
        let pending = waited.pending.iter().map(|snapshot| (snapshot.id, snapshot.status));
        let expected = saw.pending.iter();
        let expected = expected.map(|&ix| (self.tasks[ix].id, self.reference.tasks[ix].status()));
        assert!(pending.eq(expected));
        let some_left = !saw.pending.is_empty();
        let success = |&ix: &Ix| self.reference.tasks[ix].status() == Status::Completed;
        let succeeded = saw.ended.last().is_some_and(success);
        self.reference.cover.hit_if(some_left, Branch::WaitAny);
        self.reference.cover.hit_if(some_left && succeeded, Branch::WaitFirstSuccess);
    }

    pub(super) fn drop_wait(&mut self, slot: usize) {
        if let Some(waiting) = self.waits[slot].take() {
            self.reference.end_wait(slot);
            self.reference.cover.hit(Branch::WaitDropped);
            let at = waiting.scope;
            drop(waiting);
            self.release(at);
        }
    }
}
