//! How a task ended: the terminal truth, and everything that is delivered with it.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, PanicReport};
use crate::id::TaskId;
use crate::log::OutputLog;
use crate::output::Output;
use crate::status::Status;
use crate::sync::Arc;
use crate::view::View;
use crate::words::Text;

/// What a task's future returns.
pub type TaskResult = Result<Output, Failure>;

/// How a task ended.
///
/// When its token had fired, `Ok` is still [`Completed`](Outcome::Completed) and `Err` is
/// [`Cancelled`](Outcome::Cancelled) with the error kept. What is not a success lies in a box, so that
/// one which is takes little.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It returned an output.
    Completed(Output),
    /// It returned an error.
    Failed(Box<Failure>),
    /// It was stopped.
    Cancelled(Box<Cancellation>),
    /// It panicked.
    Panicked(Box<PanicReport>),
    /// The host died under it.
    Lost,
}

impl Outcome {
    /// Returns the status that belongs to it.
    pub fn status(&self) -> Status {
        match self {
            Self::Completed(_) => Status::Completed,
            Self::Failed(_) => Status::Failed,
            Self::Cancelled(_) => Status::Cancelled,
            Self::Panicked(_) => Status::Panicked,
            Self::Lost => Status::Lost,
        }
    }

    /// Returns whether it completed, and with exit code 0 if it is that of a process.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Completed(output) => output.exit().is_none_or(crate::Exit::success),
            _ => false,
        }
    }

    /// Returns the output, or the part of it that had been reached.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Completed(output) => Some(output),
            Self::Panicked(report) => report.partial.as_deref(),
            _ => self.failure()?.partial.as_deref(),
        }
    }

    /// Returns the error, also that of a task which was stopped.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Cancelled(cancellation) => cancellation.error.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn dropped(reason: Reason) -> Self {
        Self::Cancelled(Box::new(Cancellation { reason, error: None }))
    }

    /// The bytes that its texts and data take, roughly, beyond [`Outcome::seen_weight`].
    fn unseen_weight(&self) -> u64 {
        match self {
            Self::Completed(output) => output.unseen_weight(),
            Self::Panicked(report) => report.partial.as_ref().map_or(0, |output| output.weight()),
            _ => self.failure().map_or(0, Failure::weight),
        }
    }

    /// As much of them as is known without looking into anything.
    fn seen_weight(&self) -> u64 {
        match self {
            Self::Completed(output) => output.text.len() as u64,
            _ => 0,
        }
    }

    /// Says in words why there is no complete output; `None` for a completed task.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Completed(_) => None,
            Self::Failed(failure) => Some(failure.to_string()),
            Self::Cancelled(cancellation) => Some(cancellation.reason.to_string()),
            Self::Panicked(report) => Some(format!("panicked: {}", report.message)),
            Self::Lost => Some("the host died under it".to_owned()),
        }
    }
}

/// A stop, and the error that the task returned because of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cancellation {
    /// Why it was stopped.
    pub reason: Reason,
    /// What it returned, if it got to return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Why a task was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Somebody asked for it, in these words.
    Requested(Arc<str>),
    /// The task that owns it ended.
    OwnerEnded,
    /// The scope or the registry was closed.
    Closed,
    /// The token that its root was opened under has fired.
    ParentCancelled,
    /// It took longer than its deadline allowed.
    DeadlineExceeded,
    /// The holder of its completer dropped it.
    CompleterDropped,
    /// Its future was dropped by somebody else, for example by the end of the runtime.
    Aborted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested(words) => words,
            Self::OwnerEnded => "the task that owns it ended",
            Self::Closed => "its scope was closed",
            Self::ParentCancelled => "its host was cancelled",
            Self::DeadlineExceeded => "its deadline was exceeded",
            Self::CompleterDropped => "its completer was dropped",
            Self::Aborted => "its future was dropped",
        })
    }
}

/// A task that has ended: what was asked, how it ended, and what it left.
#[derive(Clone)]
#[non_exhaustive]
pub struct Finished {
    /// The id.
    pub id: TaskId,
    /// Its number is how many nanoseconds it took, if that is not in `left`.
    text: Text,
    /// How it ended.
    pub outcome: Outcome,
    pub(crate) left: Option<Box<Left>>,
}

/// What few tasks leave beside an outcome.
#[derive(Clone, Default)]
pub(crate) struct Left {
    /// Nanoseconds from spawn to end, where they are too many to lie beside the text: 4 seconds.
    elapsed: Option<NonZeroU64>,
    pub(crate) steps: u32,
    pub(crate) trace: Vec<String>,
    pub(crate) unclaimed: Vec<Unclaimed>,
    pub(crate) unread: usize,
    pub(crate) log: Option<OutputLog>,
    pub(crate) view: Option<Arc<dyn View>>,
    /// What counts against the limit of undelivered bytes beyond [`Outcome::seen_weight`].
    pub(crate) weight: u64,
}

