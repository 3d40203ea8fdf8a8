//! Sweeps: a stop of everything in a scope, in pieces, so that nobody waits long for the lock.
//!
//! A sweep reaches the members that the scope has when it begins. They count as stopped from then
//! on; the sweep's cursor goes through them in the order of their numbers, and is moved on when
//! the record that it points to is unlinked.

use std::time::Duration;

use super::scope::Sweep;
use super::{Machine, ScopeKey, Stamp};
use crate::effects::Effects;
use crate::outcome::Reason;
use crate::sync::Arc;

/// How many members a piece goes through: some microseconds.
const PIECE: usize = 64;

impl Machine {
    /// Begins to stop every member of a scope; returns how many live ones had not been stopped.
    /// The members that an earlier sweep has not reached yet keep its reason.
    pub(super) fn sweep(
        &mut self,
        scope: ScopeKey,
        reason: &Arc<Reason>,
        grace: Option<Duration>,
        fx: &mut Effects,
    ) -> usize {
        let Some(root) = self.roots.get_mut(scope.root.0) else { return 0 };
        // The next number is 0 when all are used up.
        let last = root.next_number.wrapping_sub(1);
        let Some(state) = root.scopes.get_mut(scope.owner) else { return 0 };
        let count = std::mem::take(&mut state.unstopped);
        if state.live == 0 {
            return count;
        }
        match state.sweep.as_mut() {
            Some(under_way) if !under_way.is_over() => under_way.extend(last, grace),
            over => {
                if over.is_none() {
                    self.sweeps.push_back(scope);
                }
                let (reason, cursor) = (reason.clone(), state.head);
                state.sweep = Some(Sweep { reason, grace, cursor, last });
            }
        }
        fx.chores().sweep = true;
        count
    }

    /// Stops the next members; returns whether there are more.
    pub(crate) fn sweep_piece(&mut self, now: Stamp, fx: &mut Effects) -> bool {
        for _ in 0..PIECE {
            let Some(&scope) = self.sweeps.front() else { return false };
            if !self.sweep_next(scope, now, fx) {
                self.sweeps.pop_front();
            }
        }
        !self.sweeps.is_empty()
    }

    /// Stops the next member of a scope; returns whether there was one.
    fn sweep_next(&mut self, scope: ScopeKey, now: Stamp, fx: &mut Effects) -> bool {
        let Some(root) = self.roots.get_mut(scope.root.0) else { return false };
        let Some(state) = root.scopes.get_mut(scope.owner) else { return false };
        let Some(sweep) = &mut state.sweep else { return false };
        if sweep.is_over() {
            state.sweep = None;
            return false;
        }
        let number = sweep.cursor;
        let (reason, grace) = (sweep.reason.clone(), sweep.grace);
        // It stays covered while it is stopped, and is counted as such already.
        self.stop(scope.task(number), &reason, grace, now, fx);
        self.advance(scope, number);
        true
    }

    /// Moves a cursor past a record, unless the end of the record has done so.
    fn advance(&mut self, scope: ScopeKey, number: u64) {
        let Some(root) = self.roots.get_mut(scope.root.0) else { return };
        let next = root.records.get(number).map_or(0, |record| record.next);
        let state = root.scopes.get_mut(scope.owner);
        let sweep = state.and_then(|state| state.sweep.as_mut());
        if let Some(sweep) = sweep.filter(|sweep| sweep.cursor == number) {
            sweep.cursor = next;
        }
    }
}

impl Sweep {
    fn is_over(&self) -> bool {
        self.cursor == 0 || self.cursor > self.last
    }

    /// Reaches further, and leaves no more time than the shortest grace that was asked for.
    fn extend(&mut self, last: u64, grace: Option<Duration>) {
        self.last = self.last.max(last);
        self.grace = match (self.grace, grace) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
