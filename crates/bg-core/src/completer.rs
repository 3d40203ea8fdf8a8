//! Work that is done elsewhere.

use tokio::task::AbortHandle;

use crate::context::TaskContext;
use crate::outcome::{Finished, Outcome, Reason, TaskResult};
use crate::sync::Arc;

/// The other end of a task that was [registered](crate::Scope::register): whoever holds it reports
/// and completes.
///
/// Dropping it ends the task as cancelled, with [`Reason::CompleterDropped`]. When the task is
/// stopped and nobody asked for its token, it ends at once and a later completion is ignored.
#[derive(Debug)]
#[must_use = "dropping a completer ends its task as cancelled"]
pub struct Completer {
    context: TaskContext,
    /// The place of the outcome, until there is one: an end asks for no memory.
    blank: Option<Arc<Finished>>,
}

impl Completer {
    pub(crate) fn new(context: TaskContext) -> Self {
        let blank = Some(Finished::blank(context.id()));
        Self { context, blank }
    }

    /// Returns the task's handle to itself, for steps, traces, output, children and its token.
    pub fn context(&self) -> &TaskContext {
        &self.context
    }

    /// Binds a task of tokio's to this one: it is aborted when a stop is not heeded, and with the
    /// registry; at once if either came first. Several can be bound.
    pub fn bind(&self, handle: AbortHandle) {
        self.context.bind(handle);
    }

    /// Ends the task. When this returns, its outcome can be claimed. Ignored if the task has ended.
    pub fn complete(mut self, result: TaskResult) {
        self.end(match result {
            Ok(output) => Outcome::Completed(output),
            Err(failure) => Outcome::Failed(Box::new(failure.capped())),
        });
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(blank) = self.blank.take() {
            self.context.finish(Finished::fill(blank, outcome));
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if self.blank.is_some() {
            self.end(Outcome::dropped(Reason::CompleterDropped));
        }
    }
}
