//! Hooks that misbehave, and runs that end in any way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Output, Usage};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{AgentHook, BoxError, Courier, Hooks, Progress, RunEnd, RunInfo, RunInput};
use crate::message::{ToolCall, ToolResult};
use crate::testing_hooks::{RecordingHook, Told};

mod asked;
mod bounds;
mod ends;
mod faults;

/// What is wrong with a hook.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Panic,
    /// The future panics when it is polled, and when it is dropped too.
    PanicTwice,
    /// The future panics when it is dropped after its end.
    PanicInDrop,
    Hang,
    /// It hangs, and panics when it is dropped for that.
    HangAndPanic,
    Slow,
}

const WAYS: [Way; 6] =
    [Way::Panic, Way::PanicTwice, Way::PanicInDrop, Way::Hang, Way::HangAndPanic, Way::Slow];

const CALLS: [&str; 7] = [
    "on_start",
    "on_progress",
    "on_tool_start",
    "on_tool_progress",
    "on_tool_end",
    "on_compaction",
    "on_end",
];

impl Way {
    async fn go(self) {
        match self {
            Self::Panic => panic!("a hook of a test"),
            Self::PanicTwice => PanicsTwice.await,
            Self::PanicInDrop => drop(PanicsInDrop),
            Self::Hang => std::future::pending().await,
            Self::HangAndPanic => {
                let _bomb = PanicsInDrop;
                std::future::pending::<()>().await;
            }
            Self::Slow => tokio::time::sleep(Hooks::DEADLINE * 9 / 10).await,
        }
    }

    fn is_late(self) -> bool {
        matches!(self, Self::Hang | Self::HangAndPanic)
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("the drop of a test");
    }
}

struct PanicsTwice;

impl Future for PanicsTwice {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        panic!("the poll of a test")
    }
}

/// Misbehaves in one call, and keeps the names of all calls.
#[derive(Clone)]
struct Bad {
    at: &'static str,
    way: Way,
    called: Arc<Mutex<Vec<&'static str>>>,
}

impl Bad {
    fn new(at: &'static str, way: Way) -> Self {
        Self { at, way, called: Arc::default() }
    }

    async fn called(&self, call: &'static str) {
        self.called.lock().push(call);
        if self.at == call {
            self.way.go().await;
        }
    }
}

#[async_trait]
impl AgentHook for Bad {
    async fn before_run(&self, _: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        input.prompt.push_str(", badly");
        self.called("before_run").await;
        Ok(())
    }

    async fn after_run(&self, _: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        output.text.push_str(", badly");
        self.called("after_run").await;
        Ok(())
    }

    async fn on_start(&self, _: &RunInfo) {
        self.called("on_start").await;
    }

    async fn on_progress(&self, _: &RunInfo, _: &Progress) {
        self.called("on_progress").await;
    }

    async fn on_tool_start(&self, _: &RunInfo, _: &ToolCall) {
        self.called("on_tool_start").await;
    }

    async fn on_tool_progress(&self, _: &RunInfo, _: &ToolCall, _: &str) {
        self.called("on_tool_progress").await;
    }

    async fn on_tool_end(&self, _: &RunInfo, _: &ToolCall, _: &ToolResult) {
        self.called("on_tool_end").await;
    }

    async fn on_compaction(&self, _: &RunInfo, _: u64, _: u64) {
        self.called("on_compaction").await;
    }

    async fn on_end(&self, _: &RunInfo, _: &RunEnd, _: u64) {
        self.called("on_end").await;
    }
}

/// Lines of a report.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn courier(&self, hooks: &Hooks) -> Courier {
        let reports = self.0.clone();
        hooks.courier(run(), move |line| reports.lock().push(line))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

fn run() -> RunInfo {
    RunInfo::new("agent:7".parse().unwrap(), "explore")
}

fn courier(hooks: &Hooks) -> Courier {
    Reports::default().courier(hooks)
}

fn call() -> ToolCall {
    ToolCall::new("1", "Read", "{}")
}

fn result() -> ToolResult {
    ToolResult::new(&call(), "a file", true)
}

/// Tells one of each, but for the end.
fn tell_everything(courier: &Courier) {
    courier.start();
    courier.progress("half", 1, Usage::default());
    courier.tool_start(&call());
    courier.tool_progress(&call(), "a third");
    courier.tool_end(&call(), &result());
    courier.compaction(1000, 10);
}

/// What hooks are told of that.
fn everything() -> Vec<Told> {
    vec![
        Told::Start,
        Told::Progress(Progress::new("half", 1, Usage::default())),
        Told::ToolStart(call()),
        Told::ToolProgress(call(), "a third".to_owned()),
        Told::ToolEnd(call(), result()),
        Told::Compaction(1000, 10),
    ]
}

fn everything_until(end: RunEnd) -> Vec<Told> {
    let mut told = everything();
    told.push(Told::End(end, 0));
    told
}

fn completed() -> RunEnd {
    RunEnd::of(&Ok(Output::text("done")), false)
}

/// Waits until an end is told, longer than any hook can take.
async fn end_of(hook: &RecordingHook) {
    let told = tokio::time::timeout(Duration::from_secs(3600), hook.ends(1)).await;
    assert!(told.is_ok(), "no end is told: {:?}", hook.told());
}

/// Lets everything that can run without the clock run.
async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}
