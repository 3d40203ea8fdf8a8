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
//! 2. An ended record is `Ready`, `Held` by one claim, or `Acked`. `ready` of its scope, or `aside`
//!    for a foreground task, names the record that ended as number `seq` of its root under `seq` if
//!    and only if it is `Ready`; a claim that is given back returns to its own `seq` (R2).
//!    `undelivered` of a root counts the ended records that are not `Acked`.
//! 3. The members of a scope are its live records and its ended ones that are not acknowledged,
//!    linked in the order of their numbers.
//! 4. Only acknowledged records are in `retained`, and only they are ever evicted, none before its
//!    time. A drain does not know the time; each end and each spawn dates what it has left there.
//! 5. A record's number is its own for the life of the root; numbers only grow.
//! 6. The first wait and the `waits` of a live record, in the order in which they began, are keys of
//!    wait slots that count it as missing.
//! 7. The state of a scope is made on first use. It lasts while its owner lives, and after that
//!    until its last live member has ended. The root's own scope (owner 0) ends with its last
//!    handle, and the root with the last live record after that.
//! 8. Nothing whose destructor may be foreign code is dropped in here: it goes into the effects.
//! 9. The scope of an ended owner that still has live members is among the `orphans` of its
//!    `keeper`, the nearest scope above whose owner lives: a close reaches everything below.
//! 10. When a stop was requested of a record, it was requested of everything live below it, or a
//!     sweep is under way that will. A record that a sweep covers counts as stopped.
//! 11. `running` of a root counts the records whose slot is `Held`, `queued` those whose slot is
//!     `Queued`; while there is a slot to give, nobody is queued whom no sweep is about to stop.
//! 12. While an end would lead to more than what is found by those who look (a waker is woken, a
//!     task is started or stopped, a root is forgotten), the machine is eager.

mod admit;
mod deliver;
mod finish;
mod interest;
mod keyed;
mod lists;
mod pages;
mod record;
mod report;
mod retained;
mod scope;
mod stop;
mod sweep;
mod wait;

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use admit::Spawned;
pub(crate) use deliver::{Next, Seek};
pub(crate) use record::Foreign;
pub(crate) use scope::Gauge;
pub use stop::CancelOutcome;
pub use wait::WaitFor;
pub(crate) use wait::{Begun, Seen};

use interest::Interest;
use keyed::Keyed;
use pages::Pages;
use record::{Delivery, Ended, Live, More, Record, Slot, State};
use retained::Retained;
use scope::ScopeState;

use crate::effects::Effects;
use crate::error::TaskError;
use crate::events::{EventKind, EventRing};
use crate::id::{Kind, TaskId, TaskRef};
use crate::limits::{Limits, Retention};
use crate::log::Quota;
use crate::parent::ParentWatch;
use crate::shared::Spare;
use crate::sync::Arc;

/// The number of a root, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RootId(pub(crate) u64);

/// Names a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) root: RootId,
    pub(crate) number: u64,
}

/// Names a scope: that of a task, or with owner 0 that of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Nanoseconds since the registry was made: half the size of an `Instant`. It saturates, so that a
/// clock that jumps back makes no age negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) fn new(epoch: Instant, now: Instant) -> Self {
        let since = now.saturating_duration_since(epoch);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        Self(seconds.saturating_add(since.subsec_nanos().into()))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the host decides for the whole registry.
pub(crate) struct Policy {
    pub(crate) kinds: BTreeSet<Kind>,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) events_kept: usize,
    /// The number of the first task of each root.
    pub(crate) first_number: u64,
}

pub(crate) struct Machine {
    policy: Policy,
    roots: Keyed<Root, 1>,
    next_root: u64,
    closed: bool,
    waits: Pages<wait::WaitSlot>,
    next_wait: u64,
    pub(crate) events: EventRing,
    /// Scopes with a sweep under way.
    sweeps: VecDeque<ScopeKey>,
    /// Ends that came after the first one.
    superseded: u64,
    /// Live records that were stopped before their future was attached.
    unattached: usize,
    interest: Interest,
    /// The shell's own.
    pub(crate) spare: Spare,
}

