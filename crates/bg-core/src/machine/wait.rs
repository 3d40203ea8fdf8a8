//! Waiting: it observes, and changes nothing that it observes.

use smallvec::SmallVec;
use std::collections::BTreeMap;

use super::{Foreign, Key, Live, Machine, Record, RootId, ScopeKey, Stamp};
use crate::effects::Effects;
use crate::error::TaskError;
use crate::id::{TaskId, TaskRef};
use crate::outcome::Finished;
use crate::sync::Arc;
use crate::task::Snapshot;
use crate::wait_cell::WaitCell;

/// When a wait for several tasks is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// All of them have ended.
    #[default]
    All,
    /// At least one of them has ended.
    Any,
    /// One of them has succeeded (see [`Outcome::is_success`](crate::Outcome::is_success)), or all
    /// have ended.
    FirstSuccess,
}

/// A wait that is under way. It keeps what ended, so that nothing it waits for can be evicted
/// before it has seen it.
pub(super) struct WaitSlot {
    root: RootId,
    /// The task that waits for its children, if it lends its slot for that time.
    lender: Option<u64>,
    numbers: SmallVec<[u64; 2]>,
    mode: WaitFor,
    missing: usize,
    /// One of those that ended has succeeded.
    succeeded: bool,
    /// In the order of their ending.
    ended: Vec<Arc<Finished>>,
    cell: Arc<WaitCell>,
}

/// A wait that has begun: its key, and where it is told that it is over.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) wait: u64,
    pub(crate) cell: Arc<WaitCell>,
}

/// What a wait has seen.
pub(crate) struct Seen {
    /// Whether what it waited for had happened.
    pub(crate) over: bool,
    /// Those that had ended, in the order of their ending.
    pub(crate) ended: Vec<Arc<Finished>>,
    /// Those that had not, by number.
    pub(crate) pending: Vec<Snapshot>,
}

impl Seen {
    /// What somebody has seen who waited for all of these.
    pub(crate) fn all(ended: Vec<Arc<Finished>>) -> Self {
        Self { over: true, ended, pending: Vec::new() }
    }
}

impl Machine {
    /// Begins a wait for tasks of a scope. It must be ended unless what it sees is left in its cell.
    pub(crate) fn begin_wait(
        &mut self,
        scope: ScopeKey,
        ids: &[TaskId],
        mode: WaitFor,
        fx: &mut Effects,
    ) -> Result<Begun, TaskError> {
        ids.iter().try_for_each(|&id| self.may_wait_for(scope, id.into()))?;
        let numbers = ids.iter().map(|id| id.number()).collect();
        let begun = self.wait_for(scope.root, numbers, mode, fx);
        let wait = begun.wait;
        let under_way = self.waits.get(wait).is_some_and(|slot| !slot.is_over());
        if under_way && self.lend_slot(scope.task(scope.owner), fx) {
            self.waits.get_mut(wait).into_iter().for_each(|slot| slot.lender = Some(scope.owner));
        }
        Ok(begun)
    }

    /// Refuses a task that waits for itself or for one above it, which would not end; that it could
    /// not touch them anyhow would be the smaller truth.
    fn may_wait_for(&self, scope: ScopeKey, task: TaskRef) -> Result<(), TaskError> {
        let above = |&number: &u64| {
            let record = self.roots.get(scope.root.0)?.records.get(number)?;
            Some(record.owner).filter(|&owner| owner != ScopeKey::ROOT_OWNER)
        };
        let first = Some(scope.owner).filter(|&owner| owner != ScopeKey::ROOT_OWNER);
        match self.find(scope, task) {
            Ok(_) => Ok(()),
            Err(_) if std::iter::successors(first, above).any(|n| n == task.number()) => {
                Err(TaskError::waits_for_itself(task))
            }
            Err(error) => Err(error),
        }
    }

    /// Begins a wait for tasks of a root, whoever owns them.
    pub(super) fn wait_for(
        &mut self,
        root: RootId,
        mut numbers: SmallVec<[u64; 2]>,
        mode: WaitFor,
        fx: &mut Effects,
    ) -> Begun {
        let wait = self.next_wait;
        self.next_wait += 1;
        numbers.sort_unstable();
        numbers.dedup();
        let (mut missing, mut ended) = (0, BTreeMap::new());
        for &number in &numbers {
            let Some(record) = self.record_mut(Key { root, number }) else { continue };
            if let Some(live) = record.live_mut() {
                live.add_wait(wait);
                missing += 1;
            } else if let Some(end) = record.ended() {
                ended.insert(end.seq, end.finished.clone());
            }
        }
        // With room for the others, which all will come.
        let mut seen = Vec::with_capacity(numbers.len());
        seen.extend(ended.into_values());
        let ended = seen;
        let succeeded = ended.iter().any(|finished| finished.outcome.is_success());
        let (lender, cell) = (None, WaitCell::new());
        let begun = Begun { wait, cell: cell.clone() };
        let mut slot = WaitSlot { root, lender, numbers, mode, missing, succeeded, ended, cell };
        if slot.tell_if_over(self.closed, fx) {
            fx.drop(Foreign::Wait(slot.cell));
        } else {
            self.waits.insert(wait, slot);
        }
        begun
    }

