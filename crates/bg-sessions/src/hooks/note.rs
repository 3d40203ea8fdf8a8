//! What is put into the line.

use futures_util::future::BoxFuture;

use super::{AgentHook, Progress, RunEnd, RunInfo};
use crate::message::{ToolCall, ToolResult};

/// Something that hooks are told.
pub(super) enum Note {
    Start,
    Progress(Progress),
    ToolStart(ToolCall),
    ToolProgress(ToolCall, String),
    ToolEnd(ToolCall, ToolResult),
    Compaction(u64, u64),
    /// Not through the line (courier, I1).
    End(RunEnd),
}

/// A notification in the line, and the bytes that it counts for.
pub(super) struct Waiting {
    pub(super) note: Note,
    pub(super) weight: usize,
}

impl Note {
    /// The method that is called for it.
    pub(super) fn call(&self) -> &'static str {
        match self {
            Self::Start => "on_start",
            Self::Progress(_) => "on_progress",
            Self::ToolStart(_) => "on_tool_start",
            Self::ToolProgress(..) => "on_tool_progress",
            Self::ToolEnd(..) => "on_tool_end",
            Self::Compaction(..) => "on_compaction",
            Self::End(_) => "on_end",
        }
    }

    /// Calls the method; `skipped` is what the hook was not told.
    pub(super) fn tell<'a>(
        &'a self,
        hook: &'a dyn AgentHook,
        run: &'a RunInfo,
        skipped: u64,
    ) -> BoxFuture<'a, ()> {
        match self {
            Self::Start => hook.on_start(run),
            Self::Progress(progress) => hook.on_progress(run, progress),
            Self::ToolStart(call) => hook.on_tool_start(run, call),
            Self::ToolProgress(call, text) => hook.on_tool_progress(run, call, text),
            Self::ToolEnd(call, result) => hook.on_tool_end(run, call, result),
            Self::Compaction(before, after) => hook.on_compaction(run, *before, *after),
            Self::End(end) => hook.on_end(run, end, skipped),
        }
    }
}
