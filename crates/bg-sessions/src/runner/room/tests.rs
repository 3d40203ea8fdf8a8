#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bg_core::{Output, Registry, Task, TaskContext};
use bg_tools::Toolbox;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::compaction::{CompactionSpec, Need, is_summary_request};
use crate::history::{Answer, is_answered};
use crate::hooks::Hooks;
use crate::message::{Message, Part, ToolCall};
use crate::model::{Model, ModelError, ModelInfo, ModelReply, ModelRequest};
use crate::runner::{Given, Run, RunSpec};
use crate::spec::AgentSpec;

/// Two summaries of no use, then one that is; each takes several polls.
#[derive(Default)]
struct Slow(AtomicUsize);

#[async_trait]
impl Model for Slow {
    fn info(&self) -> ModelInfo {
        ModelInfo::new("slow").with_context_window(4000)
    }

    async fn complete(
        &self,
        request: ModelRequest,
        _: CancellationToken,
    ) -> Result<ModelReply, ModelError> {
        assert!(is_summary_request(&request));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(ModelReply::default()),
            1 => Err(ModelError::context_overflow("too long")),
            _ => Ok(ModelReply::say("so far so good")),
        }
    }
}

fn large_run(cx: TaskContext) -> Run {
    let spec = RunSpec {
        agent: "worker".into(),
        hooks: Hooks::new(),
        started_by: tracing::Span::none(),
        instructions: "Work.".into(),
        tools: Toolbox::new(),
        model: Arc::new(Slow::default()),
        compaction: CompactionSpec::default(),
        step_cap: AgentSpec::DEFAULT_STEP_CAP,
        effort: None,
        output_schema: None,
    };
    let mut run = Run::new(cx, spec);
    run.begin(Given::prompt("go".to_owned(), Vec::new()));
    for number in 0..4 {
        let call = ToolCall::new(number.to_string(), "Read", "{}");
        let turn = vec![Part::text("t".repeat(1000)), Part::ToolCall(call)];
        let answer = Answer { output: "r".repeat(900), success: true };
        run.history.push_exchange(turn, vec![answer]);
    }
    run
}

/// Polls a compaction so many times, then drops it. Returns whether it had ended, and the history.
fn polled(cx: TaskContext, polls: usize) -> (bool, Vec<Message>, Vec<Message>) {
    let mut run = large_run(cx);
    let before = run.history.as_slice().to_vec();
    let mut work = Box::pin(run.make_room(Need::Size));
    let ended = (0..polls).any(|_| work.as_mut().now_or_never().is_some());
    drop(work);
    (ended, before, run.history.as_slice().to_vec())
}

#[tokio::test]
async fn a_compaction_that_is_dropped_at_any_poll_leaves_the_old_history() {
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut pending = 0;
    loop {
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = Task::new("test", "");
        root.spawn(task, move |cx| async move {
            let _ = tell.send(polled(cx, pending + 1));
            Ok(Output::text(""))
        })
        .unwrap();
        let (ended, before, after) = told.await.unwrap();
        assert!(is_answered(&after), "after {pending} polls: {after:?}");
        if ended {
            assert!(after.len() < before.len(), "{after:?}");
            break;
        }
        assert_eq!(before, after, "after {pending} polls");
        pending += 1;
    }
    assert_eq!(pending, 9, "three polls for each of three requests");
}
