//! A call that nobody waits for any more: what it has started goes on in the background.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bg_core::{Output, Registry, Scope, Task, TaskId};
use bg_tools::{Tool, ToolContext, ToolDefinition, ToolError, ToolOutput, Toolbox};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

#[derive(schemars::JsonSchema)]
struct Args {}

/// Waits for a task of its own for an hour.
struct Slow(Scope);

#[async_trait]
impl Tool for Slow {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::of::<Args>("Slow", "Takes its time.")
    }

    async fn call(&self, cx: &ToolContext, _: Value) -> Result<ToolOutput, ToolError> {
        let id = self.0.spawn(Task::new("slow", "").foreground(), |_| async {
            tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.ok();
            Ok(Output::text("done"))
        })?;
        cx.foreground(id, Duration::from_secs(3600)).await
    }

    fn deadline(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_call_answers_at_once_and_its_task_goes_on() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let toolbox = Toolbox::new().with(Slow(root.clone())).unwrap();
    let (release, heard) = (CancellationToken::new(), Arc::new(Mutex::new(None::<TaskId>)));
    let (notes, at_start) = (heard.clone(), release.clone());
    let cx = ToolContext::new(root.clone()).with_release(release).with_started(move |task| {
        *notes.lock() = Some(task);
        at_start.cancel();
    });
    let before = tokio::time::Instant::now();
    let wire = toolbox.call(&cx, "Slow", "{}").await.into_wire();
    assert!(wire.output.contains("goes on in the background"), "{}", wire.output);
    assert_eq!(before.elapsed(), Duration::ZERO);
    let done = root.inbox().next().await.unwrap().ack();
    assert_eq!((Some(done.id), done.outcome.is_success()), (*heard.lock(), true));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_releases_delivers() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let toolbox = Toolbox::new().with(Slow(root.clone())).unwrap();
    let cx = ToolContext::new(root.clone());
    let wire = toolbox.call(&cx, "Slow", "{}").await.into_wire();
    assert!(wire.output.contains("done"), "{}", wire.output);
    assert!(root.inbox().is_empty());
}