struct Root {
    next_number: u64,
    records: Pages<Record>,
    scopes: Keyed<ScopeState, { ScopeKey::ROOT_OWNER }>,
    completions: u64,
    /// Acknowledged records.
    retained: Retained,
    live: usize,
    running: usize,
    queue: VecDeque<u64>,
    queued: usize,
    undelivered: usize,
    undelivered_bytes: u64,
    /// What its output logs keep together; made for the first one.
    output: Option<Arc<Quota>>,
    /// Its last handle is gone, and it is forgotten with the last live record.
    abandoned: Option<Interest>,
    /// Closes the root when the host's token fires.
    parent: Option<ParentWatch>,
}

impl Machine {
    pub(crate) fn new(mut policy: Policy) -> Self {
        // What is kept for no time is gone before anybody has to know the time.
        if policy.retention.age.is_zero() {
            policy.retention.count = 0;
        }
        let events = EventRing::new(policy.events_kept);
        Self {
            policy,
            roots: Keyed::default(),
            next_root: 1,
            closed: false,
            waits: Pages::default(),
            next_wait: 0,
            events,
            sweeps: VecDeque::new(),
            superseded: 0,
            unattached: 0,
            interest: Interest::default(),
            spare: Spare::default(),
        }
    }

    pub(crate) fn open_root(&mut self) -> ScopeKey {
        let root = RootId(self.next_root);
        self.next_root += 1;
        self.roots.insert(root.0, Root::new(self.policy.first_number));
        ScopeKey { root, owner: ScopeKey::ROOT_OWNER }
    }

