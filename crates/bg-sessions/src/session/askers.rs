//! The prompts of a turn, which its reply goes to.

use bg_core::{Completer, Failure, Output, Scope, TaskContext, TaskId, TaskResult};
use futures_util::future::select_all;
use parking_lot::Mutex;
use serde_json::json;

/// Ends a prompt that was not processed.
pub(super) fn refuse(asker: Completer, why: &str) {
    asker.complete(Err(Failure::new(format!("not processed: {why}"))));
}

/// Those who wait for the reply of a turn, in their order.
#[derive(Default)]
pub(super) struct Askers(Mutex<Vec<Completer>>);

impl Askers {
    pub(super) fn new(waiting: impl IntoIterator<Item = Completer>) -> Self {
        Self(Mutex::new(waiting.into_iter().collect()))
    }

    pub(super) fn add(&self, asker: Completer) {
        self.0.lock().push(asker);
    }

    /// Returns whether a prompt still waits for its reply.
    pub(super) fn is_live(asker: &Completer) -> bool {
        asker.context().status().is_some_and(|status| !status.is_terminal())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn contexts(&self) -> Vec<TaskContext> {
        self.0.lock().iter().map(|asker| asker.context().clone()).collect()
    }

    pub(super) fn ids(&self) -> Vec<TaskId> {
        self.0.lock().iter().map(|asker| asker.context().id()).collect()
    }

    /// Waits until nobody wants the reply any more. One that was stopped while others want it ends at
    /// once; the last one stays, for what had been reached.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn all_stopped(&self) {
        loop {
            let askers = self.contexts();
            if askers.is_empty() {
                return std::future::pending().await;
            }
            let stops = askers.iter().map(|asker| Box::pin(stopped(asker)));
            let (stopped, ..) = select_all(stops).await;
            match self.take_unless_last(stopped) {
                Some(asker) => refuse(asker, "it was stopped"),
                None => return,
            }
        }
    }

    fn take_unless_last(&self, id: TaskId) -> Option<Completer> {
        let mut askers = self.0.lock();
        let at = askers.iter().position(|asker| asker.context().id() == id)?;
        (askers.len() > 1).then(|| askers.remove(at))
    }

    /// Gives the reply to the last one that can still have it; the others name it. With a scope, all
    /// are stopped first, so that they end as stopped.
    pub(super) fn reply(&self, result: TaskResult, stopped: Option<(&Scope, &str)>) {
        let mut askers = std::mem::take(&mut *self.0.lock());
        if let Some((scope, reason)) = stopped {
            for asker in &askers {
                // An error is one that has ended by itself.
                let _ = scope.cancel(asker.context().id(), reason);
            }
        }
        let last = askers.iter().rposition(Self::is_live).or(askers.len().checked_sub(1));
        let Some(answering) = last.map(|at| askers.remove(at)) else { return };
        let id = answering.context().id();
        for asker in askers {
            asker.complete(named(id, &result));
        }
        answering.complete(result);
    }
}

/// Waits until a prompt is stopped.
async fn stopped(asker: &TaskContext) -> TaskId {
    asker.token().cancelled().await;
    asker.id()
}

/// What the others of a turn are answered.
fn named(id: TaskId, result: &TaskResult) -> TaskResult {
    match result {
        Ok(_) => Ok(Output::text(format!("answered together with a later prompt: see {id}"))
            .with_data(json!({ "answered_by": id }))),
        Err(failure) => Err(Failure::new(format!("answered together with {id}: {failure}"))),
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        // The turn was dropped, or has panicked.
        for asker in std::mem::take(self.0.get_mut()) {
            refuse(asker, "its session has ended");
        }
    }
}
