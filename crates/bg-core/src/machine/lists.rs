//! What a caller sees of its tasks, and an admin of everybody's.

use super::{Key, Machine, Record, Root, RootId, ScopeKey, Stamp, State};
use crate::admin::{AdminTask, Stats};
use crate::effects::Effects;
use crate::error::TaskError;
use crate::id::{TaskId, TaskRef};
use crate::log::OutputLog;
use crate::outcome::{Finished, Reason};
use crate::status::{Phase, Status};
use crate::sync::Arc;
use crate::task::Snapshot;
use crate::view::View;
use crate::watch::WatchCell;

impl Machine {
    /// Lists the live and undelivered tasks of a scope, by number.
    pub(crate) fn list(&self, scope: ScopeKey, now: Stamp) -> Vec<Snapshot> {
        self.members(scope).map(|record| record.snapshot(now)).collect()
    }

    /// Counts the live tasks of a scope.
    pub(crate) fn live(&self, scope: ScopeKey) -> usize {
        let root = self.roots.get(scope.root.0);
        root.and_then(|root| root.scopes.get(scope.owner)).map_or(0, |scope| scope.live)
    }

    pub(crate) fn status_of(&self, key: Key) -> Option<Status> {
        Some(self.roots.get(key.root.0)?.records.get(key.number)?.status())
    }

    /// Lists a piece of them: those with a number above `after`, at most `max`.
    pub(crate) fn page(
        &self,
        scope: ScopeKey,
        after: u64,
        max: usize,
        now: Stamp,
    ) -> Vec<Snapshot> {
        let root = self.roots.get(scope.root.0).filter(|root| root.scopes.contains(scope.owner));
        let Some(root) = root else { return Vec::new() };
        let shown = root.members_after(scope.owner, after).filter(|record| !record.is_foreground());
        shown.take(max).map(|record| record.snapshot(now)).collect()
    }

    fn members(&self, scope: ScopeKey) -> impl Iterator<Item = &Record> {
        let root = self.roots.get(scope.root.0);
        let scope = root.and_then(|root| root.scopes.get(scope.owner));
        let records = root.into_iter().flat_map(move |root| {
            let numbers = scope.map(|scope| scope.members(&root.records));
            numbers.into_iter().flatten().filter_map(|number| root.records.get(number))
        });
        records.filter(|record| !record.is_foreground())
    }

    /// Shows one task of a scope.
    pub(crate) fn inspect(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
        now: Stamp,
        fx: &mut Effects,
    ) -> Result<Snapshot, TaskError> {
        self.expire(scope.root, now, fx);
        Ok(self.find(scope, task)?.snapshot(now))
    }

    pub(crate) fn resolve(&self, scope: ScopeKey, task: TaskRef) -> Result<TaskId, TaskError> {
        Ok(self.find(scope, task)?.id())
    }

    /// Returns the output log of a task, if it has one.
    pub(crate) fn task_log(
        &self,
        scope: ScopeKey,
        task: TaskRef,
    ) -> Result<Option<OutputLog>, TaskError> {
        Ok(self.find(scope, task)?.log().cloned())
    }

    /// Returns the view of a task's recent messages, if it has attached one.
    pub(crate) fn task_view(
        &self,
        scope: ScopeKey,
        task: TaskRef,
    ) -> Result<Option<Arc<dyn View>>, TaskError> {
        Ok(match &self.find(scope, task)?.state {
            State::Live(live) => live.more.as_ref().and_then(|more| more.view.clone()),
            State::Ended(ended) => ended.finished.view().cloned(),
        })
    }

    /// Returns what tells a task's status to those who watch it.
    pub(crate) fn watch(
        &mut self,
        scope: ScopeKey,
        task: TaskRef,
    ) -> Result<Arc<WatchCell>, TaskError> {
        let record = self.find(scope, task)?;
        let (status, key) = (record.status(), scope.task(record.number()));
        let Some((_, more)) = self.told_mut(key) else { return Ok(WatchCell::new(status)) };
        Ok(more.watch.get_or_insert_with(|| WatchCell::new(status)).clone())
    }

