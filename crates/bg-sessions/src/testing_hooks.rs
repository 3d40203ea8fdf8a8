//! A hook for tests.

use std::sync::Arc;

use async_trait::async_trait;
use bg_core::{Output, TaskId};
use tokio::sync::watch;

use crate::hooks::{AgentHook, Progress, RunEnd, RunInfo, RunInput};
use crate::message::{ToolCall, ToolResult};
use crate::model::BoxError;

/// What a [`RecordingHook`] was told or asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Told {
    /// It was asked about an input, as those before it had left it.
    Before(RunInput),
    /// It was asked about an output, as those before it had left it.
    After(Output),
    /// A run has started.
    Start,
    /// A run has got further.
    Progress(Progress),
    /// A tool is called.
    ToolStart(ToolCall),
    /// A tool has got further.
    ToolProgress(ToolCall, String),
    /// A tool has answered.
    ToolEnd(ToolCall, ToolResult),
    /// A conversation has been made smaller: from so many tokens to so many.
    Compaction(u64, u64),
    /// A run has ended, and so many notifications of it were left out.
    End(RunEnd, u64),
}

/// A hook that keeps all that it is told, without bound, and agrees to everything.
///
/// Clones share what is kept.
///
/// # Examples
///
/// ```
/// use bg_sessions::{AgentHook, RecordingHook, RunEnd, RunInfo, Told};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bg_core::ParseIdError> {
/// let hook = RecordingHook::new();
/// let run = RunInfo::new("agent:7".parse()?, "explore");
/// hook.on_start(&run).await;
/// hook.on_end(&run, &RunEnd::Dropped, 0).await;
/// hook.ends(1).await;
/// assert_eq!(hook.told_of(run.id), [Told::Start, Told::End(RunEnd::Dropped, 0)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecordingHook {
    told: Arc<watch::Sender<Vec<(RunInfo, Told)>>>,
}

impl RecordingHook {
    /// Makes a hook that has been told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what it was told so far, in that order.
    pub fn told(&self) -> Vec<(RunInfo, Told)> {
        self.told.borrow().clone()
    }

    /// Returns what it was told so far of one run.
    pub fn told_of(&self, id: TaskId) -> Vec<Told> {
        let told = self.told().into_iter();
        told.filter(|(run, _)| run.id == id).map(|(_, told)| told).collect()
    }

    /// Waits until it was told the ends of so many runs.
    ///
    /// # Cancel safety
    ///
    /// Safe: it takes nothing away.
    pub async fn ends(&self, count: usize) {
        let is_end = |told: &&(RunInfo, Told)| matches!(told.1, Told::End(..));
        let enough = |told: &Vec<_>| told.iter().filter(is_end).count() >= count;
        // The sender is here, so there is no end to the waiting but what is waited for.
        let _ = self.told.subscribe().wait_for(enough).await;
    }

    fn keep(&self, run: &RunInfo, told: Told) {
        self.told.send_modify(|all| all.push((run.clone(), told)));
    }
}

#[async_trait]
impl AgentHook for RecordingHook {
    async fn before_run(&self, run: &RunInfo, input: &mut RunInput) -> Result<(), BoxError> {
        self.keep(run, Told::Before(input.clone()));
        Ok(())
    }

    async fn after_run(&self, run: &RunInfo, output: &mut Output) -> Result<(), BoxError> {
        self.keep(run, Told::After(output.clone()));
        Ok(())
    }

    async fn on_start(&self, run: &RunInfo) {
        self.keep(run, Told::Start);
    }

    async fn on_progress(&self, run: &RunInfo, progress: &Progress) {
        self.keep(run, Told::Progress(progress.clone()));
    }

    async fn on_tool_start(&self, run: &RunInfo, call: &ToolCall) {
        self.keep(run, Told::ToolStart(call.clone()));
    }

    async fn on_tool_progress(&self, run: &RunInfo, call: &ToolCall, text: &str) {
        self.keep(run, Told::ToolProgress(call.clone(), text.to_owned()));
    }

    async fn on_tool_end(&self, run: &RunInfo, call: &ToolCall, result: &ToolResult) {
        self.keep(run, Told::ToolEnd(call.clone(), result.clone()));
    }

    async fn on_compaction(&self, run: &RunInfo, tokens_before: u64, tokens_after: u64) {
        self.keep(run, Told::Compaction(tokens_before, tokens_after));
    }

    async fn on_end(&self, run: &RunInfo, end: &RunEnd, skipped: u64) {
        self.keep(run, Told::End(end.clone(), skipped));
    }
}
