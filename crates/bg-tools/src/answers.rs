//! Answers about one task: how it ended, that it goes on, that a wait is over.
//!
//! All tools give them, so a task looks the same whichever tool shows it.

use std::pin::pin;
use std::time::Duration;

use bg_core::{Claim, ClaimError, Snapshot, Status, TaskError, TaskId};
use futures_util::future::{Either, select};
use serde::Serialize;

use crate::board::{Piece, TaskBoard};
use crate::error::ToolError;
use crate::hidden::to_json;
use crate::piece::Reading;
use crate::told::{Mark, Note};
use crate::tool::{ToolContext, ToolOutput};
use crate::view::{Ending, Entry, LogView, seen};

/// Most bytes of new output that a wait shows when its time is over.
const NEWS_BYTES: usize = 600;

/// What a model is told of a task that it has not waited for.
const WILL_ARRIVE: &str = "its result will arrive by itself";

impl ToolContext {
    /// Answers a call with the task that it has started in the background.
    ///
    /// # Errors
    ///
    /// [`ToolError::Task`] if the task is not the caller's.
    pub fn background(&self, task: TaskId) -> Result<ToolOutput, ToolError> {
        let status = live_word(&self.scope().inspect(task)?);
        self.started(task);
        let note = WILL_ARRIVE.to_owned();
        ToolOutput::json(&GoesOn { task_id: task, status, note, output: None })
    }

    /// Waits for a foreground task that the call has started, and answers with its outcome. If it
    /// takes longer than the patience, or than the call may take, or if the call is
    /// [released](Self::with_release), it goes on in the background, and the answer gives its id and
    /// what it has written so far.
    ///
    /// # Errors
    ///
    /// [`ToolError`] if the task is not the caller's, or the registry is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the task.
    pub async fn foreground(
        &self,
        task: TaskId,
        patience: Duration,
    ) -> Result<ToolOutput, ToolError> {
        let patience = self.patience(patience);
        let mut foreground = self.scope().foreground(task)?;
        self.started(task);
        let over = pin!(tokio::time::timeout(patience, self.release().cancelled()));
        // The task first: what has ended by now is delivered.
        if let Either::Left((claimed, _)) = select(&mut foreground, over).await {
            return deliver(self, claimed, true);
        }
        foreground.detach()?;
        self.goes_on(task, patience).await
    }

    async fn goes_on(&self, task: TaskId, after: Duration) -> Result<ToolOutput, ToolError> {
        let secs = after.as_secs_f64();
        let note = format!("not done after {secs} s: goes on in the background; {WILL_ARRIVE}");
        let known = self.told().of(task);
        let snapshot = self.scope().inspect(task)?;
        let status = live_word(&snapshot);
        let mut room = self.budget().most_bytes();
        loop {
            let output = News::of(self.scope(), &snapshot, known, room).await?;
            let mark = output.as_ref().map(News::mark);
            let text = to_json(&GoesOn { task_id: task, status, note: note.clone(), output })?;
            match self.budget().smaller(room, &text) {
                Some(less) => room = less,
                None => return Ok(marked(ToolOutput::text(text), task, mark)),
            }
        }
    }
}

/// The word for a task whose result comes later: also one that has ended by now.
fn live_word(snapshot: &Snapshot) -> &'static str {
    if snapshot.status == Status::Pending { "pending" } else { "running" }
}

/// A task that the call has started and that goes on.
#[derive(Serialize)]
struct GoesOn {
    task_id: TaskId,
    status: &'static str,
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<News>,
}

