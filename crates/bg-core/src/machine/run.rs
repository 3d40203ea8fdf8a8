//! The life of one task: what it reports, and its one end.

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Delivery, Foreign, Key, Live, Machine, Record, Root, State};
use crate::effects::Effects;
use crate::events::EventKind;
use crate::failure::PanicReport;
use crate::id::TaskId;
use crate::log::{LogCaps, OutputLog};
use crate::outcome::{Cancellation, Finished, Outcome, Reason, TaskResult, Unclaimed};
use crate::status::Status;
use crate::sync::Arc;
use crate::text;

/// What the shell saw of a task's end.
pub(crate) enum Ending {
    Returned(TaskResult),
    Panicked(PanicReport),
    /// Its future or its completer was dropped; the reason holds unless a stop was requested.
    Dropped(Reason),
}

/// Longest trace line that is kept, in bytes.
const MAX_TRACE_LINE_BYTES: usize = 2000;

impl Machine {
    /// Keeps the handle that aborts a task's work, or uses it when a stop or the end came first.
    pub(crate) fn attach(&mut self, key: Key, handle: AbortHandle, fx: &mut Effects) {
        let Some((_, live)) = self.live_mut(key) else { return fx.abort.push(handle) };
        if live.forced || (live.stop.is_some() && live.token.is_none()) {
            fx.abort.push(handle.clone());
        }
        fx.drop.records.extend(live.abort.replace(handle).map(Foreign::Handle));
    }

    /// Keeps the handle that ends a task's grace, or uses it when the task has ended already.
    pub(crate) fn attach_timer(&mut self, key: Key, timer: AbortHandle, fx: &mut Effects) {
        let Some((_, live)) = self.live_mut(key) else { return fx.abort.push(timer) };
        fx.drop.records.extend(live.timer.replace(timer).map(Foreign::Handle));
    }

    /// Turns `Pending` into `Running`.
    pub(crate) fn start(&mut self, key: Key, fx: &mut Effects) {
        self.running(key, None, fx);
    }

    /// Reports a step. Ignored after the end.
    pub(crate) fn step(&mut self, key: Key, step: u32, fx: &mut Effects) {
        self.running(key, Some(step), fx);
    }

    fn running(&mut self, key: Key, step: Option<u32>, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        let step = step.unwrap_or(live.step);
        if live.started && live.step == step {
            return;
        }
        live.started = true;
        live.step = step;
        self.publish(key.root, id, fx, || EventKind::Status(Status::Running { step }));
    }

    /// Keeps a trace line up to the cap. Ignored after the end.
    pub(crate) fn trace(&mut self, key: Key, traced: String, fx: &mut Effects) {
        let Some((id, live)) = self.live_mut(key) else { return };
        let traced = text::cut(traced, MAX_TRACE_LINE_BYTES);
        if live.trace.len() < Finished::MAX_TRACE_LINES {
            live.trace.push(traced.clone());
        } else {
            live.trace_dropped += 1;
        }
        self.publish(key.root, id, fx, || EventKind::Trace { line: traced });
    }

    /// Returns the task's token, made on first use; `None` once the task has ended.
    pub(crate) fn token(&mut self, key: Key) -> Option<CancellationToken> {
        let (_, live) = self.live_mut(key)?;
        if live.stop.is_some() && live.token.is_none() {
            // The abort is on its way already: the token only says so.
            return None;
        }
        Some(live.token.get_or_insert_with(CancellationToken::new).clone())
    }

    /// Returns the task's output log, made on first use; `None` once the task has ended.
    pub(crate) fn log(&mut self, key: Key, caps: LogCaps) -> Option<OutputLog> {
        let (_, live) = self.live_mut(key)?;
        Some(live.log.get_or_insert_with(|| OutputLog::new(caps)).clone())
    }

