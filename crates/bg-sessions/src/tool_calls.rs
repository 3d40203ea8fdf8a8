//! The tool calls of one reply.

use std::pin::pin;
use std::time::Duration;

use bg_core::{Failure, Output, Task, TaskResult, text};
use bg_tools::{Called, Claims, ToolContext, ToolError, ToolOutput, Toolbox};
use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::stream::{self, StreamExt};
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use crate::error::RunError;
use crate::history::Answer;
use crate::hooks::Courier;
use crate::message::{ToolCall, ToolResult};
use crate::runner::interrupt::Interrupts;
use crate::runner::report::Reports;

/// Most calls of one reply that are under way at the same time.
const MAX_CONCURRENT_CALLS: usize = 8;

/// How long a call keeps its conversation waiting, if its tool does not say how long it takes. After
/// that it goes on in the background, up to its deadline.
const YIELD_AFTER: Duration = Duration::from_secs(60);

/// Longest trace line of a call, in bytes.
const MAX_LINE_BYTES: usize = 80;

/// Longest prompt of the task of a call: its arguments, in bytes.
const MAX_PROMPT_BYTES: usize = 1000;

/// What a call answered, and what the answer delivers.
type Answered = (Answer, Claims);

/// What calls are made with.
#[derive(Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) tools: &'a Toolbox,
    pub(crate) tool_cx: &'a ToolContext,
    pub(crate) reports: &'a Reports,
    pub(crate) courier: &'a Courier,
}

/// What the calls of a reply came to.
pub(crate) struct AllCalled {
    /// In the order of the calls, one for each.
    pub(crate) answers: Vec<Answer>,
    /// What the answers deliver.
    pub(crate) claims: Vec<Claims>,
    /// Why some calls have no answer of their own.
    pub(crate) interrupted: Option<RunError>,
}

impl Calls<'_> {
    /// Runs calls, some at the same time, until all have answered or an interrupt comes. Then those
    /// that have not are stopped, and answered for.
    ///
    /// # Cancel safety
    ///
    /// Outcomes that were claimed for an answer are given back, and calls stopped.
    pub(crate) async fn run(self, calls: &[ToolCall], interrupts: &Interrupts) -> AllCalled {
        let one = |(number, call)| async move { (number, self.call(call).await) }.boxed();
        let running: Vec<BoxFuture<'_, _>> = calls.iter().enumerate().map(one).collect();
        // Not `buffered`: there, an answer that waits for its turn takes up a place.
        let mut running = stream::iter(running).buffer_unordered(MAX_CONCURRENT_CALLS);
        let mut answered: Vec<Option<Answered>> = calls.iter().map(|_| None).collect();
        let mut interrupt = pin!(interrupts.next());
        let interrupted = loop {
            match select(interrupt.as_mut(), running.next()).await {
                Either::Left((interrupt, _)) => break Some(interrupt),
                Either::Right((Some((number, answer)), _)) => answered[number] = Some(answer),
                Either::Right((None, _)) => break None,
            }
        };
        drop(running);
        collect(answered, interrupted)
    }

    async fn call(self, call: &ToolCall) -> Answered {
        let name = text::prefix(&call.name, MAX_LINE_BYTES / 2);
        self.reports.trace(&line(&format!("{} {}", call.name, call.args)));
        self.courier.tool_start(call);
        let span = info_span!(
            "execute_tool",
            "otel.name" = format!("execute_tool {name}"),
            "gen_ai.operation.name" = "execute_tool",
            "gen_ai.tool.name" = name,
            "gen_ai.tool.call.id" = text::prefix(&call.id, MAX_LINE_BYTES),
            "error.type" = Empty,
        );
        let answered = self.foreground(call).instrument(span.clone()).await;
        let Answer { output, success } = &answered.0;
        if !success {
            let failed = line(&format!("{name} failed: {output}"));
            span.record("error.type", &*failed);
            self.reports.trace(&failed);
        }
        if !self.courier.is_silent() {
            self.courier.tool_end(call, &ToolResult::new(call, output.as_str(), *success));
        }
        answered
    }

    /// Waits for a call, and makes a background task of one that takes too long. Tools that say how
    /// long they take are waited for that long; they put long work into the background themselves.
    async fn foreground(self, call: &ToolCall) -> Answered {
        let mut calling = self.begin(call.clone());
        if self.tools.deadline_of(&call.name).is_some() {
            return answered(calling.await);
        }
        match tokio::time::timeout(YIELD_AFTER, &mut calling).await {
            Ok(called) => answered(called),
            Err(_) => of_result(self.detach(call, calling)),
        }
    }

    /// The call as a future of its own, which can be moved.
    fn begin(self, call: ToolCall) -> BoxFuture<'static, Called> {
        let (tools, mut cx) = (self.tools.clone(), self.tool_cx.clone());
        if !self.courier.is_silent() {
            let (courier, call) = (self.courier.clone(), call.clone());
            cx = cx.with_progress(move |text| courier.tool_progress(&call, text));
        }
        async move { tools.call(&cx, &call.name, &call.args).await }.boxed()
    }

    /// Goes on with a call in a task. It takes no slot: it is under way already.
    fn detach(
        self,
        call: &ToolCall,
        calling: BoxFuture<'static, Called>,
    ) -> Result<ToolOutput, ToolError> {
        let scope = self.tool_cx.scope();
        let task = Task::new(call.name.clone(), text::excerpt(&call.args, MAX_PROMPT_BYTES));
        let id = scope.spawn(task.foreground(), |_| calling.map(outcome))?;
        scope.detach(id)?;
        self.tool_cx.background(id)
    }
}

/// What is left of a call for whom nobody waits any more.
fn outcome(called: Called) -> TaskResult {
    called.claims.ack();
    match called.result {
        Ok(output) => Ok(Output::text(output.text)),
        Err(error) => Err(Failure::new(error.to_text())),
    }
}

fn answered(called: Called) -> Answered {
    let wire = called.to_wire();
    (Answer { output: wire.output, success: wire.success }, called.claims)
}

fn of_result(result: Result<ToolOutput, ToolError>) -> Answered {
    let answer = match result {
        Ok(output) => Answer { output: output.text, success: true },
        Err(error) => Answer { output: error.to_text(), success: false },
    };
    (answer, Claims::default())
}

/// Puts answers together, and answers for calls that were stopped.
fn collect(answered: Vec<Option<Answered>>, interrupted: Option<RunError>) -> AllCalled {
    let stopped = || {
        let output = "interrupted before it had answered; it may have had effects".to_owned();
        (Answer { output, success: false }, Claims::default())
    };
    let answered = answered.into_iter().map(|answer| answer.unwrap_or_else(stopped));
    let (answers, claims) = answered.unzip();
    AllCalled { answers, claims, interrupted }
}

/// Makes a short line of foreign text.
fn line(foreign: &str) -> String {
    // Cut first: the text may be a megabyte.
    let short = text::cut(foreign.to_owned(), MAX_LINE_BYTES);
    short.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
