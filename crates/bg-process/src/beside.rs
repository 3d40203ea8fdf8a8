//! Work that blocks for a moment, kept away from the runtime.

use std::sync::Arc;
use std::thread::Builder;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Does it on a thread of its own. Where the system has no room for one, it is done here and now: the
/// runtime's own pool ends with a panic then, and what is done here is mostly there to end processes.
pub(crate) fn start(work: impl FnOnce() + Send + 'static) {
    const STACK_BYTES: usize = 256 << 10;
    let ours = Arc::new(Mutex::new(Some(work)));
    let theirs = ours.clone();
    let run = move || {
        let work = theirs.lock().take();
        if let Some(work) = work {
            work();
        }
    };
    if let Err(error) = Builder::new().name("bg-beside".into()).stack_size(STACK_BYTES).spawn(run) {
        tracing::debug!(%error, "there is no room for a thread");
        let work = ours.lock().take();
        if let Some(work) = work {
            work();
        }
    }
}

/// Does it likewise, and brings what came of it; `None` if it panicked.
///
/// # Cancel safety
///
/// The work is done all the same once it was begun.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    start(move || drop(sender.send(work())));
    answer.await.ok()
}
