//! Roots under a token of the host's: when it fires, everything in the root is stopped.
//!
//! The token wakes us where it is cancelled, on whatever thread that is, so a root needs no task
//! and no runtime to listen; and when the call that cancelled it returns, every task below was
//! told.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Wake, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::machine::RootId;
use crate::shared::{Shared, with_weak};
use crate::sync::{Arc, Weak};

/// Listens as long as it is kept; the root keeps it.
pub(crate) struct ParentWatch(
    #[expect(dead_code, reason = "dropping it ends the listening")]
    Pin<Box<WaitForCancellationFutureOwned>>,
);

/// What the token wakes.
struct Below {
    shared: Weak<Shared>,
    root: RootId,
}

impl Wake for Below {
    fn wake(self: Arc<Self>) {
        with_weak(&self.shared, |machine, fx| machine.parent_cancelled(self.root, fx));
    }
}

impl ParentWatch {
    /// Listens to a token; closes the root at once if it has fired.
    pub(crate) fn new(shared: &Arc<Shared>, root: RootId, token: &CancellationToken) -> Self {
        let below = Arc::new(Below { shared: Arc::downgrade(shared), root });
        let mut fired = Box::pin(token.clone().cancelled_owned());
        let waker = Waker::from(below.clone());
        if fired.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            below.wake();
        }
        Self(fired)
    }
}
