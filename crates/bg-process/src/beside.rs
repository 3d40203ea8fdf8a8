//! Work that blocks for a moment, kept away from the runtime.

use std::sync::Arc;
use std::thread::Builder;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Runs it on a thread of its own. Where the system has no room for one, it is done here and now: the
/// runtime's own pool ends with a panic then, and what is done here is mostly there to end processes.
///
/// `None` if the work panicked.
///
/// # Cancel safety
///
/// The work is done all the same once it was begun.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    const STACK_BYTES: usize = 256 << 10;
    let (sender, answer) = oneshot::channel();
    let ours = Arc::new(Mutex::new(Some(work)));
    let theirs = ours.clone();
    let run = move || {
        let work = theirs.lock().take();
        work.map(|work| sender.send(work()))
    };
    match Builder::new().name("bg-beside".into()).stack_size(STACK_BYTES).spawn(run) {
        Ok(_) => answer.await.ok(),
        Err(error) => {
            tracing::debug!(%error, "there is no room for a thread");
            let work = ours.lock().take();
            work.map(|work| work())
        }
    }
}
