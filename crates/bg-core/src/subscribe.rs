//! A subscription to the event stream.

use std::future::poll_fn;
use std::task::Poll;

use crate::events::{Event, Lagged, Read};
use crate::scope::Scope;
use crate::shared::Shared;
use crate::sync::Arc;

/// A subscription to everything that happens in a registry; see [`Registry::events`].
///
/// Each subscriber reads at its own pace. One that falls too far behind is told exactly how many
/// events it missed, and those who publish do not wait for it.
///
/// [`Registry::events`]: crate::Registry::events
///
/// # Examples
///
/// ```
/// use bg_core::{EventKind, Output, Registry, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let mut events = registry.events();
/// let root = registry.root_scope();
/// root.spawn(Task::new("index", ""), |_| async { Ok(Output::default()) })?;
/// let first = events.next().await.ok_or("closed")??;
/// assert!(matches!(first.what, EventKind::Spawned { .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "events are kept for a subscriber only as long as it lives"]
pub struct Events {
    shared: Arc<Shared>,
    key: u64,
}

impl Events {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let key = shared.with(|machine, _| machine.events.subscribe());
        Self { shared: shared.clone(), key }
    }

    /// Returns the next event, or how many were missed; `None` once the registry is gone.
    ///
    /// # Errors
    ///
    /// [`Lagged`] with the exact number of events that were dropped before this reader saw them.
    /// Reading goes on after it.
    ///
    /// # Cancel safety
    ///
    /// Safe: an event is taken only in the poll that returns it.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let read = self.shared.call(|machine, fx| {
                let (read, spare) = machine.events.read(self.key, waker);
                fx.drop_waker(spare);
                read
            });
            match read {
                Some(Read::Event(event)) => Poll::Ready(Some(Ok(event))),
                Some(Read::Lagged(missed)) => Poll::Ready(Some(Err(Lagged(missed)))),
                Some(Read::Empty) => Poll::Pending,
                None => Poll::Ready(None),
            }
        })
        .await
    }
}

impl Scope {
    /// Returns the number of its root, by which [`Event::root`] tells whose event it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Registry;
    ///
    /// let registry = Registry::new();
    /// assert_eq!([registry.root_scope(), registry.root_scope()].map(|root| root.root_number()), [1, 2]);
    /// ```
    pub fn root_number(&self) -> u64 {
        self.cell().key.root.0
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.call(|machine, fx| {
            fx.drop_waker(machine.events.unsubscribe(self.key));
        });
    }
}
