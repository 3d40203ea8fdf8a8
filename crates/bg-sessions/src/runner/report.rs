//! What a turn reports while it goes on, and to whom.

use std::sync::Arc;

use bg_core::{Block, BlockKind, Phase, RecentBlocks, TaskContext, TaskId, text};

use crate::history::Answer;
use crate::message::{Part, ToolCall};

/// How many blocks of a conversation can be looked at.
const MAX_BLOCKS: usize = 64;

/// Longest text of such a block, in bytes.
const MAX_BLOCK_BYTES: usize = 4000;

/// The tasks that a turn is the work of: a run, or a session and the prompts that it answers.
pub(crate) struct Reports {
    own: TaskContext,
    askers: Vec<TaskContext>,
    recent: Arc<RecentBlocks>,
}

impl Reports {
    pub(crate) fn new(own: TaskContext) -> Self {
        let recent = Arc::new(RecentBlocks::new(MAX_BLOCKS));
        own.attach_view(recent.clone());
        Self { own, askers: Vec::new(), recent }
    }

    /// Sets whose prompts the turn answers.
    pub(crate) fn set_askers(&mut self, askers: Vec<TaskContext>) {
        for asker in &askers {
            asker.attach_view(self.recent.clone());
        }
        self.askers = askers;
    }

    /// The task that the turn is: the last prompt that it answers, or the run.
    pub(crate) fn id(&self) -> TaskId {
        self.askers.last().unwrap_or(&self.own).id()
    }

    pub(crate) fn own(&self) -> &TaskContext {
        &self.own
    }

    fn all(&self) -> impl Iterator<Item = &TaskContext> {
        std::iter::once(&self.own).chain(&self.askers)
    }

    /// Reports a step of the turn, before which there were others.
    pub(crate) fn step(&self, step: u32, earlier: u32) {
        self.own.step(earlier.saturating_add(step));
        for asker in &self.askers {
            asker.step(step);
        }
    }

    pub(crate) fn phase(&self, phase: Phase) {
        for task in self.all() {
            task.phase(phase);
        }
    }

    /// Traces a line for those who asked; the trace of a session would soon be full of old turns.
    pub(crate) fn trace(&self, line: &str) {
        let Some((last, others)) = self.askers.split_last() else { return self.own.trace(line) };
        for task in others {
            task.trace(line);
        }
        last.trace(line);
    }

    /// Shows what the model was given to read.
    pub(crate) fn given(&self, parts: &[Part]) {
        for part in parts {
            self.show(part, BlockKind::User);
        }
    }

    /// Shows a turn of the model's.
    pub(crate) fn said(&self, parts: &[Part]) {
        for part in parts {
            self.show(part, BlockKind::Assistant);
        }
    }

    /// Shows what calls answered.
    pub(crate) fn answered(&self, calls: &[ToolCall], answers: &[Answer]) {
        for (call, answer) in calls.iter().zip(answers) {
            self.block(BlockKind::ToolResult, format!("{}: {}", call.name, cut(&answer.output)));
        }
    }

    fn show(&self, part: &Part, speaker: BlockKind) {
        match part {
            Part::Text(text) => self.block(speaker, cut(text)),
            Part::Thinking(thinking) => self.block(BlockKind::Thought, cut(&thinking.text)),
            Part::ToolCall(call) => {
                self.block(BlockKind::ToolUse, format!("{} {}", call.name, cut(&call.args)));
            }
            Part::ToolResult(result) => self.block(BlockKind::ToolResult, cut(&result.output)),
            Part::Resource(resource) => self.block(BlockKind::Other, resource.to_string()),
        }
    }

    fn block(&self, kind: BlockKind, text: String) {
        self.recent.push(Block::new(kind, text));
    }
}

fn cut(foreign: &str) -> String {
    text::excerpt(foreign, MAX_BLOCK_BYTES)
}
