//! Tool calls that run as tasks while somebody waits for them.

use std::time::Duration;

use bg_core::{Claim, Scope, TaskId};

use crate::error::ToolError;

/// A task that a tool call waits for. When the call is dropped, the task is stopped; when the task
/// outlives `patience`, it goes on in the background.
#[derive(Debug)]
#[must_use = "dropping it stops the task"]
pub struct Foreground {
    scope: Scope,
    id: TaskId,
    over: bool,
}

/// How a foreground task went.
#[derive(Debug)]
pub enum Foregrounded {
    /// It has ended; the answer delivers it.
    Ended(Claim),
    /// It goes on in the background, and its outcome comes through the inbox.
    Detached(TaskId),
}

impl Foreground {
    /// Takes charge of a task that was spawned in this scope.
    pub fn new(scope: Scope, id: TaskId) -> Self {
        Self { scope, id, over: false }
    }

    /// Waits for the task as long as the caller's patience lasts.
    ///
    /// # Errors
    ///
    /// [`ToolError`] if the registry is gone or somebody else claimed the outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the task.
    pub async fn wait(mut self, patience: Duration) -> Result<Foregrounded, ToolError> {
        let waited = self.scope.wait([self.id]).timeout(patience).await?;
        self.over = true;
        if waited.timed_out {
            return Ok(Foregrounded::Detached(self.id));
        }
        Ok(Foregrounded::Ended(self.scope.claim(self.id)?))
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if !self.over {
            // Nobody is left to tell: a task that is unknown by now needs no stopping.
            let _ = self.scope.cancel(self.id, "the call that waited for it was dropped");
        }
    }
}
