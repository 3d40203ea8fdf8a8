//! Asking the model within its window.

#[cfg(all(test, feature = "test-util"))]
mod tests;

use bg_core::Phase;
use bg_tools::{ToolContext, manifest};

use super::Run;
use crate::compaction::{Draft, Ending, Judged, Need, Settled};
use crate::error::RunError;
use crate::model::{ModelError, ModelReply};

impl Run {
    /// One reply of the model. If its provider says that the conversation is too large, it is made
    /// smaller once and asked again.
    pub(super) async fn reply(&mut self) -> Result<ModelReply, RunError> {
        self.look_ahead().await?;
        self.make_room(Need::Size).await?;
        self.compaction.check(&self.history)?;
        let reply = match self.ask(self.request()).await {
            Err(RunError::Model(overflow @ ModelError::ContextOverflow { .. })) => {
                self.reply_after(overflow).await?
            }
            reply => reply?,
        };
        self.compaction.counted(&self.history, reply.usage.input_tokens);
        Ok(reply)
    }

    async fn reply_after(&mut self, overflow: ModelError) -> Result<ModelReply, RunError> {
        if !self.make_room(Need::Overflow).await? {
            return Err(RunError::Model(overflow));
        }
        self.ask(self.request()).await
    }

    /// Makes the conversation smaller, if it has to be and can be. Returns whether it did.
    ///
    /// # Cancel safety
    ///
    /// The history is what it was until a new one takes its place.
    async fn make_room(&mut self, need: Need) -> Result<bool, RunError> {
        let shortened = self.shorten(need);
        let Some(mut draft) = self.compaction.draft(&self.history, need) else {
            return Ok(shortened);
        };
        self.reports.phase(Phase::WaitingForModel);
        let ending = self.summarize(&mut draft).await;
        self.reports.phase(Phase::Working);
        Ok(self.settle(draft, ending?) || shortened)
    }

    fn shorten(&mut self, need: Need) -> bool {
        let before = self.compaction.size(&self.history);
        let shortened = self.compaction.shorten(&mut self.history, need);
        if shortened {
            self.trace_sizes("shortened large results", before);
        }
        shortened
    }

    /// Asks for a summary until there is one, or there is none to be had.
    async fn summarize(&mut self, draft: &mut Draft) -> Result<Ending, RunError> {
        while let Some(request) = draft.next_request() {
            let reply = self.unless_stopped(self.complete(request)).await.flatten();
            if let Ok(reply) = &reply {
                self.spend(&reply.usage);
            }
            match draft.judge(reply)? {
                Judged::Ends(ending) => return Ok(ending),
                Judged::Refused(why) => self.reports.trace(&format!("summary not taken: {why}")),
            }
        }
        Ok(Ending::Dropped)
    }

    /// Replaces the history. What the model had been told is gone with the old one, so its tools
    /// may tell it again.
    pub(super) fn settle(&mut self, draft: Draft, ending: Ending) -> bool {
        let before = self.compaction.size(&self.history);
        let manifest = manifest(self.tool_cx.scope(), &self.compaction.limits().manifest());
        let settled = self.compaction.settle(&mut self.history, draft, ending, &manifest);
        match settled {
            Settled::Stands => {
                self.reports.trace("not compacted: the conversation stands as it is");
                return false;
            }
            Settled::Summarized => self.trace_sizes("compacted", before),
            Settled::Dropped => self.trace_sizes("older conversation dropped", before),
        }
        self.forget_told();
        // It was of the old one.
        self.drop_ahead();
        true
    }

    fn forget_told(&mut self) {
        let scope = self.tool_cx.scope().clone();
        let resources = self.tool_cx.resources().to_vec();
        let tool_cx = ToolContext::new(scope).with_token(self.interrupts.stop.clone());
        self.tool_cx = tool_cx.with_resources(resources);
    }

    fn trace_sizes(&self, what: &str, before: u64) {
        let after = self.compaction.size(&self.history);
        self.courier.compaction(before, after);
        self.reports.trace(&format!("{what}: about {before} tokens, now {after}"));
    }
}
