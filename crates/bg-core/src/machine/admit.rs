//! Admission: who may start a task, and when it runs.

use super::record::Marks;
use super::{Key, Live, Machine, More, Record, Root, RootId, ScopeKey, Slot, Stamp, State};
use crate::effects::{Effects, Start};
use crate::error::SpawnError;
use crate::events::EventKind;
use crate::id::TaskId;
use crate::limits::{LimitKind, Limits};
use crate::machine::record::Foreign;
use crate::mailbox::Mailbox;
use crate::status::Status;
use crate::task::Task;

/// A task that was added to the table.
#[derive(Clone, Copy)]
pub(crate) struct Spawned {
    pub(crate) id: TaskId,
    /// It has no slot yet: its work is handed over with [`Machine::enqueue`].
    pub(crate) queued: bool,
}

impl Machine {
    /// Adds a record. It is visible, can be waited for and can be stopped from here on.
    pub(crate) fn spawn(
        &mut self,
        scope: ScopeKey,
        task: Task,
        external: bool,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<Spawned, SpawnError> {
        let known = self.knows(task.kind());
        let limits = self.policy.limits;
        let closed = self.closed;
        let root = self.roots.get_mut(scope.root.0).filter(|_| !closed);
        let root = root.ok_or(SpawnError::Closed)?;
        root.admit(scope.owner, &task, external, &limits)?;
        if !known {
            return Err(SpawnError::UnknownKind(task.kind()));
        }
        let id = root.next_id(task.kind()).ok_or(SpawnError::NumbersExhausted)?;
        let heard = self.events.is_heard();
        let text = heard.then(|| task.text.clone());
        let slot = if external {
            Slot::Elsewhere
        } else {
            root.take_slot(id.number(), task.foreground, &limits)
        };
        // Made on first use.
        root.scope_mut(scope.owner, &self.interest);
        root.add(scope.owner, id, Live::new(task, slot), now);
        let undated = root.retained.has_undated();
        let owner = root.records.get(scope.owner).filter(|_| heard).map(Record::id);
        let label = move || text.map_or_else(String::new, |text| text.label().to_owned());
        self.publish(scope.root, id, fx, || EventKind::Spawned { label: label(), owner });
        if slot.runs() {
            let status = Status::Running { step: 0 };
            self.publish(scope.root, id, fx, || EventKind::Status(status));
        }
        if undated {
            self.expire(scope.root, now, fx);
        }
        Ok(Spawned { id, queued: slot == Slot::Queued })
    }

    /// Hands over the work of a queued task: it starts now if it has got a slot meanwhile, and is
    /// dropped if it was stopped.
    pub(crate) fn enqueue(&mut self, key: Key, start: Box<dyn Start>, fx: &mut Effects) {
        let Some((_, live)) = self.live_mut(key) else {
            return fx.drop(Foreign::Start(start));
        };
        if live.stop.is_some() {
            fx.drop(Foreign::Start(start));
        } else if live.marks.slot() == Slot::Queued {
            if let Some((_, more)) = self.told_mut(key) {
                more.start = Some(start);
            }
        } else {
            fx.chores().start.push((key, start));
        }
    }

    /// A task waits for its children: somebody else may run meanwhile. Returns whether it had
    /// something to lend.
    pub(super) fn lend_slot(&mut self, key: Key, fx: &mut Effects) -> bool {
        let Some((_, live)) = self.live_mut(key) else { return false };
        if matches!(live.marks.slot(), Slot::Free | Slot::Elsewhere) {
            return false;
        }
        live.more().lent += 1;
        if live.marks.slot() == Slot::Held {
            live.marks.set_slot(Slot::Lent);
            self.release_slot(key.root, fx);
        }
        true
    }

    /// The wait is over: the task runs on at once. Nobody new starts until the number of running
    /// tasks is below the limit again.
    pub(super) fn return_slot(&mut self, key: Key) {
        let Some((_, live)) = self.live_mut(key) else { return };
        let Some(more) = live.more.as_mut().filter(|more| more.lent > 0) else { return };
        more.lent -= 1;
        if more.lent == 0 && live.marks.slot() == Slot::Lent {
            live.marks.set_slot(Slot::Held);
            if let Some(root) = self.roots.get_mut(key.root.0) {
                root.running += 1;
            }
        }
    }

    /// Takes back the slot of a task that has ended or been stopped before it ran.
    pub(super) fn vacate(&mut self, root: RootId, slot: Slot, fx: &mut Effects) {
        match slot {
            Slot::Held => self.release_slot(root, fx),
            Slot::Queued => self.roots.get_mut(root.0).into_iter().for_each(Root::leave_queue),
            Slot::Free | Slot::Elsewhere | Slot::Lent => {}
        }
    }

    fn release_slot(&mut self, root: RootId, fx: &mut Effects) {
        let limit = self.policy.limits.running;
        let Some(state) = self.roots.get_mut(root.0) else { return };
        state.running -= 1;
        for key in state.start_queued(root, limit, fx) {
            self.start(key, fx);
        }
    }
}

impl Root {
    /// How many numbers of ended tasks the queue may hold beside the waiting ones.
    const STALE: usize = 64;

