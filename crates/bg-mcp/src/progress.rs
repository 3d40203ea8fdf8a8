//! Progress of a call: what happens to the tasks that it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bg_agents::core::{Event, EventKind, Events, Phase, Snapshot, text};
use bg_agents::{Scope, TaskId, ToolContext};
use parking_lot::Mutex;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long after a notification the next one comes, however much happens.
const PAUSE: Duration = Duration::from_millis(250);

/// How long nothing can happen before that is said: less than the patience of any known client.
const SILENCE: Duration = Duration::from_secs(10);

/// How many words of a tool may wait to be sent; what is more is not said.
const MAX_WAITING: usize = 16;

/// Tells a client how far its call is, while it waits.
pub(crate) struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    events: Events,
    scope: Scope,
    followed: Followed,
    words: mpsc::Receiver<String>,
    began: Instant,
    told: u32,
}

/// The tasks that a call waits for.
#[derive(Clone, Default)]
pub(crate) struct Followed(Arc<Mutex<BTreeSet<TaskId>>>);

impl Followed {
    /// Most tasks that one line tells of.
    const MAX_SHOWN: usize = 8;

    /// Adds what a call says that it has started.
    pub(crate) fn heard_by(&self, cx: ToolContext) -> ToolContext {
        let started = self.clone();
        cx.with_started(move |task| {
            started.0.lock().insert(task);
        })
    }

    /// Adds the caller's tasks that arguments name, however a model has written that.
    pub(crate) fn add_named(&self, args: &Value, scope: &Scope) {
        let many = args.get("task_ids").and_then(Value::as_array);
        let all = args.get("task_id").into_iter().chain(many.into_iter().flatten());
        let found = all.filter_map(|id| match id {
            Value::String(text) => scope.resolve(text).ok(),
            Value::Number(number) => scope.resolve(&number.to_string()).ok(),
            _ => None,
        });
        let found: Vec<TaskId> = found.collect();
        self.0.lock().extend(found);
    }

    /// Says what the tasks are doing; `None` if there are none.
    pub(crate) fn doing(&self, scope: &Scope) -> Option<String> {
        let tasks = self.0.lock().clone();
        let lines = tasks.into_iter().filter_map(|task| scope.inspect(task).ok());
        let lines: Vec<String> = lines.take(Self::MAX_SHOWN).map(|task| doing(&task)).collect();
        let text = text::excerpt(&lines.join("; "), ToolContext::MAX_PROGRESS_BYTES);
        (!text.is_empty()).then_some(text)
    }

    fn has(&self, task: TaskId) -> bool {
        self.0.lock().contains(&task)
    }
}

impl Progress {
    /// Begins to follow; returns the context that the call is to be made with.
    pub(crate) fn new(
        (peer, token): (Peer<RoleServer>, ProgressToken),
        events: Events,
        cx: ToolContext,
        followed: Followed,
    ) -> (Self, ToolContext) {
        let (said, words) = mpsc::channel(MAX_WAITING);
        let (scope, began) = (cx.scope().clone(), Instant::now());
        let cx = cx.with_progress(move |text| {
            // What does not fit was overtaken.
            let _ = said.try_send(text.to_owned());
        });
        (Self { peer, token, events, scope, followed, words, began, told: 0 }, cx)
    }

    /// Tells until it is dropped, or nobody can hear it any more.
    pub(crate) async fn tell(mut self) {
        let mut news = self.followed.doing(&self.scope);
        let mut next = Instant::now();
        while self.peer_is_there() {
            let due = if news.is_some() { next } else { next + SILENCE };
            tokio::select! {
                Some(text) = self.words.recv() => news = Some(text),
                event = self.events.next() => match event {
                    Some(Ok(event)) => news = self.news(&event).or(news),
                    // Events were missed: the next one tells.
                    Some(Err(_)) => {}
                    None => return,
                },
                () = tokio::time::sleep_until(due) => {
                    let silence = || format!("{} s", self.began.elapsed().as_secs());
                    let text = news.take().unwrap_or_else(silence);
                    self.send(text).await;
                    next = Instant::now() + PAUSE;
                }
            }
        }
    }

    fn peer_is_there(&self) -> bool {
        !self.peer.is_transport_closed()
    }

    fn news(&self, event: &Event) -> Option<String> {
        let is_ours = event.root == self.scope.root_number() && self.followed.has(event.task);
        is_ours.then(|| what(&event.what)).flatten().map(|what| format!("{}: {what}", event.task))
    }

    async fn send(&mut self, text: String) {
        self.told += 1;
        let text = text::excerpt(&text, ToolContext::MAX_PROGRESS_BYTES);
        let param = ProgressNotificationParam::new(self.token.clone(), f64::from(self.told));
        // A client that has gone is seen at the head of the loop.
        let _ = self.peer.notify_progress(param.with_message(text)).await;
    }
}

/// Says what a task is doing.
fn doing(snapshot: &Snapshot) -> String {
    let mut text = format!("{}: {}", snapshot.id, snapshot.status);
    if snapshot.output_bytes > 0 {
        text.push_str(&format!(", {} bytes of output", snapshot.output_bytes));
    }
    if let Some(line) = &snapshot.last_trace {
        text.push_str(&format!(", {line}"));
    }
    text
}

/// "waiting for model", for example.
fn word(phase: Phase) -> Option<String> {
    let word = serde_json::to_value(phase).ok()?;
    Some(word.as_str()?.replace('_', " "))
}

fn what(event: &EventKind) -> Option<String> {
    match event {
        EventKind::Status(status) => Some(status.to_string()),
        EventKind::Phase { phase } => word(*phase),
        EventKind::Trace { line } => Some(line.clone()),
        EventKind::OutputGrew { total } => Some(format!("{total} bytes of output")),
        EventKind::CancelRequested => Some("is being stopped".to_owned()),
        _ => None,
    }
}
