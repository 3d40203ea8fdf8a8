//! One line for everything that happens: when, who, what.

use std::collections::BTreeMap;
use std::time::Instant;

use bg_agents::core::{Event, EventKind, Kind, Status, TaskId};
use bg_agents::tools::status_word;

use super::screen::{one_line, time};
use crate::secret::Secret;

/// Longest line of a trace that is shown, in bytes.
const MAX_TRACE_BYTES: usize = 100;

/// Who is who, and since when.
pub(crate) struct Live {
    known: BTreeMap<TaskId, Known>,
    secret: Secret,
}

struct Known {
    label: String,
    since: Instant,
}

impl Live {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { known: BTreeMap::new(), secret }
    }

    /// Makes a task known, so that it has a name even when the event of its start is missed.
    pub(crate) fn meet(&mut self, id: TaskId, label: &str) {
        self.known.insert(id, Known { label: short(label), since: Instant::now() });
    }

    /// Puts an event into a line, if it is worth one.
    pub(crate) fn line(&mut self, event: &Event) -> Option<String> {
        let is_session = event.task.kind() == Kind::SESSION;
        let what = match &event.what {
            EventKind::Spawned { label, owner } => {
                if !self.known.contains_key(&event.task) {
                    self.meet(event.task, label);
                }
                owner.map_or("started".to_owned(), |owner| format!("started by {owner}"))
            }
            EventKind::Status(Status::Running { step: 0 }) => return None,
            // Its steps are those of its prompts. It is stopped when it is not needed any more, which
            // is how it is meant to end.
            EventKind::Status(Status::Running { .. }) | EventKind::CancelRequested
                if is_session =>
            {
                return None;
            }
            EventKind::Status(Status::Cancelled | Status::Completed) if is_session => {
                "over".to_owned()
            }
            EventKind::Status(status) if status.is_terminal() => {
                status_word(event.task.kind(), *status).to_owned()
            }
            EventKind::Status(status) => status.to_string(),
            // Before it is cut: half a key is a secret too.
            EventKind::Trace { line } => short(&self.secret.hidden_in(line)),
            EventKind::CancelRequested => "stopping".to_owned(),
            _ => return None,
        };
        let known = self.known.get(&event.task);
        let age = known.map(|known| known.since.elapsed()).unwrap_or_default();
        let label = known.map_or("", |known| &known.label);
        Some(format!("{:>10}  {:<10} {label}: {what}", time(age), event.task.to_string()))
    }
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().to_owned();
    one_line(&bg_agents::core::text::cut(line, MAX_TRACE_BYTES))
}
