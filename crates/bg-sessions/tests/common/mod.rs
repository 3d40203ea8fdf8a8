//! What the tests of runs have in common.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Finished, Output, Scope, Task, TaskId};
use bg_sessions::{
    AgentSpec, Agents, Model, ModelReply, ModelRequest, Models, Part, Recorded, RunOptions,
    ScriptModel, ToolCall, ToolResult, Turn, TurnsModel,
};
use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;

pub(crate) const AGENT: &str = "worker";

pub(crate) type Answer = Result<ToolOutput, ToolError>;
type Call = dyn Fn(ToolContext, Value) -> BoxFuture<'static, Answer> + Send + Sync;

/// A tool made of a closure.
pub(crate) struct FnTool {
    name: &'static str,
    call: Box<Call>,
}

#[derive(schemars::JsonSchema)]
struct Anything {}

#[async_trait]
impl Tool for FnTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Anything>(self.name, "For a test.")
    }

    async fn call(&self, cx: &ToolContext, args: Value) -> Answer {
        (self.call)(cx.clone(), args).await
    }
}

pub(crate) fn tool<Fut>(
    name: &'static str,
    call: impl Fn(ToolContext, Value) -> Fut + Send + Sync + 'static,
) -> Arc<dyn Tool>
where
    Fut: Future<Output = Answer> + Send + 'static,
{
    let call: Box<Call> = Box::new(move |cx, args| call(cx, args).boxed());
    Arc::new(FnTool { name, call })
}

/// Answers with its argument `text`.
pub(crate) fn echo() -> Arc<dyn Tool> {
    tool("Echo", async |_, args| Ok(ToolOutput::text(args["text"].as_str().unwrap_or_default())))
}

/// Answers with its argument `text` after `ms` milliseconds.
pub(crate) fn slow_echo() -> Arc<dyn Tool> {
    tool("SlowEcho", async |_, args| {
        pause(args["ms"].as_u64().unwrap_or_default()).await;
        Ok(ToolOutput::text(args["text"].as_str().unwrap_or_default()))
    })
}

/// Does not answer.
pub(crate) fn hang() -> Arc<dyn Tool> {
    tool("Hang", async |_, _| std::future::pending().await)
}

/// Starts a background task that ends after `ms` milliseconds with its argument `text`.
pub(crate) fn start() -> Arc<dyn Tool> {
    tool("Start", async |cx, args| {
        let text = args["text"].as_str().unwrap_or_default().to_owned();
        let ms = args["ms"].as_u64().unwrap_or_default();
        let id = cx.scope().spawn(Task::new("child", ""), move |_| async move {
            pause(ms).await;
            Ok(Output::text(text))
        })?;
        Ok(ToolOutput::text(id.to_string()))
    })
}

pub(crate) async fn pause(ms: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(ms), std::future::pending::<()>()).await;
}

/// Waits until everything that can run now has run.
pub(crate) async fn settle() {
    pause(1).await;
}

pub(crate) fn toolbox(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Toolbox {
    Toolbox::new().with_all(tools).unwrap()
}

/// One agent with all tools of a toolbox.
pub(crate) fn agents(model: impl Model, toolbox: Toolbox) -> Agents {
    let spec = worker(&toolbox);
    Agents::builder(Models::new("test", model)).toolbox(toolbox).agent(spec).build().unwrap()
}

pub(crate) fn agents_with_cap(model: impl Model, toolbox: Toolbox, cap: u32) -> Agents {
    let spec = worker(&toolbox).with_step_cap(NonZeroU32::new(cap).unwrap());
    Agents::builder(Models::new("test", model)).toolbox(toolbox).agent(spec).build().unwrap()
}

pub(crate) fn worker(toolbox: &Toolbox) -> AgentSpec {
    AgentSpec::new(AGENT).with_instructions("Work.").with_tools(toolbox.names())
}

pub(crate) fn turns(turns: impl IntoIterator<Item = Turn>) -> Recorded<TurnsModel> {
    Recorded::new(TurnsModel::new(turns))
}

pub(crate) fn script(text: &str) -> Recorded<ScriptModel> {
    Recorded::new(ScriptModel::new(text.parse().unwrap()))
}

pub(crate) fn start_worker(agents: &Agents, root: &Scope) -> TaskId {
    agents.spawn(root, AGENT, "go", RunOptions::default()).unwrap()
}

/// Waits for a task; claims nothing.
pub(crate) async fn end_of(root: &Scope, id: TaskId) -> Arc<Finished> {
    root.wait([id]).await.unwrap().ended.remove(0)
}

/// Runs a model in an agent with these tools to its end.
pub(crate) async fn run(root: &Scope, model: impl Model, toolbox: Toolbox) -> Arc<Finished> {
    agents(model, toolbox).run(root, AGENT, "go").await.unwrap()
}

#[track_caller]
pub(crate) fn completed(finished: &Finished) -> &Output {
    match &finished.outcome {
        bg_core::Outcome::Completed(output) => output,
        other => panic!("not completed: {other:?}"),
    }
}

/// The results that the last message of a request brings.
pub(crate) fn results(request: &ModelRequest) -> Vec<ToolResult> {
    let last = request.messages.last().into_iter().flat_map(|message| &message.parts);
    last.filter_map(Part::as_tool_result).cloned().collect()
}

/// The texts of the last message of a request.
pub(crate) fn texts(request: &ModelRequest) -> Vec<String> {
    let last = request.messages.last().into_iter().flat_map(|message| &message.parts);
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    };
    last.filter_map(text).collect()
}

/// Answers with as many bytes of text as its argument `bytes` says, however many.
pub(crate) fn blob() -> Arc<dyn Tool> {
    tool("Blob", async |_, args| {
        let bytes = args["bytes"].as_u64().unwrap_or_default();
        Ok(ToolOutput::text("x".repeat(bytes.try_into().unwrap())))
    })
}

pub(crate) fn blob_call(bytes: u64) -> Turn {
    let call = ToolCall::new("b", "Blob", format!("{{\"bytes\": {bytes}}}"));
    Turn::Reply(ModelReply::call([call]))
}

/// The texts of the first message of a request.
pub(crate) fn first_texts(request: &ModelRequest) -> Vec<String> {
    let parts = request.messages.first().into_iter().flat_map(|message| &message.parts);
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    };
    parts.filter_map(text).collect()
}

fn tokens_of(text: &str) -> u64 {
    let tokens = text.len().div_ceil(4).max(text.chars().count().div_ceil(2));
    tokens.try_into().unwrap()
}

/// The size of a request, by the estimate that the crate documents.
pub(crate) fn tokens(request: &ModelRequest) -> u64 {
    let tools = request.tools.iter().flat_map(|tool| {
        [tool.name.clone(), tool.description.clone(), tool.parameters.to_string()]
    });
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    let parts = parts.flat_map(|part| match part {
        Part::Text(text) => vec![text.clone()],
        Part::Thinking(thinking) => vec![thinking.text.clone()],
        Part::ToolCall(call) => vec![call.id.clone(), call.name.clone(), call.args.clone()],
        Part::ToolResult(result) => {
            vec![result.call_id.clone(), result.name.clone(), result.output.clone()]
        }
        other => panic!("a part of another kind: {other:?}"),
    });
    let texts = [request.instructions.to_string()].into_iter().chain(tools).chain(parts);
    texts.map(|text| tokens_of(&text)).sum()
}
