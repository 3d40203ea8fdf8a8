//! The JSON document at the end of a run. Its field names are a contract with scripts.

use bg_agents::core::{Exit, Kind, TaskId};
use serde::Serialize;
use serde_json::Value;

use super::result::{Origin, receipt, status};
use super::sessions::Session;
use super::{Run, Stop, TaskResult};

#[derive(Serialize)]
struct Document<'a> {
    tasks: Vec<Row<'a>>,
    sessions: Vec<SessionRow<'a>>,
    summary: Summary<'a>,
}

/// A session of the plan. What it has said are the outputs of its prompts, each of which is a task.
#[derive(Serialize)]
struct SessionRow<'a> {
    task_id: Option<TaskId>,
    name: &'a str,
    agent: &'a str,
    /// The tasks of its prompts, in their order.
    prompts: &'a [TaskId],
}

#[derive(Serialize)]
struct Row<'a> {
    task_id: TaskId,
    label: &'a str,
    kind: String,
    #[serde(flatten)]
    origin: &'a Origin,
    status: &'static str,
    steps: u32,
    tool_calls: u64,
    input_tokens: u64,
    /// Those of them that the provider had in its cache.
    cached_tokens: u64,
    output_tokens: u64,
    requests: u64,
    elapsed_ms: u128,
    output: &'a str,
    output_bytes: u64,
    /// Bytes of the output that were not kept.
    omitted_bytes: u64,
    prompt: &'a str,
    failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    exit: Option<Exit>,
    /// What a stop did to a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Value>,
    trace: &'a [String],
}

#[derive(Serialize)]
struct Summary<'a> {
    plan: &'a str,
    path: String,
    tasks: usize,
    failed: usize,
    not_started: &'a [String],
    interrupted: bool,
    /// Stopped because as many tokens were spent as may be.
    max_tokens_spent: bool,
    steps: u64,
    tool_calls: u64,
    input_tokens: u64,
    /// Those of them that the provider had in its cache.
    cached_tokens: u64,
    output_tokens: u64,
    requests: u64,
    elapsed_ms: u128,
}

/// Writes the document, on one line.
pub(crate) fn document(run: &Run) -> String {
    let results = &run.watched.results;
    let usage = run.usage();
    let summary = Summary {
        plan: &run.plan,
        path: run.folder.display().to_string(),
        tasks: results.len(),
        failed: run.failed(),
        not_started: &run.watched.not_started,
        interrupted: run.stop() == Some(Stop::Interrupt),
        max_tokens_spent: run.stop() == Some(Stop::Tokens),
        steps: results.iter().map(|result| u64::from(result.finished.steps())).sum(),
        tool_calls: usage.tool_calls,
        input_tokens: usage.input_tokens,
        cached_tokens: usage.cached_tokens,
        output_tokens: usage.output_tokens,
        requests: usage.requests,
        elapsed_ms: run.elapsed.as_millis(),
    };
    let sessions = run.watched.sessions.iter().map(session_row).collect();
    let document = Document { tasks: results.iter().map(row).collect(), sessions, summary };
    // Strings, numbers and lists: there is nothing in it that JSON cannot hold.
    serde_json::to_string(&document).unwrap_or_default()
}

fn session_row((name, session): &(String, Session)) -> SessionRow<'_> {
    let Session { task, agent, prompts, .. } = session;
    SessionRow { task_id: *task, name, agent, prompts }
}

fn row(result: &TaskResult) -> Row<'_> {
    let (finished, usage) = (&result.finished, result.usage());
    let exit = finished.outcome.output().and_then(bg_agents::Output::exit);
    // One that could not be started has the fields too, empty.
    let none = Exit { code: None, signal: None };
    let exit = (finished.id.kind() == Kind::PROCESS).then(|| exit.unwrap_or(none));
    Row {
        task_id: finished.id,
        label: finished.label(),
        kind: finished.id.kind().to_string(),
        origin: &result.origin,
        status: status(finished),
        steps: result.finished.steps(),
        tool_calls: usage.tool_calls,
        input_tokens: usage.input_tokens,
        cached_tokens: usage.cached_tokens,
        output_tokens: usage.output_tokens,
        requests: usage.requests,
        elapsed_ms: finished.elapsed().as_millis(),
        output: &result.output,
        output_bytes: result.bytes,
        omitted_bytes: result.omitted,
        prompt: finished.prompt(),
        failed: result.failed(),
        reason: finished.outcome.reason(),
        exit,
        receipt: receipt(finished),
        trace: finished.trace(),
    }
}
