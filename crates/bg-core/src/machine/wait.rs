//! Waiting: it observes, and changes nothing that it observes.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Poll, Waker};

use tokio::time::Instant;

use super::lists::Unmeasured;
use super::{Foreign, Key, Machine, RootId, ScopeKey, State};
use crate::effects::Effects;
use crate::error::TaskError;
use crate::id::TaskId;
use crate::outcome::Finished;
use crate::sync::Arc;

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
pub(crate) struct WaitSlot {
    root: RootId,
    numbers: BTreeSet<u64>,
    mode: WaitFor,
    missing: usize,
    /// One of those that ended has succeeded.
    succeeded: bool,
    /// In the order of their ending.
    ended: Vec<Arc<Finished>>,
    waker: Option<Waker>,
}

/// What a wait has seen.
pub(crate) struct Seen {
    /// Whether what it waited for had happened.
    pub(crate) over: bool,
    /// Those that had ended, in the order of their ending.
    pub(crate) ended: Vec<Arc<Finished>>,
    /// Those that had not, by number.
    pub(crate) pending: Vec<Unmeasured>,
}

impl Machine {
    /// Begins a wait for tasks of a scope; returns its key, under which it must be polled and ended.
    pub(crate) fn begin_wait(
        &mut self,
        scope: ScopeKey,
        ids: &[TaskId],
        mode: WaitFor,
    ) -> Result<u64, TaskError> {
        ids.iter().try_for_each(|&id| self.find(scope, id.into()).map(|_| ()))?;
        Ok(self.wait_for(scope.root, ids.iter().map(|id| id.number()).collect(), mode))
    }

    /// Begins a wait for tasks of a root, whoever owns them.
    pub(super) fn wait_for(&mut self, root: RootId, numbers: BTreeSet<u64>, mode: WaitFor) -> u64 {
        let wait = self.next_wait;
        self.next_wait += 1;
        let (mut missing, mut ended) = (0, BTreeMap::new());
        for &number in &numbers {
            let Some(record) = self.record_mut(Key { root, number }) else { continue };
            match &mut record.state {
                State::Ended { finished, seq, .. } => {
                    ended.insert(*seq, finished.clone());
                }
                State::Live(live) => {
                    live.waits.insert(wait);
                    missing += 1;
                }
            }
        }
        let ended: Vec<_> = ended.into_values().collect();
        let succeeded = ended.iter().any(|finished| finished.outcome.is_success());
        let waker = None;
        self.waits.insert(wait, WaitSlot { root, numbers, mode, missing, succeeded, ended, waker });
        wait
    }

    /// Returns whether a wait is over; if not, its waker is kept.
    pub(crate) fn watch_wait(&mut self, wait: u64, waker: Waker, fx: &mut Effects) -> bool {
        match self.waits.get_mut(&wait) {
            Some(slot) if !slot.is_over() => {
                fx.drop.wakers.extend(slot.waker.replace(waker));
                false
            }
            _ => {
                fx.drop.wakers.push(waker);
                true
            }
        }
    }

    /// Polls a wait, and ends it when it is over; `None` if it has been ended before.
    pub(crate) fn poll_wait(
        &mut self,
        wait: u64,
        waker: Waker,
        now: Instant,
        fx: &mut Effects,
    ) -> Poll<Option<Seen>> {
        if self.watch_wait(wait, waker, fx) {
            return Poll::Ready(self.end_wait(wait, now, fx));
        }
        Poll::Pending
    }

    /// Ends a wait, over or not; `None` if it has been ended before.
    pub(crate) fn end_wait(&mut self, wait: u64, now: Instant, fx: &mut Effects) -> Option<Seen> {
        let slot = self.waits.remove(&wait)?;
        let (over, mut pending) = (slot.is_over(), Vec::new());
        fx.drop.wakers.extend(slot.waker);
        for number in slot.numbers {
            let Some(record) = self.record_mut(Key { root: slot.root, number }) else { continue };
            if let State::Live(live) = &mut record.state {
                live.waits.remove(&wait);
                pending.push(record.snapshot(now));
            }
        }
        Some(Seen { over, ended: slot.ended, pending })
    }

    /// Ends a wait whose holder does not want to know what it has seen.
    pub(crate) fn forget_wait(&mut self, wait: u64, fx: &mut Effects) {
        let Some(slot) = self.waits.remove(&wait) else { return };
        fx.drop.wakers.extend(slot.waker);
        fx.drop.records.extend(slot.ended.into_iter().map(Foreign::Finished));
        for number in slot.numbers {
            if let Some((_, live)) = self.live_mut(Key { root: slot.root, number }) {
                live.waits.remove(&wait);
            }
        }
    }

    pub(super) fn count_in_waits(
        &mut self,
        waits: &BTreeSet<u64>,
        finished: &Arc<Finished>,
        fx: &mut Effects,
    ) {
        for wait in waits {
            let Some(slot) = self.waits.get_mut(wait) else { continue };
            slot.missing -= 1;
            slot.succeeded |= finished.outcome.is_success();
            slot.ended.push(finished.clone());
            if slot.is_over() {
                fx.wake.extend(slot.waker.take());
            }
        }
    }

    pub(super) fn wake_all_waits(&mut self, fx: &mut Effects) {
        fx.wake.extend(self.waits.values_mut().filter_map(|slot| slot.waker.take()));
    }
}

impl WaitSlot {
    fn is_over(&self) -> bool {
        self.missing == 0
            || match self.mode {
                WaitFor::All => false,
                WaitFor::Any => !self.ended.is_empty(),
                WaitFor::FirstSuccess => self.succeeded,
            }
    }
}
