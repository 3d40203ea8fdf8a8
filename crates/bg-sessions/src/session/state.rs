//! What is known of a session from outside.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bg_core::{Breakdown, Scope, TaskId, Usage, text};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Child, SessionAnswer, SessionStatus};
use super::list::Key;
use super::queue::{Caps, Queue};
use super::{Input, MAX_REASON_BYTES};

/// Longest progress text of a status, in bytes.
const MAX_PROGRESS_BYTES: usize = 2000;

/// Most children that a status names.
const MAX_CHILDREN: usize = 16;

/// A session as its callers and its runner share it.
pub(crate) struct Session {
    queue: Arc<Queue<Input>>,
    task: OnceLock<TaskId>,
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    /// When it last had something to do.
    active: Instant,
    /// The scope of its children, once it runs.
    scope: Option<Scope>,
    turn: Option<TurnUnderWay>,
    /// Why the turn that comes to its end was stopped, if it was.
    stopped: Option<Arc<str>>,
    /// Children whose results nobody is to be told.
    dropped: BTreeSet<TaskId>,
    seen: Seen,
}

struct TurnUnderWay {
    /// The prompts that it answers.
    tasks: Vec<TaskId>,
    stop: CancellationToken,
}

/// What the runner shows of itself.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Turns that the model has answered.
    pub(super) turns: u64,
    pub(super) model: String,
    /// What it has cost in all.
    pub(super) usage: Usage,
    pub(super) by: Breakdown,
    pub(super) last_progress: String,
}

