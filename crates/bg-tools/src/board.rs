//! The task board: what the task tools are written against.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{
    CancelOutcome, Chunk, Claim, ClaimError, Finished, Message, OutputLog, Peek, Peeked,
    ResolveError, Scope, SendError, Snapshot, Stream, TaskError, TaskId, WaitFor, Waited,
};

use crate::view::text_start;

/// One caller's tasks, wherever they run. A [`Scope`] is the board of the tasks in this process.
///
/// The task tools know of tasks what a board tells them and nothing else.
#[async_trait]
pub trait TaskBoard: Send + Sync {
    /// Reads what a model wrote as the id of one of the caller's tasks.
    ///
    /// # Errors
    ///
    /// [`ResolveError`].
    async fn resolve(&self, written: &str) -> Result<TaskId, ResolveError>;

    /// Lists a page of the live and undelivered tasks, by number: at most `max` with a number above
    /// `after`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Closed`] if the tasks are out of reach: that is not the same as none.
    async fn list(&self, after: u64, max: usize) -> Result<Vec<Snapshot>, TaskError>;

    /// Shows one task.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    async fn inspect(&self, id: TaskId) -> Result<Snapshot, TaskError>;

    /// Looks at the recent messages of a task.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    async fn peek(&self, id: TaskId, peek: Peek) -> Result<Peeked, TaskError>;

    /// Waits for tasks. Claims nothing.
    ///
    /// # Errors
    ///
    /// [`TaskError`] if one of them is not this caller's.
    async fn wait(
        &self,
        ids: &[TaskId],
        until: WaitFor,
        timeout: Duration,
    ) -> Result<Seen, TaskError>;

    /// Claims the outcome of a task.
    ///
    /// # Errors
    ///
    /// [`ClaimError`].
    async fn claim(&self, id: TaskId) -> Result<Claim, ClaimError>;

    /// Requests a stop.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    async fn cancel(&self, id: TaskId, reason: &str) -> Result<CancelOutcome, TaskError>;

    /// Reads what a task wrote and, behind it, the text of its outcome.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    async fn read(&self, id: TaskId, piece: Piece) -> Result<Chunk, TaskError>;

    /// Sends a message to a running task.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the message was not kept.
    async fn send(&self, id: TaskId, message: Message) -> Result<(), SendError>;
}

/// What a wait saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The tasks that have ended, in order of their ending.
    pub ended: Vec<Arc<Finished>>,
    /// Those that have not, by number.
    pub pending: Vec<Snapshot>,
    /// Whether the time was over before what was waited for had happened.
    pub timed_out: bool,
}

/// Which piece of an output to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The offset of the first byte.
    pub from: u64,
    /// Most bytes to read. With 0 the chunk says only what was omitted.
    pub max: usize,
    /// The stream; all of them if none is named.
    pub stream: Option<Stream>,
}

#[async_trait]
impl TaskBoard for Scope {
    async fn resolve(&self, written: &str) -> Result<TaskId, ResolveError> {
        Self::resolve(self, written)
    }

    async fn list(&self, after: u64, max: usize) -> Result<Vec<Snapshot>, TaskError> {
        Ok(self.page(after, max))
    }

    async fn inspect(&self, id: TaskId) -> Result<Snapshot, TaskError> {
        Self::inspect(self, id)
    }

    async fn peek(&self, id: TaskId, peek: Peek) -> Result<Peeked, TaskError> {
        Self::peek(self, id, peek)
    }

    async fn wait(
        &self,
        ids: &[TaskId],
        until: WaitFor,
        timeout: Duration,
    ) -> Result<Seen, TaskError> {
        let ids = ids.iter().copied();
        let Waited { ended, pending, timed_out, .. } =
            Self::wait(self, ids).until(until).timeout(timeout).await?;
        Ok(Seen { ended, pending, timed_out })
    }

    async fn claim(&self, id: TaskId) -> Result<Claim, ClaimError> {
        Self::claim(self, id)
    }

    async fn cancel(&self, id: TaskId, reason: &str) -> Result<CancelOutcome, TaskError> {
        Self::cancel(self, id, reason)
    }

    async fn read(&self, id: TaskId, piece: Piece) -> Result<Chunk, TaskError> {
        // The outcome first: once there is one, the log does not grow any more.
        let finished = self.outcome(id).ok();
        let log = self.log(id)?;
        Ok(read_output(log.as_ref(), finished.as_deref(), piece))
    }

    async fn send(&self, id: TaskId, message: Message) -> Result<(), SendError> {
        Self::send(self, id, message)
    }
}

/// Reads from the log and the text of the outcome as if they were one: first the log.
fn read_output(log: Option<&OutputLog>, finished: Option<&Finished>, piece: Piece) -> Chunk {
    let Piece { from, max, stream } = piece;
    let nothing = || Chunk::of_bytes(&[], 0, 0, true);
    let mut chunk = log.map_or_else(nothing, |log| log.read(from, max, stream));
    let text_start = finished.map_or(0, text_start);
    // The end of the log is not the end: the text of the outcome follows it.
    chunk.eof = finished.is_some() && chunk.next == text_start;
    let output = finished.and_then(|finished| finished.outcome.output());
    let text = output.map_or("", |output| &output.text);
    if text.is_empty() || stream == Some(Stream::Stderr) || chunk.next < text_start {
        return chunk;
    }
    let from = from.saturating_sub(text_start);
    let rest = Chunk::of_bytes(text.as_bytes(), from, max - chunk.bytes.len(), true);
    chunk.bytes.extend(rest.bytes);
    chunk.next = text_start + rest.next;
    chunk.eof = rest.eof;
    chunk
}
