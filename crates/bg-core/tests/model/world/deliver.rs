//! Delivery: claims, listeners, drains.

use std::sync::Arc;
use std::task::Poll;

use bg_core::{Claim, ClaimError};

use super::{
    Flag, HeldClaim, Listener, MOST_CLAIMS, MOST_LISTENERS, World, check_claim_refused, poll,
};
use crate::model::cover::Branch;
use crate::model::reference::{Ix, Place, Refused, ScopeIx};

impl World {
    pub(super) fn take(&mut self, scope: u16) {
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        let claim = scope.inbox().try_next();
        self.observe();
        let oldest = self.reference.oldest(at);
        assert_eq!(claim.as_ref().map(|claim| claim.id), oldest.map(|ix| self.tasks[ix].id));
        let (Some(claim), Some(ix)) = (claim, oldest) else {
            return self.reference.cover.hit(Branch::TakenNothing);
        };
        self.reference.cover.hit(Branch::Taken);
        self.hold(claim, ix, at);
    }

    pub(super) fn drain(&mut self, scope: u16, count: usize) {
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        let mut expected = self.reference.inbox(at);
        let left = expected.split_off(count.min(expected.len()));
        // A drain may take more at once, and give back what it has not yielded.
        if self.recorder.is_none() && self.ring.is_heard() && !left.is_empty() {
            return;
        }
        let drained: Vec<_> = scope.inbox().drain().take(count).collect();
        self.observe();
        self.passed_over = left;
        assert_eq!(drained.len(), expected.len());
        for (finished, ix) in drained.iter().zip(expected) {
            self.check_finished(ix, finished);
            self.reference.hold(ix);
            self.reference.ack(ix);
            self.reference.cover.hit(Branch::DrainedSome);
        }
    }

    pub(super) fn claim(&mut self, scope: u16, task: u16) {
        let Some((at, scope, ix)) = self.pick_both(scope, task) else { return };
        let claimed = scope.claim(self.tasks[ix].id);
        self.observe();
        let branch = match (self.find(at, ix), claimed) {
            (Err(refused), claimed) => {
                check_claim_refused(refused, &claimed.unwrap_err());
                [Branch::ClaimNotFound, Branch::ClaimForbidden]
                    [usize::from(refused == Refused::Forbidden)]
            }
            (Ok(ix), Err(error)) => self.check_not_claimed(ix, &error),
            (Ok(ix), Ok(claim)) => {
                assert_eq!(self.reference.place(ix), Some(Place::Ready));
                self.hold(claim, ix, at);
                Branch::ClaimOk
            }
        };
        self.reference.cover.hit(branch);
    }

    #[track_caller]
    pub(super) fn check_not_claimed(&self, ix: Ix, error: &ClaimError) -> Branch {
        match (self.reference.place(ix), error) {
            (None, ClaimError::NotEnded { id, status }) => {
                assert_eq!((*id, *status), (self.tasks[ix].id, self.reference.tasks[ix].status()));
                Branch::ClaimNotEnded
            }
            (Some(place), ClaimError::Delivered(delivered)) => {
                self.check_finished(ix, delivered.finished());
                assert_ne!(place, Place::Ready);
                if place == Place::Held { Branch::ClaimHeld } else { Branch::ClaimAcked }
            }
            (place, error) => panic!("{place:?}, but {error:?}"),
        }
    }

    /// Keeps a claim; the oldest one makes room.
    pub(super) fn hold(&mut self, claim: Claim, ix: Ix, scope: ScopeIx) {
        self.check_finished(ix, &claim);
        self.reference.hold(ix);
        self.keep(scope);
        self.claims.push(HeldClaim { claim, ix, scope });
        if self.claims.len() > MOST_CLAIMS {
            self.end_claim(0, true);
        }
    }

    pub(super) fn end_claim(&mut self, which: u16, ack: bool) {
        if self.claims.is_empty() {
            return;
        }
        let HeldClaim { claim, ix, scope } =
            self.claims.remove(usize::from(which) % self.claims.len());
        if ack {
            let finished = claim.ack();
            self.check_finished(ix, &finished);
            self.reference.ack(ix);
        } else {
            drop(claim);
            self.reference.give_back(ix);
        }
        self.observe();
        self.release(scope);
    }

    pub(super) fn listen(&mut self, scope: u16) {
        let Some((at, scope)) = self.pick_scope(scope) else { return };
        if self.listeners.len() == MOST_LISTENERS {
            self.drop_listener(0);
        }
        let (next, woken) = (scope.inbox().next(), Arc::new(Flag::default()));
        self.keep(at);
        self.listeners.push(Listener { next, woken, scope: at });
        self.poll_listener(self.listeners.len() - 1);
    }

    pub(super) fn poll_listener(&mut self, which: usize) {
        if self.listeners.is_empty() {
            return;
        }
        let which = which % self.listeners.len();
        let Listener { next, woken, scope } = &mut self.listeners[which];
        let (found, at) = (poll(next, woken), *scope);
        self.observe();
        match found {
            Poll::Pending => {
                assert!(self.reference.oldest(at).is_none() && self.reference.takes(at));
                return self.reference.cover.hit(Branch::ListenerWaited);
            }
            Poll::Ready(None) => {
                assert!(!self.reference.takes(at));
                self.reference.cover.hit(Branch::ListenerOver);
            }
            Poll::Ready(Some(claim)) => {
                let ix = self.reference.oldest(at).unwrap();
                self.hold(claim, ix, at);
                self.reference.cover.hit(Branch::ListenerClaimed);
            }
        }
        self.listeners.remove(which);
        self.release(at);
    }

    pub(super) fn drop_listener(&mut self, which: usize) {
        if !self.listeners.is_empty() {
            let listener = self.listeners.remove(which % self.listeners.len());
            self.reference.cover.hit(Branch::ListenerDropped);
            self.release(listener.scope);
        }
    }
}