    /// Lists the live and undelivered tasks of all roots, by root and number.
    pub(crate) fn list_all(&self, now: Stamp) -> Vec<AdminTask> {
        let roots = self.roots.iter();
        let shown = roots.flat_map(|(id, root)| {
            root.visible().map(move |record| root.shown(RootId(id), record, now))
        });
        shown.collect()
    }

    /// Stops a task whoever owns it; `None` if there is none.
    pub(crate) fn cancel_any(
        &mut self,
        root: RootId,
        id: TaskId,
        reason: Reason,
        now: Stamp,
        fx: &mut Effects,
    ) -> Option<super::CancelOutcome> {
        let owner = self.record_mut(Key { root, number: id.number() })?.owner;
        self.cancel(ScopeKey { root, owner }, id.into(), reason, now, fx).ok()
    }

    /// Stops everything in all roots; returns how many of the roots' own tasks were not being
    /// stopped already.
    pub(crate) fn cancel_everything(&mut self, reason: &Reason, fx: &mut Effects) -> usize {
        let roots: Vec<_> = self.roots.iter().map(|(root, _)| RootId(root)).collect();
        let scopes = roots.into_iter().map(|root| ScopeKey { root, owner: ScopeKey::ROOT_OWNER });
        scopes.map(|scope| self.cancel_all(scope, reason.clone(), fx)).sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        let sum = |of: fn(&Root) -> usize| self.roots.values().map(of).sum();
        Stats {
            roots: self.roots.len(),
            live: sum(|root| root.live),
            queued: sum(|root| root.queued),
            undelivered: sum(|root| root.undelivered),
            undelivered_bytes: self.roots.values().map(|root| root.undelivered_bytes).sum(),
            output_bytes: self.roots.values().map(Root::output_bytes).sum(),
            kept: sum(|root| root.retained.len()),
            superseded: self.superseded(),
        }
    }
}

impl Root {
    fn output_bytes(&self) -> u64 {
        self.output.as_ref().map_or(0, |quota| quota.used())
    }

    /// The members of a scope with a number above `number`, in order.
    fn members_after(&self, owner: u64, number: u64) -> impl Iterator<Item = &Record> {
        let next = |record: &Record| self.records.get(record.next);
        // What a page ended with is mostly a member still, and leads to the next one.
        let known = self.records.get(number).filter(|r| r.owner == owner && r.is_member());
        let first = if let Some(record) = known {
            next(record)
        } else {
            let mut later = self.records.iter_from(number.saturating_add(1));
            later.find(|record| record.owner == owner && record.is_member())
        };
        std::iter::successors(first, move |record| next(record))
    }

    fn visible(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.is_member())
    }

    fn shown(&self, root: RootId, record: &Record, now: Stamp) -> AdminTask {
        let owner = self.records.get(record.owner).map(Record::id);
        let foreground = record.is_foreground();
        AdminTask { root: root.0, owner, foreground, task: record.snapshot(now) }
    }
}

impl Record {
    fn log(&self) -> Option<&OutputLog> {
        match &self.state {
            State::Live(live) => live.more.as_ref().and_then(|more| more.log.as_ref()),
            State::Ended(ended) => ended.finished.log(),
        }
    }

    pub(super) fn snapshot(&self, now: Stamp) -> Snapshot {
        match &self.state {
            State::Live(live) => Snapshot {
                id: self.id(),
                text: live.text.clone(),
                status: live.status(),
                phase: live.phase(),
                age: now.since(self.spawned),
                last_trace: live.more.as_ref().and_then(|more| more.trace.last().cloned()),
                output_bytes: self.log().map_or(0, OutputLog::total),
                exit: None,
                reason: None,
            },
            State::Ended(ended) => Snapshot::ended(&ended.finished),
        }
    }
}

impl Snapshot {
    fn ended(finished: &Finished) -> Self {
        Self {
            id: finished.id,
            text: finished.text().clone(),
            status: finished.status(),
            phase: Phase::default(),
            age: finished.elapsed(),
            last_trace: finished.trace().last().cloned(),
            output_bytes: finished.log().map_or(0, OutputLog::total),
            exit: finished.outcome.output().and_then(crate::Output::exit),
            reason: finished.outcome.reason(),
        }
    }
}
