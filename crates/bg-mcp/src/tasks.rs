//! The Tasks extension: calls that answer later.
//!
//! A call that a client may have as a task runs in a root of its own, as a task of the registry; its
//! result is an outcome there, claimed when it was read. What the call starts belongs to the client's
//! root as ever, so the plain tools see it too.
//!
//! # Invariants
//!
//! - K1: an id has 128 random bits, and is looked up in the client's own list.
//! - K2: a result that was not read stays until its time is over; one that was, as long as the registry
//!   keeps it.
//! - K3: the list is looked through whenever it grows, and holds no more than what the registry keeps:
//!   what runs, and a bounded number of outcomes.
//!
//! # Lock order
//!
//! `entries` is a leaf but for the registry's own lock; claims are dropped after it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bg_agents::core::{ClaimError, CloseReport, TaskContext, TaskResult};
use bg_agents::tools::Claims;
use bg_agents::{Claim, Finished, Outcome, Output, Scope, Task, TaskId, ToolContext, Toolbox};
use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, CreateTaskResult, DetailedTask, ErrorCode, ErrorData,
    Task as McpTask, TaskPayload, TaskStatus,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, delivery, released_by, result, with_progress};
use crate::client::Visit;
use crate::delivery::{Delivery, Held};
use crate::limits::MAX_LISTENERS;
use crate::progress::Followed;

/// How long a call may take before it is answered with a task: what is quicker needs none.
const QUICK: Duration = Duration::from_secs(1);

/// How often a client is asked to look.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The calls of a client that went on as tasks.
pub(crate) struct Tasks {
    calls: Scope,
    ttl: Duration,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    /// Places of those who listen for notifications.
    pub(crate) listeners: Semaphore,
}

/// A call that went on.
struct Entry {
    call: TaskId,
    created: SystemTime,
    expires: Instant,
    state: Arc<State>,
}

/// What the call says of itself.
struct State {
    began: SystemTime,
    /// What it has started.
    started: Followed,
    /// What its answer delivers.
    claims: Mutex<Option<Claims>>,
}

impl State {
    fn new() -> Self {
        let (started, claims) = (Followed::default(), Mutex::default());
        Self { began: SystemTime::now(), started, claims }
    }
}

/// The client has cancelled the task.
#[derive(Debug, thiserror::Error)]
#[error("stopped by its client")]
struct Stopped;

/// Returns whether a client takes a task for an answer: it has declared the extension.
pub(crate) fn are_taken(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().is_some_and(|can| can.supports_tasks())
}

/// Makes a call; one that is not quick is answered with a task.
pub(crate) async fn call(
    call: Call,
    visit: &Visit,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let (call, state) = (Arc::new(call), Arc::new(State::new()));
    let made = with_progress(&call, &state.started, visit, context, async |cx| {
        begin(&call, &state, cx, visit, context).await
    });
    let (id, claim) = made.await.map_err(internal)?;
    let Some(claim) = claim else {
        let task = visit.room().tasks.keep(id, state)?;
        return Ok(CallToolResponse::Task(CreateTaskResult::new(task)));
    };
    if let Some(claims) = state.claims.lock().take() {
        delivery(context).put(Held::Claims(claims));
    }
    match payload(&claim.ack()) {
        TaskPayload::Completed { result } => {
            let result: CallToolResult =
                serde_json::from_value(Value::Object(result)).map_err(internal)?;
            Ok(result.into())
        }
        _ => Err(internal("the call was stopped")),
    }
}

/// Makes a call as a task of the registry, and waits for it as long as a quick one takes.
async fn begin(
    call: &Arc<Call>,
    state: &Arc<State>,
    cx: ToolContext,
    visit: &Visit,
    context: &RequestContext<RoleServer>,
) -> Result<(TaskId, Option<Claim>), Box<dyn std::error::Error + Send + Sync>> {
    let release = CancellationToken::new();
    let cx = state.started.heard_by(released_by(cx, &release));
    // Not the host: a task that holds the registry would keep it alive.
    let toolbox = visit.host().background.toolbox().clone();
    let (call, state) = (call.clone(), state.clone());
    let calls = &visit.room().tasks.calls;
    // Its time is over whether or not anybody asks for it.
    let deadline = QUICK + visit.room().tasks.ttl;
    let task = Task::new("call", call.tool.clone()).foreground().deadline(deadline);
    let id =
        calls.spawn(task, |task| async move { run(&toolbox, &call, &cx, &state, task).await })?;
    let mut quick = pin!(calls.foreground(id)?.within(QUICK));
    let claim = tokio::select! {
        claim = &mut quick => claim?,
        // Nobody would hear of a task: the call ends as a plain one does.
        () = context.ct.cancelled() => {
            release.cancel();
            quick.await?
        }
    };
    Ok((id, claim))
}

async fn run(
    toolbox: &Toolbox,
    call: &Call,
    cx: &ToolContext,
    state: &State,
    task: TaskContext,
) -> TaskResult {
    let token = task.token();
    let called = tokio::select! {
        called = call.run(toolbox, cx) => called,
        // What it waits for in the foreground ends with it.
        () = token.cancelled() => return Err(Stopped.into()),
    };
    let wire = called.to_wire();
    *state.claims.lock() = Some(called.claims);
    Ok(Output::default().with_data(serde_json::to_value(result(wire))?))
}

