//! Which task, scope or handle an operation means.

use bg_core::Scope;

use super::World;
use crate::model::reference::{Ix, Refused, ScopeIx};

impl World {
    /// A task, more often one of the last ones.
    pub(super) fn pick_task(&self, by: u16) -> Option<Ix> {
        let (count, by) = (self.tasks.len(), usize::from(by));
        let recent = count.min(16);
        match by % 4 {
            _ if count == 0 => None,
            0 => Some(by / 4 % count),
            _ => Some(count - 1 - by / 4 % recent),
        }
    }

    /// A scope that somebody has a handle of: that of a root, or that of a task.
    pub(super) fn pick_scope(&self, by: u16) -> Option<(ScopeIx, Scope)> {
        let by_root = usize::from(by) / 8 % self.roots.len();
        let live = |ix: &Ix| self.reference.tasks[*ix].is_live();
        let tries = [by / 8, by.rotate_right(6), by.rotate_right(9)].map(|by| self.pick_task(by));
        let by_task = tries.iter().flatten().find(|ix| live(ix)).or(tries[0].as_ref());
        if by % 8 < 3
            && let Some(&ix) = by_task
        {
            return self.handle((self.reference.tasks[ix].root, Some(ix)));
        }
        self.handle((by_root, None))
    }

    /// A scope and a task, more often one that the scope owns.
    pub(super) fn pick_both(&self, scope: u16, task: u16) -> Option<(ScopeIx, Scope, Ix)> {
        let ix = self.pick_task(task)?;
        let own = (!scope.is_multiple_of(8)).then(|| self.reference.tasks[ix].scope());
        let own = own.and_then(|own| self.handle(own));
        let (at, scope) = own.or_else(|| self.pick_scope(scope / 8))?;
        Some((at, scope, ix))
    }

    pub(super) fn handle(&self, at: ScopeIx) -> Option<(ScopeIx, Scope)> {
        let scope = match at.1 {
            None => self.roots[at.0].clone()?,
            Some(owner) => self.tasks[owner].context.scope(),
        };
        Some((at, scope))
    }

    /// What the reference finds under the id of this task in this scope.
    pub(super) fn find(&self, at: ScopeIx, ix: Ix) -> Result<Ix, Refused> {
        let id = self.tasks[ix].id;
        self.reference.find(at, id.number(), Some(id.kind()))
    }

    /// Takes or leaves a clone of a root's own scope that lives inside another handle.
    pub(super) fn keep(&mut self, at: ScopeIx) {
        if at.1.is_none() {
            self.reference.roots[at.0].handles += 1;
        }
    }

    pub(super) fn release(&mut self, at: ScopeIx) {
        if at.1.is_none() {
            self.reference.drop_handle(at.0);
        }
    }

    /// Whether an operation that would end these, and all below, at once can be compared.
    pub(super) fn is_comparable(&self, ends: usize) -> bool {
        self.recorder.is_some() || ends <= 1
    }
}
