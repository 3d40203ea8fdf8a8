//! The one table of background work, as a plain machine.
//!
//! The machine holds no lock, reads no clock, starts nothing and calls nothing: `now` is an
//! argument, and what a change leads to is written into [`Effects`]. The shell in `shared.rs` puts
//! it behind the lock and runs the effects afterwards.
//!
//! # Invariants
//!
//! 1. A record is `Live`, then `Ended`, and never the other way. [`Machine::finish`] is the only
//!    place that makes the change: status and outcome are one value, so nobody can see one without
//!    the other (R3), and a second end is counted as superseded and changes nothing (R1).
//! 2. An ended record is in exactly one of three places: `Ready` in its scope's inbox, `Held` by
//!    one claim, or `Acked`. `ready[seq]` names the record that ended as number `seq` of its root
//!    and is `Ready`, and the other way round; a claim that is given back returns to its own
//!    `seq` (R2).
//! 3. `members` of a scope are its live records and its ended ones that are not acknowledged.
//! 4. Only acknowledged records are in `retained`, and only they are ever evicted.
//! 5. A record's number is its own for the life of the root; numbers only grow.
//! 6. `waits` of a live record are keys of wait slots that count it as missing.
//! 7. A scope exists while its owner lives; its state is made on first use. The root's own scope
//!    (owner 0) exists until its last handle is gone.
//! 8. Nothing whose destructor may be foreign code is dropped in here: it goes into the effects.
//! 9. The `keeper` of a live record is its owner or, once that has ended, the nearest owner above
//!    that has not, which has the record among its `orphans`: a stop reaches everything below.
//! 10. When a stop was requested of a record, it was requested of everything live below it.

mod deliver;
mod lists;
mod run;
mod stop;
mod wait;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::task::Waker;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use deliver::Next;
pub(crate) use run::Ending;
pub use stop::CancelOutcome;
pub(crate) use wait::Seen;
pub use wait::WaitFor;

use crate::effects::Effects;
use crate::error::{SpawnError, TaskError};
use crate::events::{EventKind, EventRing};
use crate::id::{Kind, TaskId, TaskRef};
use crate::log::OutputLog;
use crate::outcome::{Finished, Reason};
use crate::sync::Arc;
use crate::task::Task;

/// The number of a root, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RootId(pub(crate) u64);

/// Names a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) root: RootId,
    pub(crate) number: u64,
}

/// Names a scope: that of a task, or with owner 0 that of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeKey {
    pub(crate) root: RootId,
    pub(crate) owner: u64,
}

impl ScopeKey {
    pub(crate) const ROOT_OWNER: u64 = 0;

    pub(crate) fn task(self, number: u64) -> Key {
        Key { root: self.root, number }
    }
}

pub(crate) struct Machine {
    roots: BTreeMap<RootId, Root>,
    next_root: u64,
    kinds: BTreeSet<Kind>,
    retained_cap: usize,
    closed: bool,
    waits: BTreeMap<u64, wait::WaitSlot>,
    next_wait: u64,
    pub(crate) events: EventRing,
    /// Ends that came after the first one.
    superseded: u64,
}

struct Root {
    next_number: u64,
    records: BTreeMap<u64, Record>,
    scopes: BTreeMap<u64, ScopeState>,
    completions: u64,
    retained: VecDeque<u64>,
    live: usize,
}

struct Record {
    id: TaskId,
    owner: u64,
    keeper: u64,
    spawned: Instant,
    state: State,
}

enum State {
    Live(Box<Live>),
    Ended {
        finished: Arc<Finished>,
        /// How many tasks of the root had ended before it.
        seq: u64,
        delivery: Delivery,
    },
}

/// Everything of a task that its end takes away.
pub(crate) struct Live {
    label: String,
    prompt: String,
    grace: Duration,
    started: bool,
    step: u32,
    trace: Vec<String>,
    trace_dropped: u64,
    log: Option<OutputLog>,
    token: Option<CancellationToken>,
    abort: Option<AbortHandle>,
    stop: Option<Reason>,
    /// What waits for the end of the grace.
    timer: Option<AbortHandle>,
    /// The grace is over.
    forced: bool,
    /// The work is done elsewhere, by the holder of a completer.
    external: bool,
    waits: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Ready,
    Held,
    Acked,
}

#[derive(Default)]
struct ScopeState {
    members: BTreeSet<u64>,
    orphans: BTreeSet<u64>,
    ready: BTreeMap<u64, u64>,
    listeners: BTreeMap<u64, Waker>,
    next_listener: u64,
    closed: bool,
}

impl Machine {
    pub(crate) fn new(kinds: BTreeSet<Kind>, retained_cap: usize, event_cap: usize) -> Self {
        Self {
            roots: BTreeMap::new(),
            next_root: 1,
            kinds,
            retained_cap,
            closed: false,
            waits: BTreeMap::new(),
            next_wait: 0,
            events: EventRing::new(event_cap),
            superseded: 0,
        }
    }

