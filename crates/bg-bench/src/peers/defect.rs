//! defect-agent's table of background tasks.

use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use defect_agent::llm::{Message, MessageContent, Role};
use defect_agent::session::{
    BackgroundProgressConfig, BackgroundResult, BackgroundTasks, TaskSnapshot, VecHistory,
};
use tokio_util::sync::CancellationToken;

use crate::clock::ns_each;
use crate::words::{LABEL, RESULT};
use crate::workloads::reached;
use crate::workloads::retain::Load;
use crate::workloads::truncate::MAX_BYTES;

/// Makes a table with what is kept and what runs.
pub(super) async fn under(load: Load) -> BackgroundTasks {
    let config = BackgroundProgressConfig { finished_tasks_cap: load.kept, ..Default::default() };
    let tasks = BackgroundTasks::new(CancellationToken::new(), config);
    // Before those that run: each end visits every task.
    spawn_and_drain(&tasks, load.kept).await;
    let polled = Arc::new(AtomicUsize::new(0));
    for _ in 0..load.running {
        let polled = polled.clone();
        tasks.spawn(LABEL.to_owned(), |token, _| async move {
            polled.fetch_add(1, Ordering::Release);
            pending::<()>().await;
            drop(token);
            BackgroundResult::Failed(String::new())
        });
    }
    reached(&polled, load.running).await;
    tasks
}

pub(super) async fn round(tasks: Arc<BackgroundTasks>, batch: usize) -> f64 {
    let start = Instant::now();
    spawn_and_drain(&tasks, batch).await;
    ns_each(start.elapsed(), batch)
}

async fn spawn_and_drain(tasks: &BackgroundTasks, count: usize) {
    for _ in 0..count {
        tasks.spawn(LABEL.to_owned(), |_, _| async {
            BackgroundResult::Completed(RESULT.to_owned())
        });
    }
    let mut left = count;
    while left > 0 {
        tasks.wait_for_completion().await;
        left -= black_box(tasks.drain_completed()).len();
    }
}

/// Makes a table with one task whose history is one long message.
pub(super) async fn with_text(text: String) -> (BackgroundTasks, String) {
    // It counts characters, not bytes.
    let config = BackgroundProgressConfig { block_text_limit: MAX_BYTES, ..Default::default() };
    let tasks = BackgroundTasks::new(CancellationToken::new(), config);
    let content = vec![MessageContent::Text { text }];
    let message = Message { role: Role::Assistant, content: content.into() };
    let history = Arc::new(VecHistory::from_messages(vec![message]));
    let id = tasks.spawn(LABEL.to_owned(), |_, handle| async move {
        handle.attach_history(history);
        BackgroundResult::Completed(RESULT.to_owned())
    });
    tasks.wait_for_completion().await;
    (tasks, id)
}

/// Peeks at the message, cut to its limit.
pub(super) fn truncated((tasks, id): &(BackgroundTasks, String)) -> TaskSnapshot {
    tasks.peek(id, None).expect("the task is kept")
}
