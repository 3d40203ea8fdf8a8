//! A task in a list.

use std::hash::{DefaultHasher, Hash, Hasher};

use bg_core::{Kind, Phase, Snapshot, Status, TaskId, text};
use serde::Serialize;

use super::{ABRIDGED_BYTES, ExitView, abridged, line, status_word};

/// Longest description, in bytes, of a task that the caller has not seen in a list yet; and of one
/// that it has.
const NEW_DESCRIPTION_BYTES: usize = 40;
const KNOWN_DESCRIPTION_BYTES: usize = 0;

/// One task in a list.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    task_id: TaskId,
    task_type: String,
    description: String,
    status: &'static str,
    age_secs: u64,
    #[serde(flatten)]
    exit: Option<ExitView>,
    /// Why it is `errored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<String>,
}

impl Entry {
    /// Shows a task to a caller that has seen it in a list before, or has not, with at most so many
    /// bytes of foreign text.
    pub(crate) fn of(snapshot: &Snapshot, known: bool, room: usize) -> Self {
        let kept = if known { KNOWN_DESCRIPTION_BYTES } else { NEW_DESCRIPTION_BYTES };
        Self::described(snapshot, kept.min(room))
    }

    /// Shows a task with at most so many bytes of its description.
    pub(crate) fn described(snapshot: &Snapshot, bytes: usize) -> Self {
        let kind = snapshot.id.kind();
        let exited = kind == Kind::PROCESS && snapshot.status == Status::Completed;
        let status = status_word(kind, snapshot.status);
        let reason = snapshot.reason.as_deref().filter(|_| status == "errored");
        Self {
            task_id: snapshot.id,
            task_type: kind.to_string(),
            description: description(snapshot, bytes),
            status,
            age_secs: snapshot.age.as_secs(),
            exit: exited.then(|| ExitView::of(snapshot.exit)),
            reason: reason.map(|reason| line(reason, bytes.max(NEW_DESCRIPTION_BYTES))),
            step: step(snapshot),
            phase: None,
            last_event: None,
        }
    }

    /// Adds what it does now and what it did last.
    pub(crate) fn with_news(mut self, snapshot: &Snapshot, room: usize) -> Self {
        self.phase = phase(snapshot);
        self.last_event = snapshot.last_trace.as_deref().map(|event| line(event, room));
        self
    }
}

fn description(snapshot: &Snapshot, bytes: usize) -> String {
    let (label, prompt) = (snapshot.label(), snapshot.prompt());
    if snapshot.id.kind() == Kind::PROCESS {
        return abridged(prompt, prompt.len(), bytes);
    }
    // Both may be long: no more of them is copied than can be shown.
    let most = bytes + ABRIDGED_BYTES;
    let begin = format!("{}: {}", text::prefix(label, most), text::prefix(prompt, most));
    abridged(&begin, label.len() + 2 + prompt.len(), bytes)
}

fn step(snapshot: &Snapshot) -> Option<u32> {
    match snapshot.status {
        Status::Running { step } if step > 0 => Some(step),
        _ => None,
    }
}

fn phase(snapshot: &Snapshot) -> Option<Phase> {
    Some(snapshot.phase).filter(|&phase| phase != Phase::Working)
}

/// What a list shows of a task, as a hash: another one when something but the age has changed.
pub(crate) fn listed(snapshot: &Snapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    status_word(snapshot.id.kind(), snapshot.status).hash(&mut hasher);
    (step(snapshot), &snapshot.reason).hash(&mut hasher);
    hasher.finish()
}

/// The same of what a wait shows.
pub(crate) fn seen(snapshot: &Snapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    listed(snapshot).hash(&mut hasher);
    (snapshot.phase, &snapshot.last_trace, snapshot.output_bytes).hash(&mut hasher);
    hasher.finish()
}
