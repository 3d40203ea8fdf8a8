//! What a host allows: how much at once, and how long ended tasks stay readable.

use std::fmt;
use std::time::Duration;

/// How much a host allows in each root. What is over a limit is refused with
/// [`SpawnError::Limit`](crate::SpawnError::Limit), which names the limit and its value.
///
/// By default only what is undelivered is limited. Foreground tasks are bound by `depth` alone.
///
/// # Examples
///
/// ```
/// use bg_core::{LimitKind, Limits, Registry, SpawnError, Task};
///
/// let registry = Registry::builder().limits(Limits::default().per_scope(1)).build();
/// let root = registry.root_scope();
/// let _first = root.register(Task::new("first", ""))?;
/// let refused = root.register(Task::new("second", "")).unwrap_err();
/// assert_eq!(refused, SpawnError::Limit { limit: LimitKind::PerScope, value: 1 });
/// # Ok::<(), bg_core::SpawnError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Spawned tasks that run at once in a root; the others wait as
    /// [`Pending`](crate::Status::Pending), first in first out. `None` for any number. Work that
    /// was registered is done elsewhere and is not counted.
    pub running: Option<usize>,
    /// Tasks that may wait for a slot in a root; `None` for any number.
    pub queued: Option<usize>,
    /// Live tasks of one scope, foreground tasks among them; `None` for any number.
    pub per_scope: Option<usize>,
    /// How deep tasks nest: 1 allows the root's own tasks only. `None` for any depth.
    pub depth: Option<u32>,
    /// Outcomes of a root that were not acknowledged: past this, spawning is refused and nothing
    /// is dropped.
    pub undelivered: usize,
    /// Bytes of these outcomes (texts, data, trace lines).
    pub undelivered_bytes: u64,
    /// Bytes that the output logs of a root keep together, those of ended tasks among them, as long
    /// as anybody can read them; `None` for what their caps allow.
    ///
    /// Past it nothing is refused: a log that would grow drops its own oldest bytes instead, and
    /// counts them. Each may keep 16 KiB in any case, so that a new task is never mute.
    pub output_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: None,
            queued: None,
            per_scope: None,
            depth: None,
            undelivered: 1024,
            undelivered_bytes: 64 << 20,
            output_bytes: None,
        }
    }
}

impl Limits {
    /// Sets how many spawned tasks of a root run at once.
    pub fn running(mut self, tasks: usize) -> Self {
        self.running = Some(tasks);
        self
    }

    /// Sets how many tasks of a root may wait for a slot.
    pub fn queued(mut self, tasks: usize) -> Self {
        self.queued = Some(tasks);
        self
    }

    /// Sets how many live tasks a scope may have.
    pub fn per_scope(mut self, tasks: usize) -> Self {
        self.per_scope = Some(tasks);
        self
    }

    /// Sets how deep tasks nest.
    pub fn depth(mut self, levels: u32) -> Self {
        self.depth = Some(levels);
        self
    }

    /// Sets how many outcomes of a root may be unacknowledged, and how many bytes of them.
    pub fn undelivered(mut self, outcomes: usize, bytes: u64) -> Self {
        self.undelivered = outcomes;
        self.undelivered_bytes = bytes;
        self
    }

    /// Sets how many bytes the output logs of a root keep together.
    pub fn output_bytes(mut self, bytes: u64) -> Self {
        self.output_bytes = Some(bytes);
        self
    }
}

/// Which limit a spawn ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// Tasks that wait for a slot: [`Limits::queued`].
    Queued,
    /// Live tasks of one scope: [`Limits::per_scope`].
    PerScope,
    /// How deep tasks nest: [`Limits::depth`].
    Depth,
    /// Outcomes that were not acknowledged: [`Limits::undelivered`].
    Undelivered,
    /// Bytes of these: [`Limits::undelivered_bytes`].
    UndeliveredBytes,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued tasks",
            Self::PerScope => "live tasks of one owner",
            Self::Depth => "levels of nested tasks",
            Self::Undelivered => "undelivered outcomes",
            Self::UndeliveredBytes => "bytes of undelivered outcomes",
        })
    }
}

/// How long acknowledged outcomes stay readable. What nobody has acknowledged is kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// How many of a root are kept; the oldest goes first.
    pub count: usize,
    /// How long after it was acknowledged one is kept. What is older cannot be read any more; its
    /// memory is freed when the root is used next.
    ///
    /// The first outcome of a [`Drain`](crate::Drain) is delivered without a look at the clock. It
    /// is kept for as long at least; its age begins with what happens next in the root of these: a
    /// task is spawned or ends, an outcome is acknowledged, the history or anything of an ended
    /// task is read. While none of this happens it stays, as one of the `count`.
    pub age: Duration,
}

impl Default for Retention {
    /// 64 outcomes, one hour.
    fn default() -> Self {
        Self { count: 64, age: Duration::from_secs(3600) }
    }
}

impl Retention {
    /// Keeps at most this many, for at most this long.
    pub fn new(count: usize, age: Duration) -> Self {
        Self { count, age }
    }
}