    pub(crate) fn open_root(&mut self) -> ScopeKey {
        let root = RootId(self.next_root);
        self.next_root += 1;
        self.roots.insert(root, Root::new());
        ScopeKey { root, owner: ScopeKey::ROOT_OWNER }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn knows(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Adds a record. It is visible, can be waited for and can be stopped from here on.
    pub(crate) fn spawn(
        &mut self,
        scope: ScopeKey,
        task: Task,
        external: bool,
        now: Instant,
        fx: &mut Effects,
    ) -> Result<TaskId, SpawnError> {
        let (closed, known) = (self.closed, self.knows(task.kind));
        let root = self.roots.get_mut(&scope.root).ok_or(SpawnError::Closed)?;
        if closed || !root.admits(scope.owner) {
            return Err(SpawnError::Closed);
        }
        if !known {
            return Err(SpawnError::UnknownKind(task.kind));
        }
        let number = NonZeroU64::new(root.next_number).ok_or(SpawnError::NumbersExhausted)?;
        // Wraps to 0 after the last number, which is the mark of an exhausted root (I5).
        root.next_number = root.next_number.wrapping_add(1);
        let id = TaskId::from_parts(task.kind, number);
        let label = task.label.clone();
        let state = State::Live(Box::new(Live::new(task, external)));
        let (owner, keeper) = (scope.owner, scope.owner);
        root.records.insert(id.number(), Record { id, owner, keeper, spawned: now, state });
        root.scopes.entry(scope.owner).or_default().members.insert(id.number());
        root.live += 1;
        let owner = root.records.get(&scope.owner).map(|owner| owner.id);
        self.publish(scope.root, id, fx, || EventKind::Spawned { label, owner });
        Ok(id)
    }

    fn publish(
        &mut self,
        root: RootId,
        task: TaskId,
        fx: &mut Effects,
        what: impl FnOnce() -> EventKind,
    ) {
        self.events.publish(root, task, &mut fx.wake, what);
    }

    fn record_mut(&mut self, key: Key) -> Option<&mut Record> {
        self.roots.get_mut(&key.root)?.records.get_mut(&key.number)
    }

    fn live_mut(&mut self, key: Key) -> Option<(TaskId, &mut Live)> {
        let record = self.record_mut(key)?;
        match &mut record.state {
            State::Live(live) => Some((record.id, live)),
            State::Ended { .. } => None,
        }
    }

    /// Finds a task that the scope owns. Another root's task is not found, like one that never
    /// existed; another scope's task of the same root is forbidden (R10).
    fn find(&self, scope: ScopeKey, task: TaskRef) -> Result<&Record, TaskError> {
        let record = self
            .roots
            .get(&scope.root)
            .and_then(|root| root.records.get(&task.number()))
            .filter(|record| task.kind().is_none_or(|kind| kind == record.id.kind()))
            .ok_or_else(|| TaskError::not_found(task))?;
        if record.owner != scope.owner {
            return Err(TaskError::forbidden(task));
        }
        Ok(record)
    }

    /// Forgets a root whose last handle is gone and in which nothing runs (I7).
    fn release_root_if_over(&mut self, root: RootId, fx: &mut Effects) {
        let over = |r: &Root| r.live == 0 && !r.scopes.contains_key(&ScopeKey::ROOT_OWNER);
        if self.roots.get(&root).is_some_and(over) {
            let records = self.roots.remove(&root).into_iter().flat_map(|root| root.records);
            fx.drop.records.extend(records.map(|(_, record)| record.into_foreign()));
        }
    }
}

impl Root {
    fn new() -> Self {
        Self {
            next_number: 1,
            records: BTreeMap::new(),
            scopes: BTreeMap::from([(ScopeKey::ROOT_OWNER, ScopeState::default())]),
            completions: 0,
            retained: VecDeque::new(),
            live: 0,
        }
    }

    /// Returns the scope of this owner, if there is one (I7).
    fn scope_mut(&mut self, owner: u64) -> Option<&mut ScopeState> {
        if self.records.get(&owner).and_then(Record::live).is_some() {
            return Some(self.scopes.entry(owner).or_default());
        }
        self.scopes.get_mut(&owner)
    }

    /// Returns whether the scope of this owner takes new tasks.
    fn admits(&self, owner: u64) -> bool {
        if self.scopes.get(&owner).is_some_and(|scope| scope.closed) {
            return false;
        }
        if owner == ScopeKey::ROOT_OWNER {
            return self.scopes.contains_key(&owner);
        }
        self.records.get(&owner).and_then(Record::live).is_some_and(|live| live.stop.is_none())
    }
}

impl Record {
    fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live) => Some(live),
            State::Ended { .. } => None,
        }
    }

    /// Takes what must be dropped outside the lock (I8).
    fn into_foreign(self) -> Foreign {
        match self.state {
            State::Live(live) => Foreign::Live(live),
            State::Ended { finished, .. } => Foreign::Finished(finished),
        }
    }
}

/// What a record leaves to be dropped outside the lock.
pub(crate) enum Foreign {
    Live(#[expect(dead_code, reason = "held to be dropped")] Box<Live>),
    Finished(#[expect(dead_code, reason = "held to be dropped")] Arc<Finished>),
    /// It may be the last thing that holds a runtime, with hooks of the host's.
    Handle(#[expect(dead_code, reason = "held to be dropped")] AbortHandle),
}

impl Live {
    fn new(task: Task, external: bool) -> Self {
        Self {
            label: task.label,
            prompt: task.prompt,
            grace: task.grace,
            started: false,
            step: 0,
            trace: Vec::new(),
            trace_dropped: 0,
            log: None,
            token: None,
            abort: None,
            stop: None,
            timer: None,
            forced: false,
            external,
            waits: BTreeSet::new(),
        }
    }
}