    /// Says why a task may not be added, if so.
    fn admit(
        &self,
        owner: u64,
        task: &Task,
        external: bool,
        limits: &Limits,
    ) -> Result<(), SpawnError> {
        if !self.takes_tasks(owner) {
            return Err(SpawnError::Closed);
        }
        if let Some(levels) = limits.depth {
            let depth = u64::from(self.depth_below(owner));
            exceeds(LimitKind::Depth, depth, Some(u64::from(levels) + 1))?;
        }
        if task.foreground {
            return Ok(());
        }
        if let Some(allowed) = limits.per_scope {
            let live = self.scopes.get(owner).map_or(0, |scope| scope.live);
            exceeds(LimitKind::PerScope, live as u64, Some(allowed as u64))?;
        }
        let undelivered = self.undelivered as u64;
        exceeds(LimitKind::Undelivered, undelivered, Some(limits.undelivered as u64))?;
        let bytes = self.undelivered_bytes;
        exceeds(LimitKind::UndeliveredBytes, bytes, Some(limits.undelivered_bytes))?;
        let waits = !external && limits.running.is_some_and(|limit| self.running >= limit);
        let queued = limits.queued.filter(|_| waits).map(|n| n as u64);
        exceeds(LimitKind::Queued, self.queued as u64, queued)
    }

    fn takes_tasks(&self, owner: u64) -> bool {
        if self.scopes.get(owner).is_some_and(|scope| scope.closed || scope.ended) {
            return false;
        }
        if owner == ScopeKey::ROOT_OWNER {
            return self.scopes.contains(owner);
        }
        self.records.get(owner).is_some_and(|r| r.live().is_some() && !self.is_stopped(r))
    }

    /// The depth of a task of this owner, from 1.
    fn depth_below(&self, owner: u64) -> u32 {
        let known = self.scopes.get(owner).map(|scope| scope.depth);
        let above = || {
            let record = self.records.get(owner)?;
            Some(self.scopes.get(record.owner)?.depth.saturating_add(1))
        };
        known.or_else(above).unwrap_or(1)
    }

    fn take_slot(&mut self, number: u64, exempt: bool, limits: &Limits) -> Slot {
        let Some(limit) = limits.running.filter(|_| !exempt) else { return Slot::Free };
        if self.running < limit {
            self.running += 1;
            return Slot::Held;
        }
        self.queue.push_back(number);
        self.queued += 1;
        Slot::Queued
    }

    fn add(&mut self, owner: u64, id: TaskId, live: Live, now: Stamp) {
        let number = id.number();
        let scope = self.scopes.get_mut(owner);
        let prev = scope.map_or(0, |scope| scope.append(number, &mut self.records));
        let state = State::Live(live);
        self.records.insert(
            number,
            Record { number: id.nonzero(), owner, next: 0, prev, spawned: now, state },
        );
        self.live += 1;
    }

    /// A task that has ended left its number in the queue. It is passed over, and swept out with
    /// others when they are many.
    fn leave_queue(&mut self) {
        self.queued -= 1;
        if self.queue.len() > 2 * self.queued + Self::STALE {
            let queued =
                |r: &Record| r.live().is_some_and(|live| live.marks.slot() == Slot::Queued);
            self.queue.retain(|&number| self.records.get(number).is_some_and(queued));
        }
    }

    /// Gives free slots to those that have waited longest (I11); returns who got one.
    fn start_queued(&mut self, root: RootId, limit: Option<usize>, fx: &mut Effects) -> Vec<Key> {
        let mut started = Vec::new();
        while limit.is_none_or(|limit| self.running < limit) {
            let Some(number) = self.queue.pop_front() else { break };
            if self.records.get(number).is_some_and(|record| self.is_doomed(record)) {
                continue;
            }
            let live = self.records.get_mut(number).and_then(Record::live_mut);
            let Some(live) = live.filter(|live| live.marks.slot() == Slot::Queued) else {
                continue;
            };
            live.marks.set_slot(Slot::Held);
            let start = live.more.as_mut().and_then(|more| more.start.take());
            let key = Key { root, number };
            fx.chores().start.extend(start.map(|start| (key, start)));
            self.running += 1;
            self.queued -= 1;
            started.push(key);
        }
        started
    }
}

fn exceeds(limit: LimitKind, count: u64, allowed: Option<u64>) -> Result<(), SpawnError> {
    match allowed {
        Some(allowed) if count >= allowed => {
            // The depth is compared with the first level that is too deep.
            let value = if limit == LimitKind::Depth { allowed - 1 } else { allowed };
            Err(SpawnError::Limit { limit, value })
        }
        _ => Ok(()),
    }
}

impl Live {
    fn new(task: Task, slot: Slot) -> Self {
        let (kind, mut marks) = (task.kind(), Marks::new(slot));
        let special = task.grace != Task::DEFAULT_GRACE || task.foreground;
        let more = (special || task.mailbox.is_some()).then(|| {
            Box::new(More {
                grace: Some(task.grace),
                foreground: task.foreground,
                mailbox: task.mailbox.map(|spec| Mailbox::of(*spec)),
                ..More::default()
            })
        });
        if slot.runs() {
            marks.set(Marks::STARTED);
        }
        Self { text: task.text, abort: None, more, stop: None, kind, marks, step: 0 }
    }
}
