//! One sequence against one run, and what is wrong with it.

use std::sync::Arc;

use bg_core::{EventKind, Events, Finished, Outcome, Output, Registry, Scope, Task, TaskId, Usage};
use bg_sessions::{Agents, ModelRequest, Recorded, RunOptions, TurnsModel};
use bg_tools::{Tool, ToolOutput, parse_outcomes};
use futures_util::FutureExt;
use tokio::time::Instant;

use super::behaviour::{Behaviour, CHILD_COST, PANIC};
use super::common::{
    AGENT, agents_with_cap, echo, pause, settle, texts, tokens, tool, toolbox, turns,
};
use super::reference::{
    Asked, CHILD, DEADLINE, End, Expected, Left, Reference, STEP_CAP, brief, most_requests,
};

/// Two large turns are past the size at which a summary is due, and three do not fit.
pub(crate) const WINDOW: u64 = 4000;

/// What a run was, for counting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Played {
    pub(crate) requests: usize,
    pub(crate) summaries: usize,
    /// Whether each behaviour of the sequence was met.
    pub(crate) is_used_up: bool,
}

/// The agents of all runs of a thread. Each run has a model of its own.
pub(crate) fn host() -> Agents {
    agents_with_cap(turns([]), toolbox([echo(), start()]), STEP_CAP)
}

/// Starts background work that costs something.
fn start() -> Arc<dyn Tool> {
    tool("Start", async |cx, _| {
        let id = cx.scope().spawn(Task::new("child", ""), |_| async {
            pause(CHILD.as_millis().try_into().unwrap()).await;
            let mut usage = Usage::default();
            usage.output_tokens = CHILD_COST;
            Ok(Output::text("found").with_usage(usage))
        })?;
        Ok(ToolOutput::text(id.to_string()))
    })
}

/// Plays a sequence. What follows on it are plain answers, more than any run may ask for.
pub(crate) async fn play(agents: &Agents, sequence: &[Behaviour]) -> Result<Played, String> {
    let behaviours = || sequence.iter().copied().chain(std::iter::repeat(Behaviour::Ends));
    let most = most_requests(sequence.len());
    let turns = behaviours().take(most).enumerate().map(|(place, one)| one.turn(place));
    let model = Recorded::new(TurnsModel::new(turns).with_context_window(WINDOW));
    let registry = Registry::new();
    let (root, mut events) = (registry.root_scope(), registry.events());
    let begin = Instant::now();
    let options = RunOptions::default().with_model(model.clone());
    let id = agents.spawn(&root, AGENT, "go", options).map_err(|error| error.to_string())?;
    let finished = end_of(&root, id).await?;
    let time = begin.elapsed();
    settle().await;
    nothing_is_left(&registry, &root, id, &mut events)?;
    let requests = model.requests();
    requests_are_sound(&requests, most)?;
    let asked: Vec<Asked> = requests.iter().map(asked).collect();
    let seen = seen(&finished, asked.len(), time);
    let expected = Reference::new(behaviours(), &asked).walk();
    let expected = expected.map_err(|wrong| format!("{wrong}; seen: {seen:?}, {asked:?}"))?;
    if seen != expected {
        return Err(format!("expected {expected:?}\nseen     {seen:?}\n{asked:?}"));
    }
    Ok(Played {
        requests: asked.len(),
        summaries: asked.iter().filter(|asked| asked.is_summary).count(),
        is_used_up: asked.len() >= sequence.len(),
    })
}

/// Waits for the end; past the deadline the run is stopped, which has to end it.
async fn end_of(root: &Scope, id: TaskId) -> Result<Arc<Finished>, String> {
    let wait = || root.wait([id]).timeout(DEADLINE);
    let ended = async |wait: bg_core::Wait| {
        wait.await.map(|waited| waited.ended).map_err(|error| error.to_string())
    };
    if let Some(finished) = ended(wait()).await?.pop() {
        return Ok(finished);
    }
    root.cancel(id, "the deadline").map_err(|error| error.to_string())?;
    // No time may pass from here on; what does is seen in the time that the run took.
    ended(wait()).await?.pop().ok_or_else(|| "the run did not heed its stop".to_owned())
}

/// One outcome, once; no task, no claim, no byte of anything is left.
fn nothing_is_left(
    registry: &Registry,
    root: &Scope,
    id: TaskId,
    events: &mut Events,
) -> Result<(), String> {
    let mut ends = 0;
    while let Some(Some(event)) = events.next().now_or_never() {
        let event = event.map_err(|lagged| lagged.to_string())?;
        let is_end = matches!(event.what, EventKind::Status(status) if status.is_terminal());
        ends += usize::from(event.task == id && is_end);
    }
    let claimed: Vec<TaskId> = root.inbox().drain().map(|finished| finished.id).collect();
    let stats = registry.admin().stats();
    let left = (stats.live, stats.undelivered, stats.undelivered_bytes, root.snapshot().len());
    if ends != 1 || claimed != [id] || left != (0, 0, 0, 0) {
        return Err(format!("{ends} ends, claimed {claimed:?}, left {left:?}"));
    }
    Ok(())
}

/// What the recorder does not check: requests are bounded and fit the window, and summaries are asked
/// for without tools.
fn requests_are_sound(requests: &[ModelRequest], most: usize) -> Result<(), String> {
    if requests.len() >= most {
        return Err(format!("{} requests, and {most} are too many", requests.len()));
    }
    let wrong = requests.iter().position(|request| {
        tokens(request) > WINDOW || is_summary(request) && !request.tools.is_empty()
    });
    wrong.map_or(Ok(()), |place| Err(format!("request {place}: {:?}", requests[place])))
}

pub(crate) fn is_summary(request: &ModelRequest) -> bool {
    &*request.instructions != "Work."
}

fn asked(request: &ModelRequest) -> Asked {
    let told = texts(request).last().map_or(0, |text| parse_outcomes(text).len());
    Asked { is_summary: is_summary(request), told }
}

/// What a run came to, in the words of the reference.
fn seen(finished: &Finished, requests: usize, time: std::time::Duration) -> Expected {
    let (end, output) = match &finished.outcome {
        Outcome::Completed(output) => (End::Completed, Some(output)),
        Outcome::Failed(failure) => (End::Failed(failure.to_string()), failure.partial.as_deref()),
        Outcome::Cancelled(cancelled) => {
            let partial = cancelled.error.as_ref().and_then(|error| error.partial.as_deref());
            (End::Cancelled, partial)
        }
        Outcome::Panicked(report) if report.message == PANIC => (End::Panicked, None),
        other => (End::Failed(format!("{other:?}")), None),
    };
    let left = output.map(|output| Left {
        text: brief(&output.text),
        output_tokens: output.usage().output_tokens,
        requests: output.usage().requests,
        tool_calls: output.usage().tool_calls,
    });
    Expected { end, requests, steps: finished.steps(), time, left }
}
