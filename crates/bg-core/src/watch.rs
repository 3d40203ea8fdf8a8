//! Watching the status of one task.
//!
//! # Lock order
//!
//! The state of a watch is a leaf under the registry's lock: nothing is called while it is held.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::status::Status;
use crate::sync::{Arc, Mutex};
use crate::wakers::Wakers;

/// The latest status of one task, and who waits for the next one. Made for the first watcher.
#[derive(Debug)]
pub(crate) struct WatchCell(Mutex<State>);

#[derive(Debug)]
struct State {
    status: Status,
    version: u64,
    /// The registry is gone: no other status will come.
    closed: bool,
    wakers: Wakers,
}

impl WatchCell {
    pub(crate) fn new(status: Status) -> Arc<Self> {
        let wakers = Wakers::default();
        Arc::new(Self(Mutex::new(State { status, version: 1, closed: false, wakers })))
    }

    /// Sets the status; returns those to be woken, outside any lock.
    pub(crate) fn set(&self, status: Status) -> impl Iterator<Item = Waker> + use<> {
        let mut state = self.0.lock();
        state.status = status;
        state.version += 1;
        state.wakers.take()
    }

    /// Says that no other status will come; returns those to be woken, outside any lock.
    pub(crate) fn close(&self) -> impl Iterator<Item = Waker> + use<> {
        let mut state = self.0.lock();
        state.closed = true;
        state.wakers.take()
    }
}

/// A watch over the status of one task; see [`Scope::watch`](crate::Scope::watch).
///
/// It sees the latest status, not each one in between, and the terminal one in any case, also
/// when the task is not kept any more. For every single change, and for many tasks, subscribe to
/// [`Registry::events`](crate::Registry::events).
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Registry, Status, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let id = root.spawn(Task::new("index", ""), |_| async { Ok(Output::default()) })?;
/// let mut watch = root.watch(id)?;
/// assert_eq!(watch.status(), Status::Running { step: 0 });
/// while watch.changed().await.is_some() {}
/// assert_eq!(watch.status(), Status::Completed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StatusWatch {
    cell: Arc<WatchCell>,
    /// The version that the watcher has seen.
    seen: u64,
    waiting: Option<u64>,
}

impl StatusWatch {
    pub(crate) fn new(cell: Arc<WatchCell>) -> Self {
        let seen = cell.0.lock().version;
        Self { cell, seen, waiting: None }
    }

    /// Returns the status as it is now.
    pub fn status(&self) -> Status {
        self.cell.0.lock().status
    }

    /// Waits for a status that was not seen yet; `None` once the terminal one was seen, or when the
    /// registry is gone.
    ///
    /// # Cancel safety
    ///
    /// Safe: a status counts as seen only in the poll that returns it.
    pub async fn changed(&mut self) -> Option<Status> {
        poll_fn(|cx| {
            // Cloned before the lock, and dropped after it: a waker is foreign code.
            let mut spare = Some(cx.waker().clone());
            let mut state = self.cell.0.lock();
            let poll = if state.version != self.seen {
                self.seen = state.version;
                Poll::Ready(Some(state.status))
            } else if state.status.is_terminal() || state.closed {
                Poll::Ready(None)
            } else {
                spare = spare.and_then(|waker| state.wakers.keep(&mut self.waiting, waker));
                Poll::Pending
            };
            drop(state);
            drop(spare);
            poll
        })
        .await
    }
}

impl Drop for StatusWatch {
    fn drop(&mut self) {
        let waker = self.cell.0.lock().wakers.remove(self.waiting);
        drop(waker);
    }
}