impl Left {
    /// What has to be said of an outcome beside it; nothing of most.
    fn of(outcome: &Outcome) -> Option<Box<Self>> {
        let weight = outcome.unseen_weight();
        (weight > 0).then(|| Box::new(Self { weight, ..Self::default() }))
    }
}

// With the two counts of its `Arc` it is as large as what glibc frees and finds again at once.
#[cfg(target_pointer_width = "64")]
const _: () =
    assert!(size_of::<Finished>() <= 104, "an outcome has outgrown the fast bins of glibc");

impl Finished {
    /// Most trace lines that are kept; one marker follows when there were more.
    pub const MAX_TRACE_LINES: usize = 256;

    pub(crate) fn new(id: TaskId, outcome: Outcome) -> Self {
        let left = Left::of(&outcome);
        Self { id, text: Text::default(), outcome, left }
    }

    pub(crate) fn dropped(id: TaskId, reason: Reason) -> Self {
        Self::new(id, Outcome::dropped(reason))
    }

    /// Makes the place for an outcome before there is one.
    pub(crate) fn blank(id: TaskId) -> Arc<Self> {
        Arc::new(Self { id, text: Text::default(), outcome: Outcome::Lost, left: None })
    }

    /// Puts an outcome into a place that was made for it.
    pub(crate) fn fill(mut blank: Arc<Self>, outcome: Outcome) -> Arc<Self> {
        let Some(place) = Arc::get_mut(&mut blank) else {
            return Arc::new(Self::new(blank.id, outcome));
        };
        place.left = Left::of(&outcome);
        place.outcome = outcome;
        blank
    }

    pub(crate) fn left_mut(&mut self) -> &mut Left {
        self.left.get_or_insert_default()
    }

    /// Says what it was and how long it took.
    pub(crate) fn describe(&mut self, text: Text, elapsed: u64) {
        self.text = text;
        match u32::try_from(elapsed) {
            Ok(short) => self.text.set_number(short),
            Err(_) => self.left_mut().elapsed = NonZeroU64::new(elapsed),
        }
    }

    pub(crate) fn text(&self) -> &Text {
        &self.text
    }

    /// What counts against the limit of undelivered bytes.
    pub(crate) fn weight(&self) -> u64 {
        self.outcome.seen_weight() + self.left.as_ref().map_or(0, |left| left.weight)
    }

    /// Returns the last step that it reported; 0 if it reported none.
    pub fn steps(&self) -> u32 {
        self.left.as_ref().map_or(0, |left| left.steps)
    }

    /// Returns the lines that it traced: at most [`Finished::MAX_TRACE_LINES`], then one marker.
    pub fn trace(&self) -> &[String] {
        self.left.as_ref().map_or(&[], |left| &left.trace)
    }

    /// Returns the time from spawn to end.
    pub fn elapsed(&self) -> Duration {
        let long = self.left.as_ref().and_then(|left| left.elapsed);
        Duration::from_nanos(long.map_or(self.text.number().into(), NonZeroU64::get))
    }

    /// Returns the ended children whose outcomes nobody had claimed, in order of completion.
    pub fn unclaimed(&self) -> &[Unclaimed] {
        self.left.as_ref().map_or(&[], |left| &left.unclaimed)
    }

    /// Counts the messages that were sent to it and that it had not received.
    pub fn unread(&self) -> usize {
        self.left.as_ref().map_or(0, |left| left.unread)
    }

    /// Returns what it wrote, if it wrote anything.
    pub fn log(&self) -> Option<&OutputLog> {
        self.left.as_ref()?.log.as_ref()
    }

    pub(crate) fn view(&self) -> Option<&Arc<dyn View>> {
        self.left.as_ref()?.view.as_ref()
    }

    /// Returns the short name that the task was given.
    pub fn label(&self) -> &str {
        self.text.label()
    }

    /// Returns what it was asked to do.
    pub fn prompt(&self) -> &str {
        self.text.prompt()
    }

    /// Returns the terminal status.
    pub fn status(&self) -> Status {
        self.outcome.status()
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("id", &self.id)
            .field("label", &self.label())
            .field("outcome", &self.outcome)
            .field("steps", &self.steps())
            .finish_non_exhaustive()
    }
}

/// A child that ended without anybody claiming its outcome before its owner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unclaimed {
    /// The child.
    pub id: TaskId,
    /// How it ended.
    #[serde(flatten)]
    pub status: Status,
}