impl Session {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            begun: now,
            active: now,
            scope: None,
            turn: None,
            stopped: None,
            dropped: BTreeSet::new(),
            seen: Seen::default(),
        };
        Self {
            queue: Arc::new(Queue::new(Caps::default())),
            task: OnceLock::new(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn queue(&self) -> &Arc<Queue<Input>> {
        &self.queue
    }

    /// Says which task it is.
    pub(super) fn started(&self, task: TaskId) {
        // Said by the one who starts it and by the task, whoever is first.
        let _ = self.task.set(task);
    }

    /// Returns the task, once it is started.
    pub(super) fn task(&self) -> Option<TaskId> {
        self.task.get().copied()
    }

    pub(super) fn runs_in(&self, scope: Scope) {
        self.state.lock().scope = Some(scope);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.state.lock().turn.is_some()
    }

    /// Counts this moment as one in which it had something to do.
    pub(super) fn touch(&self) {
        self.rests();
        self.queue.wake();
    }

    /// Counts idle time from now on.
    pub(super) fn rests(&self) {
        self.state.lock().active = Instant::now();
    }

    pub(super) fn active(&self) -> Instant {
        self.state.lock().active
    }

    pub(super) fn begin_turn(&self, tasks: Vec<TaskId>, stop: CancellationToken) {
        self.state.lock().turn = Some(TurnUnderWay { tasks, stop });
    }

    /// Ends the turn. If it was stopped, what it has started since then is stopped too.
    pub(super) fn end_turn(&self) {
        let (scope, stopped) = {
            let mut state = self.state.lock();
            state.active = Instant::now();
            state.turn = None;
            (state.scope.clone(), state.stopped.take())
        };
        if let (Some(scope), Some(reason)) = (scope, stopped) {
            self.drop_children(&scope, &reason);
        }
    }

    pub(super) fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state.lock().seen);
    }

    pub(super) fn seen(&self) -> Seen {
        self.state.lock().seen.clone()
    }

    /// Returns the children whose results nobody is to be told.
    pub(super) fn dropped(&self) -> BTreeSet<TaskId> {
        self.state.lock().dropped.clone()
    }

    /// Returns whether the result of a child is to be told to nobody; then it is forgotten.
    pub(super) fn is_dropped(&self, child: TaskId) -> bool {
        self.state.lock().dropped.remove(&child)
    }

    /// Stops the turn under way and what it has started. The session stays, and so do the prompts that
    /// wait.
    pub(super) fn stop(&self, owner: &Scope, key: &Key, reason: &str) -> SessionAnswer {
        let reason = reason_or(reason, "the turn of the session was stopped");
        let (scope, turn) = {
            let mut state = self.state.lock();
            let turn = state.turn.take();
            if turn.is_some() {
                state.stopped = Some(reason.clone());
            }
            (state.scope.clone(), turn.map(|turn| (turn.tasks, turn.stop)))
        };
        let dropped = scope.map_or_else(Vec::new, |scope| self.drop_children(&scope, &reason));
        let (tasks, stop) = turn.unwrap_or_default();
        for task in &tasks {
            // An error is one that has ended by itself.
            let _ = owner.cancel(*task, &*reason);
        }
        stop.cancel();
        SessionAnswer::Stopped {
            session: key.id().to_owned(),
            stopped: tasks,
            dropped,
            waiting: self.queue.len(),
        }
    }

    /// Stops the children, and has their results told to nobody.
    fn drop_children(&self, scope: &Scope, reason: &Arc<str>) -> Vec<TaskId> {
        let children: Vec<TaskId> = scope.snapshot().iter().map(|child| child.id).collect();
        self.state.lock().dropped.extend(&children);
        scope.cancel_all(reason.clone());
        children
    }

    /// Ends a session that has got no prompt, unless somebody else has one for it.
    pub(super) fn abandon(&self, owner: &Scope) {
        if self.queue.close_if_empty()
            && let Some(task) = self.task()
        {
            // An error is one that has ended by itself.
            let _ = owner.cancel(task, "its first prompt was refused");
        }
    }

    /// Ends the session. What it does is stopped, and the prompts that wait are not processed.
    pub(super) fn cancel(&self, owner: &Scope, key: &Key, reason: &str) -> SessionAnswer {
        let reason = reason_or(reason, "the session was cancelled");
        let waiting = self.queue.close();
        let dropped = waiting.iter().map(|input| input.asker.context().id()).collect();
        for input in waiting {
            let _ = owner.cancel(input.asker.context().id(), &*reason);
            super::askers::refuse(input.asker, "its session was cancelled");
        }
        let stopped =
            self.state.lock().turn.as_ref().map_or_else(Vec::new, |turn| turn.tasks.clone());
        // After the queue: whoever starts the task looks there once it is known.
        let task_id = self.task();
        if let Some(task) = task_id {
            // An error is one that has ended by itself.
            let _ = owner.cancel(task, &*reason);
        }
        SessionAnswer::Cancelled { session: key.id().to_owned(), task_id, stopped, dropped }
    }

    /// Says how it is. Disturbs nothing.
    pub(super) fn status(&self, key: &Key) -> SessionStatus {
        let state = self.state.lock();
        let (seen, is_busy) = (state.seen.clone(), state.turn.is_some());
        let (begun, active, scope) = (state.begun, state.active, state.scope.clone());
        drop(state);
        let children = scope.map_or_else(Vec::new, |scope| scope.snapshot());
        let idle = if is_busy { Duration::ZERO } else { active.elapsed() };
        SessionStatus {
            session: key.id().to_owned(),
            agent: key.agent().to_owned(),
            task_id: self.task(),
            active: true,
            busy: is_busy,
            waiting: self.queue.len(),
            elapsed_secs: begun.elapsed().as_secs(),
            idle_secs: idle.as_secs(),
            turns: seen.turns,
            model: seen.model,
            usage: seen.usage,
            by: seen.by,
            children_total: children.len(),
            children: children.iter().take(MAX_CHILDREN).map(Child::of).collect(),
            last_progress: seen.last_progress,
        }
    }
}

impl Seen {
    /// Keeps what a turn has come to, for those who ask.
    pub(super) fn progress(&mut self, progress: &str) {
        text::prefix(progress, MAX_PROGRESS_BYTES).clone_into(&mut self.last_progress);
        if self.last_progress.len() < progress.len() {
            self.last_progress.push('\u{2026}');
        }
    }
}

/// The reason that was given, or one that says what was done.
fn reason_or(given: &str, default: &str) -> Arc<str> {
    match given.trim() {
        "" => default.into(),
        given => text::excerpt(given, MAX_REASON_BYTES).into(),
    }
}