/// Answers with an outcome.
pub(crate) fn deliver(
    cx: &ToolContext,
    claimed: Result<Claim, ClaimError>,
    is_own: bool,
) -> Result<ToolOutput, ToolError> {
    let (finished, claim) = match claimed {
        Ok(claim) => (claim.finished().clone(), Some(claim)),
        Err(ClaimError::Delivered(other)) => (other.finished().clone(), None),
        Err(error) => return Err(error.into()),
    };
    let note = known(cx, finished.id, claim.is_some());
    let ending = Ending { note, is_own, ..Ending::of(&finished, claim.is_some()) };
    let (text, mark) = cx.budget().fit(ending.most_bytes(), |room| {
        let (ended, mark) = ending.at(room);
        Ok((to_json(&ended)?, mark))
    })?;
    let output = marked(ToolOutput::text(text), finished.id, mark).marked(finished.id, Mark::Ended);
    Ok(match claim {
        Some(claim) => output.with_claim(claim),
        None => output,
    })
}

/// What a caller knows of a task whose outcome it gets, for the first time or not. An outcome that
/// could be claimed is news, whatever an earlier answer said that was lost.
pub(crate) fn known(cx: &ToolContext, task: TaskId, is_claimed: bool) -> Note {
    let note = cx.told().of(task);
    Note { ended: note.ended && !is_claimed, ..note }
}

pub(crate) fn marked(output: ToolOutput, task: TaskId, mark: Option<Mark>) -> ToolOutput {
    match mark {
        Some(mark) => output.marked(task, mark),
        None => output,
    }
}

/// A wait for one task that is over without an outcome.
#[derive(Serialize)]
pub(crate) struct StillRunning {
    task_id: TaskId,
    status: &'static str,
    current: Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<News>,
    /// How long the wait was, if that is not what the caller has asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl StillRunning {
    /// Shows what has changed since the caller's last wait, in at most `room` bytes of free text.
    pub(crate) async fn of(
        cx: &ToolContext,
        status: &'static str,
        snapshot: &Snapshot,
        room: usize,
    ) -> Result<(Self, Vec<Mark>), TaskError> {
        let known = cx.told().of(snapshot.id);
        let look = seen(snapshot);
        let is_same = known.seen == Some(look);
        let output = News::of(cx.board(), snapshot, known, room.min(NEWS_BYTES)).await?;
        let entry = Entry::of(snapshot, known.is_known(), room);
        let current = if is_same { entry } else { entry.with_news(snapshot, room) };
        let note = note_of(status).or_else(|| is_same.then_some(NOTHING_NEW));
        let marks = output.iter().map(News::mark).chain([Mark::Seen(look)]).collect();
        let task_id = snapshot.id;
        Ok((Self { task_id, status, current, output, timeout_secs: None, note }, marks))
    }

    /// Says how long the wait was.
    pub(crate) fn after(self, timeout_secs: Option<u64>) -> Self {
        Self { timeout_secs, ..self }
    }
}

/// What is to be said of a wait that is over like this: an interruption is one of the wait, and not
/// of what was waited for.
pub(crate) fn note_of(status: &str) -> Option<&'static str> {
    (status == INTERRUPTED).then_some(GOES_ON)
}

/// How a wait is over when its caller is to do something else.
pub(crate) const INTERRUPTED: &str = "interrupted";

const GOES_ON: &str = "only your wait was interrupted: nothing was stopped";

const NOTHING_NEW: &str = "nothing new since your last wait; its result will arrive by itself";

/// What a task has written since the caller was shown its output, or the end of that.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct News(LogView);

impl News {
    /// `None` if there is nothing new.
    async fn of(
        board: &dyn TaskBoard,
        snapshot: &Snapshot,
        known: Note,
        room: usize,
    ) -> Result<Option<Self>, TaskError> {
        let total = snapshot.output_bytes;
        let from = known.shown.max(total.saturating_sub(room as u64));
        if from >= total || snapshot.status.is_terminal() {
            return Ok(None);
        }
        let piece = Piece { from, max: room.max(4), stream: None };
        let reading = Reading::of(board, snapshot.id, piece).await?;
        let from = from + reading.omitted;
        Ok(Some(Self(LogView {
            text: reading.text,
            omitted_bytes: from.saturating_sub(known.read),
            next_cursor: reading.next,
            invalid_utf8_bytes: reading.invalid,
            from,
        })))
    }

    fn mark(&self) -> Mark {
        Mark::Shown(self.0.from, self.0.next_cursor)
    }
}
