//! A summary that is written while the work goes on.
//!
//! Past a first limit the model is asked for a summary beside its work, once. When it is there, it takes
//! the place of what it was made of at the next step; what was said meanwhile stays as it is. If it
//! comes to nothing, the conversation is compacted when it has to be.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinHandle};

use super::Run;
use crate::compaction::{Draft, Ending, Judged};
use crate::error::RunError;
use crate::model::{ModelError, ModelReply};

type Reply = Result<ModelReply, ModelError>;

/// A summary under way.
pub(super) struct Ahead {
    draft: Draft,
    reply: Request,
}

/// A request of its own; it ends when nobody waits for it any more.
struct Request(JoinHandle<Reply>);

impl Future for Request {
    type Output = Result<Reply, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Run {
    /// Takes a summary that was written meanwhile, or asks for one. Returns whether the conversation is
    /// another one now.
    ///
    /// # Cancel safety
    ///
    /// The history is what it was until a new one takes its place.
    pub(super) async fn look_ahead(&mut self) -> Result<bool, RunError> {
        let is_due = self.compaction.is_due(&self.history);
        let is_there = |ahead: &mut Ahead| is_due || ahead.reply.0.is_finished();
        let Some(Ahead { mut draft, reply }) = self.ahead.take_if(is_there) else {
            self.begin_ahead();
            return Ok(false);
        };
        let Ok(reply) = self.unless_stopped(reply).await? else {
            self.reports.trace("a summary that was asked for ahead has panicked");
            return Ok(false);
        };
        if let Ok(reply) = &reply {
            self.spend(&reply.usage);
        }
        match draft.judge(reply.map_err(RunError::Model))? {
            Judged::Ends(ending @ Ending::Summary(_)) if draft.catch_up(&self.history) => {
                Ok(self.settle(draft, ending))
            }
            _ => {
                self.reports.trace("a summary that was asked for ahead was not taken");
                Ok(false)
            }
        }
    }

    /// Gives up a summary that nobody needs any more. What it has cost is booked, if that is known.
    pub(super) fn drop_ahead(&mut self) {
        let reply = self.ahead.take().and_then(|ahead| ahead.reply.now_or_never());
        if let Some(Ok(Ok(reply))) = reply {
            self.spend(&reply.usage);
        }
    }

    fn begin_ahead(&mut self) {
        if self.ahead.is_some() {
            return;
        }
        let Some(mut draft) = self.compaction.draft_ahead(&self.history) else { return };
        let Some(request) = draft.next_request() else { return };
        let (model, stop) = (self.model.clone(), self.reports.own().token());
        self.reports.trace("asked for a summary ahead");
        let reply = async move { model.complete(request, stop).await };
        self.ahead = Some(Ahead { draft, reply: Request(tokio::spawn(reply)) });
    }
}
