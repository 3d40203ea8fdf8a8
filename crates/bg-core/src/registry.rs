//! The registry: the strong owner of all background work of a host.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::id::Kind;
use crate::limits::{Limits, Retention};
use crate::machine::Policy;
use crate::parent::ParentWatch;
use crate::scope::Scope;
use crate::shared::Shared;
use crate::subscribe::Events;
use crate::sync::Arc;

/// The one table of background work in a host.
///
/// Owned, not cloned: dropping the registry aborts whatever runs and forgets everything, however
/// many other handles are left; these answer `Closed` from then on. Dropping does not block: a future that is being
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
        let key = self.0.with(|machine, _| machine.open_root());
        Scope::new(self.0.clone(), key)
    }

    /// Opens a root under a token of the host's: when the token fires, the root takes no more
    /// tasks, and everything in it is stopped, each task with its own grace. When the call that
    /// cancels the token returns, every task was told.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Registry, SpawnError, Task};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let session = CancellationToken::new();
    /// let registry = Registry::new();
    /// let root = registry.root_scope_under(&session);
    /// let (_, completer) = root.register(Task::agent("remote", "build"))?;
    /// let token = completer.context().token();
    /// session.cancel();
    /// assert!(token.is_cancelled());
    /// assert_eq!(root.register(Task::new("late", "")).unwrap_err(), SpawnError::Closed);
    /// # Ok::<(), bg_core::SpawnError>(())
    /// ```
    pub fn root_scope_under(&self, parent: &CancellationToken) -> Scope {
        let scope = self.root_scope();
        let root = scope.cell().key.root;
        let watch = ParentWatch::new(&self.0, root, parent);
        self.0.with(|machine, fx| machine.keep_parent(root, watch, fx));
        scope
    }

    /// Returns the unscoped view, for humans: it sees every root, and stops anything.
    pub fn admin(&self) -> Admin {
        Admin(self.0.clone())
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
        self.0.close();
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
    limits: Limits,
    retention: Retention,
    events_kept: usize,
    first_number: NonZeroU64,
}

impl RegistryBuilder {
    /// Registers a kind of the host's own.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// Sets how much each root may have; see [`Limits`] for the default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long acknowledged outcomes stay readable; 64 of a root for an hour by default.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets how many acknowledged outcomes of a root stay readable, whatever their age.
    pub fn finished_kept(mut self, count: usize) -> Self {
        self.retention.count = count;
        self
    }

    /// Sets how many events a slow subscriber can fall behind before it misses some; 1,024 by
    /// default.
    pub fn events_kept(mut self, count: usize) -> Self {
        self.events_kept = count;
        self
    }

    /// Sets the number of the first task of each root; 1 by default. For hosts that go on where
    /// another process stopped counting.
    pub fn first_number(mut self, number: NonZeroU64) -> Self {
        self.first_number = number;
        self
    }

    /// Makes the registry.
    pub fn build(self) -> Registry {
        Registry(Shared::new(Policy {
            kinds: self.kinds,
            limits: self.limits,
            retention: self.retention,
            events_kept: self.events_kept,
            first_number: self.first_number.get(),
        }))
    }
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            kinds: BTreeSet::from([Kind::AGENT, Kind::SESSION, Kind::PROCESS, Kind::TASK]),
            limits: Limits::default(),
            retention: Retention::default(),
            events_kept: 1024,
            first_number: NonZeroU64::MIN,
        }
    }
}
