//! What is told of everything that happens: when, who, what.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

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

/// What happened to a task.
pub(crate) struct Happened {
    pub(crate) task: TaskId,
    pub(crate) label: String,
    pub(crate) what: String,
    /// How long after its start.
    pub(crate) age: Duration,
    pub(crate) is_over: bool,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, label, what, age, .. } = self;
        write!(f, "{:>10}  {:<10} {label}: {what}", time(*age), task.to_string())
    }
}

impl Live {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { known: BTreeMap::new(), secret }
    }

    /// Makes a task known, so that it has a name even when the event of its start is missed.
    pub(crate) fn meet(&mut self, id: TaskId, label: &str) {
        self.known.insert(id, Known { label: short(label), since: Instant::now() });
    }

    /// Puts an event into words, if it is worth them.
    pub(crate) fn told(&mut self, event: &Event) -> Option<Happened> {
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
        let label = known.map_or_else(String::new, |known| known.label.clone());
        let is_over = matches!(event.what, EventKind::Status(status) if status.is_terminal());
        Some(Happened { task: event.task, label, what, age, is_over })
    }
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().to_owned();
    one_line(&bg_agents::core::text::cut(line, MAX_TRACE_BYTES))
}
