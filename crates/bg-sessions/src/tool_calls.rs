//! The tool calls of one turn.

use bg_core::{TaskContext, text};
use bg_tools::{Claims, ToolContext, Toolbox};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt};

use crate::history::Answer;
use crate::message::ToolCall;

/// Most calls of one turn that are under way at the same time.
const MAX_CONCURRENT_CALLS: usize = 8;

/// Longest trace line of a call, in bytes.
const MAX_LINE_BYTES: usize = 80;

/// Runs calls, some at the same time. Returns the answers in the order of the calls, and the
/// claims of all of them.
///
/// # Cancel safety
///
/// Outcomes that were claimed for an answer are given back.
pub(crate) async fn call_all(
    tools: &Toolbox,
    tool_cx: &ToolContext,
    cx: &TaskContext,
    calls: &[ToolCall],
) -> (Vec<Answer>, Vec<Claims>) {
    let one =
        |(number, call)| async move { (number, call_one(tools, tool_cx, cx, call).await) }.boxed();
    let running: Vec<BoxFuture<'_, _>> = calls.iter().enumerate().map(one).collect();
    // Not `buffered`: there, an answer that waits for its turn takes up a place.
    let running = stream::iter(running).buffer_unordered(MAX_CONCURRENT_CALLS);
    let mut answered: Vec<(usize, (Answer, Claims))> = running.collect().await;
    answered.sort_unstable_by_key(|(number, _)| *number);
    answered.into_iter().map(|(_, answered)| answered).unzip()
}

async fn call_one(
    tools: &Toolbox,
    tool_cx: &ToolContext,
    cx: &TaskContext,
    call: &ToolCall,
) -> (Answer, Claims) {
    cx.trace(line(&format!("{} {}", call.name, call.args)));
    let called = tools.call(tool_cx, &call.name, &call.args).await;
    let wire = called.to_wire();
    if !wire.success {
        let name = text::prefix(&call.name, MAX_LINE_BYTES / 2);
        cx.trace(line(&format!("{name} failed: {}", wire.output)));
    }
    (Answer { output: wire.output, success: wire.success }, called.claims)
}

/// Makes a short line of foreign text.
fn line(foreign: &str) -> String {
    // Cut first: the text may be a megabyte.
    let short = text::cut(foreign.to_owned(), MAX_LINE_BYTES);
    short.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
