//! What stands between a run and the hooks of its host.
//!
//! A run consults the hooks before and after, and waits for that. All else is put into a line, from
//! which a task of its own tells the hooks: the run does not wait for them.
//!
//! # Invariants
//!
//! 1. The line has a place for nobody but its task: the end does not go through the line, so a full
//!    one does not keep it, and the task tells it when the line is closed and empty. So the end comes
//!    last, and once for a start; without an end to tell, the line was dropped, and that is told.
//! 2. Nothing is in the line but what was put there between the start and the end.
//! 3. The lock is a leaf: no code of the host's and no destructor of what it made runs under it. What
//!    is woken under it is the task's own.
//! 4. What a hook does is caught (see `shield`), so the task comes to the end of the line.
//!
//! # Lock order
//!
//! None: no lock is taken under another one.

use std::any::Any;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bg_core::{Output, PanicReport, TaskResult, Usage, text};
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::note::{Note, Waiting};
use super::refused::Refused;
use super::shield::{self, Fault};
use super::teller::Teller;
use super::{AgentHook, Hooks, Progress, RunEnd, RunInfo, RunInput};
use crate::message::{ToolCall, ToolResult};
use crate::model::BoxError;

/// Most notifications that wait to be told.
pub(super) const MAX_WAITING: usize = 256;

/// Most bytes of text in them.
pub(super) const MAX_WAITING_BYTES: usize = 8 << 20;

/// Told what went wrong with a hook, in a line.
pub(super) type Report = Arc<dyn Fn(String) + Send + Sync>;

/// A run's side of its hooks. Clones are the same one; where there are no hooks, nothing is done.
///
/// When the last one is dropped before the [`end`](Self::end), that is told as the end: but a tool may
/// keep one for longer, so a run is to be [attended](Self::attend) or [guarded](Self::guard).
#[derive(Clone)]
pub(crate) struct Courier(Option<Arc<Shared>>);

/// Tells [`RunEnd::Dropped`] when it is dropped, if no end has been told until then.
#[must_use = "dropping it tells the end of the run"]
pub(crate) struct EndGuard(Courier);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end(RunEnd::Dropped);
    }
}

struct Shared {
    hooks: Hooks,
    run: Arc<RunInfo>,
    report: Report,
    room: Arc<Room>,
    line: Mutex<Line>,
}

enum Line {
    NotStarted,
    Open { notes: mpsc::Sender<Waiting>, end: oneshot::Sender<RunEnd> },
    Closed,
}

/// What waits, and what found no place.
#[derive(Default)]
pub(super) struct Room {
    bytes: AtomicUsize,
    skipped: AtomicU64,
}

impl Room {
    /// Takes room, if there is enough. Called under the lock of the line: the task gives back alone.
    fn take(&self, bytes: usize) -> bool {
        let fits = self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= MAX_WAITING_BYTES;
        if fits {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

impl Hooks {
    /// Makes a run's side of these hooks. What goes wrong with one is reported in a line, a bounded
    /// number of times; after the end of the run too.
    pub(crate) fn courier(
        &self,
        run: RunInfo,
        report: impl Fn(String) + Send + Sync + 'static,
    ) -> Courier {
        if self.is_empty() {
            return Courier::silent();
        }
        let (hooks, run, report) = (self.clone(), Arc::new(run), Arc::new(report));
        let (room, line) = (Arc::default(), Mutex::new(Line::NotStarted));
        Courier(Some(Arc::new(Shared { hooks, run, report, room, line })))
    }
}

impl Courier {
    /// Makes one that tells nobody.
    pub(crate) fn silent() -> Self {
        Self(None)
    }

    /// Returns whether there is nobody to tell.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// Has the hooks look at the input, one after the other. To be called before the start.
    ///
    /// # Errors
    ///
    /// [`Refused`] when one of them returns an error.
    ///
    /// # Cancel safety
    ///
    /// Safe: what the hooks that were done had rewritten is there.
    pub(crate) async fn before(&self, input: &mut RunInput) -> Result<(), Refused> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let words = ("before_run", "the run");
        shared.consult(words, input, |hook, run, input| hook.before_run(run, input)).await
    }

    /// Has the hooks look at the output, one after the other. To be called before the end.
    ///
    /// # Errors
    ///
    /// [`Refused`] when one of them returns an error.
    ///
    /// # Cancel safety
    ///
    /// Safe: what the hooks that were done had rewritten is there.
    pub(crate) async fn after(&self, output: &mut Output) -> Result<(), Refused> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let words = ("after_run", "the output");
        shared.consult(words, output, |hook, run, output| hook.after_run(run, output)).await
    }

    /// Tells that the run has started. Does nothing the second time.
    pub(crate) fn start(&self) {
        if let Some(shared) = &self.0 {
            shared.start();
        }
    }

    /// Tells how far the run has got: what the step said, and what all has cost so far.
    pub(crate) fn progress(&self, text: &str, step: u32, usage: Usage) {
        let weight = text.len().min(Progress::MAX_TEXT_BYTES);
        self.tell(weight, || Note::Progress(Progress::new(text, step, usage)));
    }

    /// Tells that a tool is called.
    pub(crate) fn tool_start(&self, call: &ToolCall) {
        self.tell(weight(call), || Note::ToolStart(call.clone()));
    }

    /// Tells that a tool has got further.
    pub(crate) fn tool_progress(&self, call: &ToolCall, text: &str) {
        let text = text::prefix(text, Progress::MAX_TEXT_BYTES);
        let note = || Note::ToolProgress(call.clone(), text.to_owned());
        self.tell(weight(call) + text.len(), note);
    }

    /// Tells what a tool answered.
    pub(crate) fn tool_end(&self, call: &ToolCall, result: &ToolResult) {
        let answer = result.call_id.len() + result.name.len() + result.output.len();
        self.tell(weight(call) + answer, || Note::ToolEnd(call.clone(), result.clone()));
    }

    /// Tells that the conversation was made smaller.
    pub(crate) fn compaction(&self, tokens_before: u64, tokens_after: u64) {
        self.tell(0, || Note::Compaction(tokens_before, tokens_after));
    }

    /// Tells how the run ended. Nothing is told after it, and nothing at all without a start.
    pub(crate) fn end(&self, how: RunEnd) {
        let Some(shared) = &self.0 else { return };
        let line = mem::replace(&mut *shared.line.lock(), Line::Closed);
        if let Line::Open { notes, end } = line {
            // Whoever would read it is gone with the runtime.
            let _ = end.send(how);
            drop(notes);
        }
    }

    /// Tells that the run ended with this: `stopped` if an error is that of a run that was stopped.
    /// Copies nothing when there is nobody to tell.
    pub(crate) fn end_with(&self, result: &TaskResult, stopped: bool) {
        if !self.is_silent() {
            self.end(RunEnd::of(result, stopped));
        }
    }

    /// Runs a run. When that panics, or is dropped, or has not told its end, that is told as its end;
    /// the panic goes on.
    ///
    /// # Cancel safety
    ///
    /// As that of the run.
    pub(crate) async fn attend<T>(self, run: impl Future<Output = T>) -> T {
        if self.is_silent() {
            return run.await;
        }
        let guard = self.guard();
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(done) => done,
            Err(payload) => {
                guard.0.end(RunEnd::Panicked(message_of(&*payload).into()));
                resume_unwind(payload)
            }
        }
    }