impl Tasks {
    pub(crate) fn new(calls: Scope, ttl: Duration) -> Self {
        let listeners = Semaphore::new(MAX_LISTENERS);
        Self { calls, ttl, entries: Mutex::default(), listeners }
    }

    pub(crate) async fn close(&self, grace: Duration) -> CloseReport {
        self.calls.close(grace).await
    }

    /// Keeps a call that goes on, under a new id.
    fn keep(&self, call: TaskId, state: Arc<State>) -> Result<McpTask, ErrorData> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(internal)?;
        let id = bytes.map(|byte| format!("{byte:02x}")).concat();
        let (created, expires) = (SystemTime::now(), Instant::now() + self.ttl);
        let entry = Arc::new(Entry { call, created, expires, state });
        self.sweep();
        self.entries.lock().insert(id.clone(), entry.clone());
        Ok(self.shown(&id, &entry, TaskStatus::Working, created))
    }

    /// Forgets what the registry does not keep, and what is over.
    fn sweep(&self) {
        let now = Instant::now();
        let mut ended = Vec::new();
        self.entries.lock().retain(|_, entry| match self.calls.outcome(entry.call) {
            Ok(_) if entry.expires <= now => {
                ended.push(entry.clone());
                false
            }
            // What runs ends by its deadline, and is forgotten after that.
            Ok(_) | Err(ClaimError::NotEnded { .. }) => true,
            Err(_) => false,
        });
        for entry in ended {
            // What nobody has read is given back to the root that it came from.
            if let Ok(claim) = self.calls.claim(entry.call) {
                drop(claim.ack());
            }
        }
    }

    /// Returns an error unless the client has such a task.
    pub(crate) fn has(&self, id: &str) -> Result<(), ErrorData> {
        self.find(id).map(|_| ())
    }

    /// Completes when a task has ended, or is not kept any more.
    pub(crate) async fn ended(&self, id: &str) {
        if let Ok(entry) = self.find(id) {
            // An error says that it has gone.
            let _ = self.calls.wait([entry.call]).await;
        }
    }

    fn find(&self, id: &str) -> Result<Arc<Entry>, ErrorData> {
        let unknown = || ErrorData::invalid_params("there is no such task", None);
        let entry = self.entries.lock().get(id).cloned().ok_or_else(unknown)?;
        if entry.expires <= Instant::now() {
            self.sweep();
            return Err(unknown());
        }
        Ok(entry)
    }

    /// Shows a task; one that has ended with its result, which counts as read when the answer was
    /// written.
    pub(crate) fn get(
        &self,
        id: &str,
        scope: &Scope,
        delivery: &Delivery,
    ) -> Result<DetailedTask, ErrorData> {
        let entry = self.find(id)?;
        let finished = match self.calls.outcome(entry.call) {
            Ok(finished) => finished,
            Err(ClaimError::NotEnded { .. }) => {
                let task = self.shown(id, &entry, TaskStatus::Working, SystemTime::now());
                let task = with_message(task, entry.state.started.doing(scope));
                return Ok(DetailedTask::new(task, TaskPayload::Working));
            }
            Err(_) => return Err(ErrorData::invalid_params("there is no such task", None)),
        };
        if let Ok(claim) = self.calls.claim(entry.call) {
            delivery.put(Held::Outcome(claim));
        }
        if let Some(claims) = entry.state.claims.lock().take() {
            delivery.put(Held::Claims(claims));
        }
        let payload = payload(&finished);
        let ended = entry.state.began + finished.elapsed();
        let task = self.shown(id, &entry, payload.status(), ended);
        Ok(DetailedTask::new(with_message(task, finished.outcome.reason()), payload))
    }

    /// Stops a call and what it waits for.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), ErrorData> {
        let entry = self.find(id)?;
        self.calls.cancel(entry.call, "stopped by its client").map_err(internal)?;
        Ok(())
    }

    fn shown(&self, id: &str, entry: &Entry, status: TaskStatus, updated: SystemTime) -> McpTask {
        McpTask::new(id, status, time(entry.created), time(updated))
            .with_ttl_ms(millis(self.ttl))
            .with_poll_interval_ms(millis(POLL_INTERVAL))
    }
}

fn with_message(task: McpTask, message: Option<String>) -> McpTask {
    match message {
        Some(message) => task.with_status_message(message),
        None => task,
    }
}

fn payload(finished: &Finished) -> TaskPayload {
    match &finished.outcome {
        Outcome::Completed(output) => {
            let result = output.data().and_then(Value::as_object).cloned();
            TaskPayload::Completed { result: result.unwrap_or_default() }
        }
        Outcome::Cancelled(_) => TaskPayload::Cancelled,
        other => {
            let message = other.reason().unwrap_or_default();
            let error = json!({"code": ErrorCode::INTERNAL_ERROR.0, "message": message});
            TaskPayload::Failed { error: error.as_object().cloned().unwrap_or_default() }
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn internal(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
