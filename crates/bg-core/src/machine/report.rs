//! What a task reports about itself while it lives. Everything here is ignored after the end.

use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::record::Marks;
use super::{Foreign, Key, Live, Machine};
use crate::effects::{Effects, GraceTimer};
use crate::error::SendError;
use crate::events::EventKind;
use crate::log::{OutputLog, Quota};
use crate::mailbox::Mailbox;
use crate::outcome::Finished;
use crate::status::{Phase, Status};
use crate::sync::Arc;
use crate::text;
use crate::view::View;

/// Longest trace line that is kept, in bytes.
const MAX_TRACE_LINE_BYTES: usize = 2000;

impl Machine {
    /// Keeps the handle that aborts a task's work, or uses it when a stop or the end came first.
    pub(crate) fn attach(&mut self, key: Key, handle: JoinHandle<()>, fx: &mut Effects) {
        let Some(record) = self.record_mut(key) else { return fx.abort_task(handle) };
        // The future has reported its end: there is nothing left to abort.
        let Some(live) = record.live_mut() else { return fx.drop(Foreign::Handle(handle)) };
        let wanted = usize::from(live.wants_handle());
        if live.is_to_be_aborted() {
            live.marks.set(Marks::ABORTED);
            fx.abort_task(handle);
        } else {
            live.abort = Some(handle);
        }
        self.unattached -= wanted;
    }

    /// Keeps a handle that aborts what a task of somebody else's does, or uses it when a stop or
    /// the end came first.
    pub(crate) fn bind(&mut self, key: Key, handle: AbortHandle, fx: &mut Effects) {
        match self.live_mut(key) {
            Some((_, live)) if !live.is_to_be_aborted() => live.more().bound.push(handle),
            _ => fx.abort(handle),
        }
    }

    /// Keeps what ends the grace of these tasks, as long as one of them lives.
    pub(crate) fn attach_timer(&mut self, keys: &[Key], timer: &Arc<GraceTimer>, fx: &mut Effects) {
        for &key in keys {
            if let Some((_, more)) = self.told_mut(key) {
                let before = more.timer.replace(timer.clone());
                fx.drop_all(before.map(Foreign::Timer));
            }
        }
    }

    /// Keeps what ends a task at its deadline.
    pub(crate) fn attach_deadline(&mut self, key: Key, timer: Arc<GraceTimer>, fx: &mut Effects) {
        match self.told_mut(key) {
            Some((_, more)) => more.deadline = Some(timer),
            None => fx.drop(Foreign::Timer(timer)),
        }
    }

    /// Turns `Pending` into `Running`.
    pub(super) fn start(&mut self, key: Key, fx: &mut Effects) {
        self.running(key, None, fx);
    }

    /// Reports a step.
    pub(crate) fn step(&mut self, key: Key, step: u32, fx: &mut Effects) {
        self.running(key, Some(step), fx);
    }

    fn running(&mut self, key: Key, step: Option<u32>, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        let step = step.unwrap_or(live.step);
        if live.marks.has(Marks::STARTED) && live.step == step {
            return;
        }
        live.marks.set(Marks::STARTED);
        live.step = step;
        let status = Status::Running { step };
        if let Some(watch) = live.more.as_ref().and_then(|more| more.watch.as_ref()) {
            fx.wake(watch.set(status));
        }
        self.publish(key.root, id, fx, || EventKind::Status(status));
    }

    /// Reports what the task is doing now.
    pub(crate) fn phase(&mut self, key: Key, phase: Phase, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        if live.more().phase != phase {
            live.more().phase = phase;
            self.publish(key.root, id, fx, || EventKind::Phase { phase });
        }
    }

    /// Keeps a trace line up to the cap.
    pub(crate) fn trace(&mut self, key: Key, traced: String, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        let traced = text::cut(traced, MAX_TRACE_LINE_BYTES);
        let more = live.more();
        if more.trace.len() < Finished::MAX_TRACE_LINES {
            more.trace.push(traced.clone());
        } else {
            more.trace_dropped += 1;
        }
        self.publish(key.root, id, fx, || EventKind::Trace { line: traced });
    }

    /// Returns the task's token, made on first use; `None` once the task has ended.
    pub(crate) fn token(&mut self, key: Key) -> Option<CancellationToken> {
        let root = self.roots.get(key.root.0)?;
        let stopped = root.is_stopped(root.records.get(key.number)?);
        let (_, live) = self.live_mut(key)?;
        if stopped && !live.has_token() {
            // The abort is on its way already: the token only says so.
            return None;
        }
        Some(live.more().token.get_or_insert_with(CancellationToken::new).clone())
    }

    /// Returns the task's output log, made on first use; `None` once the task has ended.
    pub(crate) fn log(
        &mut self,
        key: Key,
        new: impl FnOnce(Arc<Quota>) -> OutputLog,
    ) -> Option<OutputLog> {
        let limit = self.policy.limits.output_bytes;
        self.live_mut(key)?;
        let root = self.roots.get_mut(key.root.0)?;
        let quota = root.output.get_or_insert_with(|| Quota::new(limit)).clone();
        let (_, more) = self.told_mut(key)?;
        Some(more.log.get_or_insert_with(|| new(quota)).clone())
    }

    /// Attaches a view of the task's recent messages.
    pub(crate) fn attach_view(&mut self, key: Key, view: Arc<dyn View>, fx: &mut Effects) {
        let before = match self.live_mut(key) {
            Some((_, live)) => live.more().view.replace(view),
            None => Some(view),
        };
        fx.drop_all(before.map(Foreign::View));
    }

    /// Returns the task's mailbox, made on first use; `None` once the task has ended.
    pub(crate) fn mailbox(&mut self, key: Key, new: impl FnOnce() -> Mailbox) -> Option<Mailbox> {
        let (_, more) = self.told_mut(key)?;
        Some(more.mailbox.get_or_insert_with(new).clone())
    }

    /// Finds the mailbox that a message goes to.
    pub(crate) fn mailbox_of(
        &self,
        scope: super::ScopeKey,
        task: crate::id::TaskRef,
    ) -> Result<Mailbox, SendError> {
        let record = self.find(scope, task)?;
        let (id, status) = (record.id(), record.status());
        let live = record.live().ok_or(SendError::Ended { id, status })?;
        let mailbox = live.more.as_ref().and_then(|more| more.mailbox.clone());
        mailbox.ok_or(SendError::NoMailbox(id))
    }
}

impl Live {
    /// Whether a handle that comes now comes too late to be kept.
    fn is_to_be_aborted(&self) -> bool {
        self.marks.has(Marks::FORCED) || (self.stop.is_some() && !self.has_token())
    }

    pub(super) fn phase(&self) -> Phase {
        self.more.as_ref().map_or_else(Phase::default, |more| more.phase)
    }
}