    /// Makes what tells an end when it is dropped, if none has been told until then. For a run that
    /// is not a future of its own: clones of the courier may be with tools that outlive it.
    pub(crate) fn guard(self) -> EndGuard {
        EndGuard(self)
    }

    /// Puts a notification into the line, or counts it if there is no place.
    fn tell(&self, weight: usize, note: impl FnOnce() -> Note) {
        let Some(shared) = &self.0 else { return };
        let line = shared.line.lock();
        let Line::Open { notes, .. } = &*line else { return };
        match notes.try_reserve() {
            Ok(place) if shared.room.take(weight) => place.send(Waiting { note: note(), weight }),
            _ => drop(shared.room.skipped.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

impl Shared {
    /// Asks one hook after the other. Each works on a copy, which counts if it agrees.
    async fn consult<T: Clone + Send>(
        &self,
        (call, what): (&'static str, &'static str),
        value: &mut T,
        ask: impl for<'a> Fn(&'a dyn AgentHook, &'a RunInfo, &'a mut T) -> Asked<'a>,
    ) -> Result<(), Refused> {
        for (number, hook) in self.hooks.list().iter().enumerate() {
            let mut draft = value.clone();
            let (ask, drafting) = (&ask, &mut draft);
            let asked = shield::call(self.hooks.deadline, || ask(&**hook, &self.run, drafting));
            match asked.await {
                Ok(Ok(())) => *value = draft,
                Ok(Err(error)) => return Err(Refused::new(what, error)),
                Err(fault) => report(&self.report, &self.run, &line(call, number, &fault)),
            }
        }
        Ok(())
    }

    fn start(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (notes, line) = mpsc::channel(MAX_WAITING);
        let (end, ended) = oneshot::channel();
        let mut state = self.line.lock();
        if !matches!(*state, Line::NotStarted) {
            return;
        }
        *state = Line::Open { notes, end };
        drop(state);
        let (run, report, room) = (self.run.clone(), self.report.clone(), self.room.clone());
        let teller = Teller::new(self.hooks.clone(), run, report, room);
        runtime.spawn(teller.tell(line, ended));
    }
}

type Asked<'a> = BoxFuture<'a, Result<(), BoxError>>;

/// Says what went wrong with a hook; they are counted from 1.
pub(super) fn line(call: &str, number: usize, fault: &Fault) -> String {
    format!("{call} of hook {} {fault}", number + 1)
}

/// Warns, and tells the run. Both are code of the host's in the end.
pub(super) fn report(report: &Report, run: &RunInfo, line: &str) {
    let _ = shield::run(|| tracing::warn!(task = %run.id, agent = run.agent, "{line}"));
    let _ = shield::run(|| report(line.to_owned()));
}

fn weight(call: &ToolCall) -> usize {
    call.id.len() + call.name.len() + call.args.len()
}

/// What a panic said. Not a report: the panic goes on to where one is made.
fn message_of(payload: &(dyn Any + Send)) -> &str {
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("a panic whose payload is not text");
    text::prefix(said, PanicReport::MAX_MESSAGE_BYTES)
}
