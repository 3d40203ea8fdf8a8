//! Who gets an outcome, who sees it, and who has waited for it.

use std::collections::{BTreeMap, BTreeSet};

use bg_core::{Status, WaitFor};

use super::{Ended, Ix, Place, RefWait, Reference, Saw, ScopeIx};
use crate::model::cover::Branch;
use crate::model::told::Told;

impl Reference {
    /// The outcomes of a scope that are kept, the oldest first.
    pub(crate) fn history(&self, scope: ScopeIx) -> impl Iterator<Item = Ix> {
        let root = &self.roots[scope.0];
        let kept = root.retained.iter().filter(|_| !root.gone);
        kept.copied().filter(move |&ix| self.tasks[ix].owner == scope.1)
    }

    /// The live and undelivered tasks of a scope, by number; once it is over, the live ones.
    pub(crate) fn list(&self, scope: ScopeIx) -> impl Iterator<Item = Ix> {
        let numbers = self.roots[scope.0].numbers.iter().copied();
        let own = numbers.filter(move |&ix| self.tasks[ix].owner == scope.1);
        let delivered = move |ended: &Ended| ended.place == Place::Acked || !self.takes(scope);
        own.filter(move |&ix| !self.tasks[ix].ended.as_ref().is_some_and(delivered))
    }

    /// The oldest outcome of an inbox.
    pub(crate) fn oldest(&self, scope: ScopeIx) -> Option<Ix> {
        self.ready.get(&scope)?.first_key_value().map(|(_, &ix)| ix)
    }

    /// What is in an inbox, the oldest first.
    pub(crate) fn inbox(&self, scope: ScopeIx) -> Vec<Ix> {
        self.ready.get(&scope).into_iter().flat_map(BTreeMap::values).copied().collect()
    }

    pub(crate) fn place(&self, ix: Ix) -> Option<Place> {
        self.tasks[ix].ended.as_ref().map(|ended| ended.place)
    }

    /// Claims an outcome that is in an inbox.
    pub(crate) fn hold(&mut self, ix: Ix) {
        let scope = self.tasks[ix].scope();
        let Some(ended) = &mut self.tasks[ix].ended else { return };
        ended.place = Place::Held;
        let seq = ended.seq;
        if let Some(ready) = self.ready.get_mut(&scope) {
            ready.remove(&seq);
        }
        self.tell(ix, Told::Claimed);
    }

    pub(crate) fn ack(&mut self, ix: Ix) {
        if self.roots[self.tasks[ix].root].gone {
            return self.cover.hit(Branch::AckedInGoneRoot);
        }
        let late = !self.takes(self.tasks[ix].scope());
        self.cover.hit(if late { Branch::AckedLate } else { Branch::Acked });
        self.retain(ix);
        self.tell(ix, Told::Acked);
    }

    pub(crate) fn give_back(&mut self, ix: Ix) {
        if self.roots[self.tasks[ix].root].gone {
            return self.cover.hit(Branch::GivenBackInGoneRoot);
        }
        let late = !self.takes(self.tasks[ix].scope());
        self.cover.hit(if late { Branch::GivenBackLate } else { Branch::GivenBackInPlace });
        self.put(ix);
        self.tell(ix, if late { Told::Released } else { Told::GivenBack });
    }

    /// A clone of a root's own scope is dropped, alone or inside something else.
    pub(crate) fn drop_handle(&mut self, root: usize) {
        self.roots[root].handles -= 1;
        if self.roots[root].handles > 0 {
            return self.cover.hit(Branch::HandleKeepsRoot);
        }
        let left = self.ready.remove(&(root, None)).unwrap_or_default();
        self.cover.hit_if(!left.is_empty(), Branch::RootReleased);
        for ix in left.into_values() {
            self.retain(ix);
        }
        self.forget_root_if_over(root);
    }

    pub(super) fn forget_root_if_over(&mut self, root: usize) {
        let root = &mut self.roots[root];
        if root.handles == 0 && root.live == 0 {
            root.gone = true;
            self.cover.hit(Branch::RootGone);
        }
    }

    /// Begins a wait for these tasks in place `slot`.
    pub(crate) fn begin_wait(&mut self, slot: usize, tasks: BTreeSet<Ix>, mode: WaitFor) {
        let mut ended: Vec<(u64, Ix)> = Vec::new();
        for &ix in &tasks {
            ended.extend(self.tasks[ix].ended.as_ref().map(|ended| (ended.seq, ix)));
        }
        ended.sort_unstable();
        let ended = ended.into_iter().map(|(_, ix)| ix).collect();
        if self.waits.len() <= slot {
            self.waits.resize_with(slot + 1, || None);
        }
        self.waits[slot] = Some(RefWait { tasks, mode, ended });
    }

    /// Returns whether what a wait is for has happened.
    pub(crate) fn is_over(&self, slot: usize) -> bool {
        let Some(wait) = &self.waits[slot] else { return true };
        let succeeded = |&ix: &Ix| self.tasks[ix].status() == Status::Completed;
        wait.ended.len() == wait.tasks.len()
            || match wait.mode {
                WaitFor::Any => !wait.ended.is_empty(),
                WaitFor::FirstSuccess => wait.ended.iter().any(succeeded),
                _ => false,
            }
    }

    /// Ends a wait: what it has seen.
    pub(crate) fn end_wait(&mut self, slot: usize) -> Option<Saw> {
        let wait = self.waits[slot].take()?;
        let live = |ix: &Ix| self.tasks[*ix].is_live();
        Some(Saw { ended: wait.ended, pending: wait.tasks.into_iter().filter(live).collect() })
    }
}