    /// Keeps what watches the token above a root; gives it back when the root is gone.
    pub(crate) fn keep_parent(&mut self, root: RootId, parent: ParentWatch, fx: &mut Effects) {
        match self.roots.get_mut(root.0) {
            Some(root) => root.parent = Some(parent),
            None => fx.drop(Foreign::Parent(parent)),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns whether somebody waits for what is posted (I12): a stopped task for the handle to
    /// abort it with; for an end a wait, a listener, a subscriber, a queued task, the children of
    /// the task, whoever follows its status or its output.
    pub(crate) fn is_eager(&self) -> bool {
        self.closed
            || self.unattached > 0
            || !self.waits.is_empty()
            || self.events.is_heard()
            || self.interest.is_shared()
    }

    pub(crate) fn knows(&self, kind: Kind) -> bool {
        // The two that come most need no search: every registry knows them.
        kind == Kind::TASK || kind == Kind::AGENT || self.policy.kinds.contains(&kind)
    }

    pub(crate) fn superseded(&self) -> u64 {
        self.superseded
    }

    fn publish(
        &mut self,
        root: RootId,
        task: TaskId,
        fx: &mut Effects,
        what: impl FnOnce() -> EventKind,
    ) {
        self.events.publish(root, task, fx, what);
    }

    fn record_mut(&mut self, key: Key) -> Option<&mut Record> {
        self.roots.get_mut(key.root.0)?.records.get_mut(key.number)
    }

    fn live_mut(&mut self, key: Key) -> Option<(TaskId, &mut Live)> {
        let record = self.record_mut(key)?;
        let id = record.id();
        record.live_mut().map(|live| (id, live))
    }

    /// The same for what somebody has to be told of when the task ends (I12).
    fn told_mut(&mut self, key: Key) -> Option<(TaskId, &mut More)> {
        let record = self.roots.get_mut(key.root.0)?.records.get_mut(key.number)?;
        let id = record.id();
        let more = record.live_mut()?.more();
        more.interest.get_or_insert_with(|| self.interest.clone());
        Some((id, more))
    }

    fn scope_mut(&mut self, scope: ScopeKey) -> Option<&mut ScopeState> {
        self.roots.get_mut(scope.root.0)?.scope_mut(scope.owner, &self.interest)
    }

    /// Finds a task that the scope owns. Another root's task is not found, like one that never
    /// existed; another scope's task of the same root is forbidden (R10).
    fn find(&self, scope: ScopeKey, task: TaskRef) -> Result<&Record, TaskError> {
        let root = self.roots.get(scope.root.0);
        let record = root
            .and_then(|root| root.records.get(task.number()))
            .filter(|record| task.kind().is_none_or(|kind| kind == record.id().kind()))
            .ok_or_else(|| TaskError::not_found(task))?;
        if record.owner != scope.owner {
            return Err(TaskError::forbidden(task));
        }
        Ok(record)
    }

    fn find_mut(&mut self, scope: ScopeKey, task: TaskRef) -> Result<&mut Record, TaskError> {
        let number = self.find(scope, task)?.number();
        self.record_mut(scope.task(number)).ok_or_else(|| TaskError::not_found(task))
    }

    /// Forgets a root whose last handle is gone and in which nothing runs (I7).
    fn release_root_if_over(&mut self, root: RootId, fx: &mut Effects) {
        let over = |r: &Root| r.live == 0 && !r.scopes.contains(ScopeKey::ROOT_OWNER);
        if !self.roots.get(root.0).is_some_and(over) {
            return;
        }
        if let Some(root) = self.roots.remove(root.0) {
            root.drop_in(fx);
        }
    }
}

impl Root {
    fn new(first_number: u64) -> Self {
        let mut scopes = Keyed::default();
        scopes.insert(ScopeKey::ROOT_OWNER, ScopeState::new(1, None));
        Self {
            next_number: first_number,
            records: Pages::default(),
            scopes,
            completions: 0,
            retained: Retained::default(),
            live: 0,
            running: 0,
            queue: VecDeque::new(),
            queued: 0,
            undelivered: 0,
            undelivered_bytes: 0,
            output: None,
            abandoned: None,
            parent: None,
        }
    }

    fn drop_in(self, fx: &mut Effects) {
        for record in self.records.into_values() {
            // Those that hold one task only: nothing else will tell them.
            if let Some(more) = record.live().and_then(|live| live.more.as_ref()) {
                more.log.iter().for_each(|log| fx.close(log));
                fx.wake(more.watch.iter().flat_map(|watch| watch.close()));
                fx.wake(more.mailbox.iter().flat_map(|mailbox| mailbox.shut().1));
            }
            fx.drop(record.into_foreign());
        }
        fx.drop_all(self.parent.map(Foreign::Parent));
    }

    /// Returns the scope of this owner, if the owner lives (I7).
    fn scope_mut(&mut self, owner: u64, interest: &Interest) -> Option<&mut ScopeState> {
        if owner != ScopeKey::ROOT_OWNER && !self.scopes.contains(owner) {
            let above = self.records.get(owner).filter(|record| record.live().is_some())?.owner;
            let depth = self.scopes.get(above).map_or(1, |scope| scope.depth);
            let state = ScopeState::new(depth.saturating_add(1), Some(interest.clone()));
            self.scopes.insert(owner, state);
        }
        self.scopes.get_mut(owner).filter(|scope| !scope.ended)
    }

    /// Returns whether a stop was requested of a live record (I10).
    fn is_stopped(&self, record: &Record) -> bool {
        record.live().is_some_and(|live| live.stop.is_some())
            || self.sweep_over(record.number(), record.owner).is_some()
    }

    /// Returns whether a live record or something above it was stopped, so that a sweep will reach
    /// it (I10).
    fn is_doomed(&self, record: &Record) -> bool {
        let above = |record: &&Record| self.records.get(record.owner);
        std::iter::successors(Some(record), above).any(|record| self.is_stopped(record))
    }

    fn sweep_over(&self, number: u64, owner: u64) -> Option<&scope::Sweep> {
        self.scopes.get(owner)?.covers(number)
    }

    fn next_id(&mut self, kind: Kind) -> Option<TaskId> {
        let number = NonZeroU64::new(self.next_number)?;
        // Wraps to 0 after the last number, which is the mark of an exhausted root (I5).
        self.next_number = self.next_number.wrapping_add(1);
        Some(TaskId::from_parts(kind, number))
    }
}