    /// Ends a task: the one place where a status becomes terminal (I1). The children that still
    /// run are stopped, the unclaimed ones listed and released.
    pub(crate) fn finish(&mut self, key: Key, ending: Ending, now: Instant, fx: &mut Effects) {
        if self.live_mut(key).is_none() {
            self.superseded += 1;
            return;
        }
        let (unclaimed, running) = self.end_scope(key, fx);
        let Some(root) = self.roots.get_mut(&key.root) else { return };
        let Some((finished, mut live)) = root.end_record(key.number, ending, unclaimed, now) else {
            return;
        };
        root.hand_over(key.number, &running);
        fx.abort.extend(live.timer.take());
        let status = finished.status();
        self.deliver(key, fx);
        self.count_in_waits(&live.waits, &finished, fx);
        fx.drop.records.push(Foreign::Live(live));
        self.publish(key.root, finished.id, fx, || EventKind::Status(status));
        for child in running {
            self.stop(Key { number: child, ..key }, &Reason::OwnerEnded, None, now, fx);
        }
        self.release_root_if_over(key.root, fx);
    }
}

impl Root {
    fn end_record(
        &mut self,
        number: u64,
        ending: Ending,
        unclaimed: Vec<Unclaimed>,
        now: Instant,
    ) -> Option<(Arc<Finished>, Box<Live>)> {
        let record = self.records.get_mut(&number)?;
        let State::Live(live) = &mut record.state else { return None };
        let elapsed = now.saturating_duration_since(record.spawned);
        let mut finished = live.take_finished(record.id, ending);
        finished.unclaimed = unclaimed;
        finished.elapsed = elapsed;
        let finished = Arc::new(finished);
        let (seq, delivery) = (self.completions, Delivery::Acked);
        let ended = State::Ended { finished: finished.clone(), seq, delivery };
        let State::Live(live) = std::mem::replace(&mut record.state, ended) else { return None };
        self.completions += 1;
        self.live -= 1;
        Some((finished, live))
    }

    /// Hands what runs below a task that has ended to the task's own keeper (I9).
    fn hand_over(&mut self, ended: u64, running: &[u64]) {
        let Some(&Record { keeper, owner, .. }) = self.records.get(&ended) else { return };
        for number in running {
            self.records.get_mut(number).into_iter().for_each(|record| record.keeper = keeper);
        }
        // There is none when the last handle of the root is gone.
        let Some(scope) = self.scopes.get_mut(&keeper) else { return };
        if keeper != owner {
            scope.orphans.remove(&ended);
        }
        scope.orphans.extend(running);
    }
}

impl Live {
    pub(super) fn status(&self) -> Status {
        if self.started { Status::Running { step: self.step } } else { Status::Pending }
    }

    /// Moves everything that is delivered out of the live part.
    fn take_finished(&mut self, id: TaskId, ending: Ending) -> Finished {
        let mut trace = std::mem::take(&mut self.trace);
        if self.trace_dropped > 0 {
            trace.push(format!("... ({} more trace lines)", self.trace_dropped));
        }
        // Before anybody can see the outcome: the log of a task that has ended is complete.
        self.log.iter().for_each(OutputLog::close);
        Finished {
            id,
            label: std::mem::take(&mut self.label),
            prompt: std::mem::take(&mut self.prompt),
            outcome: outcome(ending, self.stop.take()),
            steps: self.step,
            trace,
            elapsed: std::time::Duration::ZERO,
            unclaimed: Vec::new(),
            log: self.log.take(),
        }
    }
}

/// The truth about an end (R3): what the task returned wins over a stop that came late.
fn outcome(ending: Ending, stop: Option<Reason>) -> Outcome {
    match (ending, stop) {
        (Ending::Returned(Ok(output)), _) => Outcome::Completed(output),
        (Ending::Returned(Err(failure)), None) => Outcome::Failed(failure),
        (Ending::Returned(Err(failure)), Some(reason)) => {
            Outcome::Cancelled(Cancellation { reason, error: Some(failure) })
        }
        (Ending::Panicked(report), _) => Outcome::Panicked(report),
        (Ending::Dropped(why), stop) => {
            Outcome::Cancelled(Cancellation { reason: stop.unwrap_or(why), error: None })
        }
    }
}