    /// Ends a wait, over or not; `None` if it has been ended before.
    pub(crate) fn end_wait(&mut self, wait: u64, now: Stamp) -> Option<Seen> {
        let slot = self.waits.remove(wait)?;
        let over = slot.is_over();
        let pending = self.let_go(wait, &slot, |record| record.snapshot(now));
        Some(Seen { over, ended: slot.ended, pending })
    }

    /// Ends a wait whose holder does not want to know what it has seen.
    pub(crate) fn forget_wait(&mut self, wait: u64, fx: &mut Effects) {
        let Some(slot) = self.waits.remove(wait) else { return };
        self.let_go(wait, &slot, |_| ());
        fx.drop_all(slot.ended.into_iter().map(Foreign::Finished));
    }

    /// Has no record count for a wait any more, and tells what is to be known of those that live.
    fn let_go<T>(&mut self, wait: u64, slot: &WaitSlot, know: impl Fn(&Record) -> T) -> Vec<T> {
        let mut known = Vec::new();
        if let Some(lender) = slot.lender {
            self.return_slot(Key { root: slot.root, number: lender });
        }
        for &number in &slot.numbers {
            let Some(record) = self.record_mut(Key { root: slot.root, number }) else { continue };
            let Some(live) = record.live_mut() else { continue };
            live.forget_wait(wait);
            known.push(know(record));
        }
        known
    }

    pub(super) fn count_in_wait(&mut self, wait: u64, finished: Arc<Finished>, fx: &mut Effects) {
        let Some(slot) = self.waits.get_mut(wait) else {
            return fx.drop(Foreign::Finished(finished));
        };
        slot.missing -= 1;
        slot.succeeded |= finished.outcome.is_success();
        slot.ended.push(finished);
        if slot.tell_if_over(self.closed, fx)
            && let Some(slot) = self.waits.remove(wait)
        {
            fx.drop(Foreign::Wait(slot.cell));
        }
    }

    pub(super) fn wake_all_waits(&mut self, fx: &mut Effects) {
        fx.wake(self.waits.iter().filter_map(|slot| slot.cell.tell(None)));
    }
}

impl Live {
    /// The wait whose key lies beside the text, more by one: 0 is none. Most tasks are waited for
    /// once at a time, and need nothing more for it.
    fn first_wait(&self) -> Option<u64> {
        u64::from(self.text.number()).checked_sub(1)
    }

    /// Counts a wait that is told of the end. Those in `more` began after the first one.
    fn add_wait(&mut self, wait: u64) {
        let others = self.more.as_ref().is_some_and(|more| !more.waits.is_empty());
        let place = if others || self.first_wait().is_some() { None } else { wait.checked_add(1) };
        match place.and_then(|place| u32::try_from(place).ok()) {
            Some(place) => self.text.set_number(place),
            None => self.more().waits.push(wait),
        }
    }

    pub(super) fn take_first_wait(&mut self) -> Option<u64> {
        let first = self.first_wait();
        self.text.set_number(0);
        first
    }

    fn forget_wait(&mut self, wait: u64) {
        if self.first_wait() == Some(wait) {
            return self.text.set_number(0);
        }
        let Some(more) = &mut self.more else { return };
        // Their numbers grow.
        if let Ok(at) = more.waits.binary_search(&wait) {
            more.waits.remove(at);
        }
    }
}

impl WaitSlot {
    pub(super) fn drop_in(self, fx: &mut Effects) {
        fx.drop_all(self.ended.into_iter().map(Foreign::Finished));
    }

    /// Tells a wait that it is over, if it is. What waited for all and lent nothing has nothing
    /// left to ask the machine: it finds what it sees in its cell. Returns whether that is so, and
    /// it is to be forgotten.
    fn tell_if_over(&mut self, closed: bool, fx: &mut Effects) -> bool {
        if !self.is_over() {
            return false;
        }
        let knows_all = !closed && self.missing == 0 && self.lender.is_none();
        fx.wake(self.cell.tell(knows_all.then(|| std::mem::take(&mut self.ended))));
        knows_all
    }

    fn is_over(&self) -> bool {
        self.missing == 0
            || match self.mode {
                WaitFor::All => false,
                WaitFor::Any => !self.ended.is_empty(),
                WaitFor::FirstSuccess => self.succeeded,
            }
    }
}
