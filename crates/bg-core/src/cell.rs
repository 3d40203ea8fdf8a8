//! What a scope's clones share.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use tokio::runtime::Handle;

use crate::claim::{Claim, Ready};
use crate::machine::{Gauge, ScopeKey};
use crate::scope::Scope;
use crate::shared::Shared;
use crate::sync::{Arc, Weak};

pub(crate) struct ScopeCell {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: ScopeKey,
    /// How much is in the inbox, fetched when somebody first asks.
    gauge: OnceLock<Gauge>,
    /// The runtime that this scope has told the registry of.
    runtime: OnceLock<tokio::runtime::Id>,
}

impl ScopeCell {
    pub(crate) fn new(shared: Arc<Shared>, key: ScopeKey) -> Self {
        Self { shared, key, gauge: OnceLock::new(), runtime: OnceLock::new() }
    }

    /// Returns whether the caller is inside a runtime. The registry remembers it for timers: the
    /// first one of a task that uses this scope, and any that is not left to a task.
    pub(crate) fn enter_runtime(&self) -> bool {
        // A task runs inside a runtime, and asking for its id costs less than a handle.
        if self.runtime.get().is_some() && tokio::task::try_id().is_some() {
            return true;
        }
        let Ok(handle) = Handle::try_current() else { return false };
        if self.runtime.get() != Some(&handle.id()) {
            self.shared.remember_runtime(&handle);
            // The first one stays: with another one it is told again.
            let _ = self.runtime.set(handle.id());
        }
        true
    }

    /// Returns whether the inbox is empty, without the registry's lock unless something has just
    /// ended.
    pub(crate) fn is_empty(&self) -> bool {
        if let Some(gauge) = self.gauge.get()
            && !self.shared.has_ends()
        {
            return gauge.is_empty();
        }
        // Whoever takes the lock applies the ends that were posted, and the gauge shows them.
        let gauge = self.shared.call(|machine, _| machine.gauge(self.key)).flatten();
        gauge.is_none_or(|gauge| self.gauge.get_or_init(|| gauge).is_empty())
    }

    /// Returns whether somebody who wants to claim something has to look. Where something has just
    /// ended he does: it would take the lock to find out whose it was, and he takes it anyway.
    pub(crate) fn may_have(&self) -> bool {
        (self.gauge.get().is_some() && self.shared.has_ends()) || !self.is_empty()
    }
}

/// A scope that does not keep its root open; see [`Scope::downgrade`].
///
/// Two of them are equal if they are of the same scope of the same registry, whichever handles they
/// were made of.
#[derive(Clone, Debug)]
pub struct WeakScope {
    cell: Weak<ScopeCell>,
    shared: Arc<Shared>,
    key: ScopeKey,
}

impl WeakScope {
    pub(crate) fn new(cell: &Arc<ScopeCell>) -> Self {
        Self { cell: Arc::downgrade(cell), shared: cell.shared.clone(), key: cell.key }
    }

    pub(crate) fn ready(&self) -> Ready {
        Ready::weak(&self.shared, self.key)
    }

    pub(crate) fn claims(&self, max: usize) -> Vec<Claim> {
        self.upgrade().map_or_else(Vec::new, |scope| scope.inbox().take(max))
    }

    /// Returns whether there is nothing to claim now.
    pub(crate) fn is_empty(&self) -> bool {
        self.upgrade().is_none_or(|scope| scope.inbox().is_empty())
    }

    /// Returns the scope; `None` for that of a root which nobody holds any more.
    pub fn upgrade(&self) -> Option<Scope> {
        match self.cell.upgrade() {
            Some(cell) => Some(Scope::of(cell)),
            // The scope of a task lives as long as the task, whoever has a handle to it.
            None if self.key.owner != ScopeKey::ROOT_OWNER => {
                Some(Scope::new(self.shared.clone(), self.key))
            }
            None => None,
        }
    }
}

impl PartialEq for WeakScope {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.key == other.key
    }
}

impl Eq for WeakScope {}

impl Hash for WeakScope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One registry has many scopes; the others are told apart by `eq`.
        self.key.hash(state);
    }
}

impl Drop for ScopeCell {
    fn drop(&mut self) {
        if self.key.owner == ScopeKey::ROOT_OWNER {
            let root = self.key.root;
            let released = self.shared.call_at(|machine, now, fx| machine.abandon(root, now, fx));
            if let Some(outcomes @ 1..) = released {
                tracing::debug!(root = root.0, outcomes, "released with the last handle of a root");
            }
        }
    }
}
