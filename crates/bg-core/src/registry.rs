//! The registry: the strong owner of all background work of a host.

use std::collections::BTreeSet;

use crate::id::Kind;
use crate::machine::Machine;
use crate::scope::Scope;
use crate::shared::Shared;
use crate::subscribe::Events;
use crate::sync::Arc;

/// The one table of background work in a host.
///
/// Owned, not cloned: every other handle holds it weakly, so dropping the registry aborts
/// whatever runs, however many handles are left. Dropping does not block: a future that is being
/// polled is dropped at its next await.
///
/// Compared with [`tokio::task::JoinSet`], which hands each result to whoever polls it, a
/// registry keeps every outcome until it is acknowledged, gives ids that stay readable
/// afterwards, and separates callers from each other.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Registry, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let id = root.spawn(Task::agent("explore", "find all tests"), |cx| async move {
///     cx.step(1);
///     Ok(Output::text("found 42 tests"))
/// })?;
/// let claim = root.inbox().next().await.ok_or("closed")?;
/// assert_eq!(claim.id, id);
/// claim.ack();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the registry aborts everything that runs in it"]
pub struct Registry(Arc<Shared>);

impl Registry {
    /// Makes a registry with the defaults of [`RegistryBuilder`].
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts to configure a registry.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Opens a root: a conversation or tenant with ids, inboxes and tasks of its own. No other
    /// root can tell that they exist.
    ///
    /// When the last clone of the scope is dropped, nobody can start or claim anything in the root
    /// any more: what runs goes on to its end, and outcomes are released.
    pub fn root_scope(&self) -> Scope {
        let key = self.0.with(|machine, _, _| machine.open_root());
        Scope::new(Arc::downgrade(&self.0), key)
    }

    /// Subscribes to everything that happens from now on, in all roots.
    pub fn events(&self) -> Events {
        Events::new(&self.0)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.0.with(|machine, fx, now| machine.close_registry(now, fx));
    }
}

/// Configures a [`Registry`].
///
/// # Examples
///
/// ```
/// use bg_core::{Kind, Registry};
///
/// let registry = Registry::builder().kind(Kind::new("browser")).finished_kept(8).build();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    kinds: BTreeSet<Kind>,
    finished_kept: usize,
    events_kept: usize,
}

impl RegistryBuilder {
    /// Registers a kind of the host's own.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// Sets how many acknowledged outcomes of a root stay readable; 64 by default. What nobody
    /// has acknowledged is kept in any case.
    pub fn finished_kept(mut self, count: usize) -> Self {
        self.finished_kept = count;
        self
    }

    /// Sets how many events a slow subscriber can fall behind before it misses some; 1,024 by
    /// default.
    pub fn events_kept(mut self, count: usize) -> Self {
        self.events_kept = count;
        self
    }

    /// Makes the registry.
    pub fn build(self) -> Registry {
        Registry(Shared::new(Machine::new(self.kinds, self.finished_kept, self.events_kept)))
    }
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            kinds: BTreeSet::from([Kind::AGENT, Kind::SESSION, Kind::PROCESS, Kind::TASK]),
            finished_kept: 64,
            events_kept: 1024,
        }
    }
}
