//! Waits of the last koda-core that has them.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use koda_core_03::child_agent::{
    AgentStatus, BgPayload, ChildAgentRegistry, WaitOutcome, new_shared,
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::words::{LABEL, PROMPT, RESULT};
use crate::workloads::wait_wake::drive::Pairs;

/// The longest that its tools wait.
const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) struct Waits {
    registry: Arc<ChildAgentRegistry>,
    parent: CancellationToken,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self { registry: new_shared(), parent: CancellationToken::new() }
    }
}

impl Pairs for Waits {
    type End = (watch::Sender<AgentStatus>, oneshot::Sender<Result<BgPayload, BgPayload>>);

    fn pair(&self) -> (impl Future<Output = ()> + Send + 'static, Self::End) {
        let slot = self.registry.reserve(&self.parent, None, true);
        let (id, rx, status_rx) = (slot.task_id, slot.rx, slot.status_rx);
        let task = tokio::spawn(async {});
        let attach = &self.registry;
        attach.attach(id, LABEL, PROMPT, rx, slot.cancel, status_rx, None, true, None, task);
        let registry = self.registry.clone();
        let wait = async move {
            let outcome = registry.wait_for_completion(id, None, TIMEOUT).await;
            assert!(matches!(black_box(outcome), WaitOutcome::Completed(_)));
        };
        (wait, (slot.status_tx, slot.tx))
    }

    fn end((status, result): Self::End) {
        // Fails when the entry is gone, which nobody minds.
        let _ = status.send(AgentStatus::Completed { summary: RESULT.to_owned() });
        let _ = result.send(Ok((RESULT.to_owned(), Vec::new())));
    }

    /// A wait of koda's takes the outcome, so nothing is left.
    fn clear(&self) {}
}
