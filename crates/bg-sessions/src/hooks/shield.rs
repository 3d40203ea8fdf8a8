//! Calling code of the host's that may panic or never end.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bg_core::PanicReport;
use futures_util::future::BoxFuture;

/// What went wrong in a call. A fragment that fits "a hook {fault}".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("took longer than {} ms", .0.as_millis())]
    Late(Duration),
}

impl Fault {
    fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self::Panicked(PanicReport::of(payload).message)
    }
}

/// Runs code that ends by itself.
pub(super) fn run<T>(code: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Fault::panicked)
}

/// Makes a future and runs it, for so long.
///
/// # Cancel safety
///
/// Dropping it drops the future; a panic of its destructor ends there.
pub(super) async fn call<'a, T>(
    deadline: Duration,
    make: impl FnOnce() -> BoxFuture<'a, T>,
) -> Result<T, Fault> {
    let running = Shielded(Some(run(make)?));
    tokio::time::timeout(deadline, running).await.map_err(|_| Fault::Late(deadline))?
}

/// A future whose panics are results. Its poll and its destructor are caught apart: an unwind that
/// met a second panic on its way would be the end of the host.
struct Shielded<'a, T>(Option<BoxFuture<'a, T>>);

impl<T> Shielded<'_, T> {
    fn end(&mut self) -> Result<(), Fault> {
        let running = self.0.take();
        run(|| drop(running))
    }
}

impl<T> Future for Shielded<'_, T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let done = match run(|| running.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(done)) => Ok(done),
            Err(fault) => Err(fault),
        };
        let ended = self.end();
        Poll::Ready(done.and_then(|done| ended.map(|()| done)))
    }
}

impl<T> Drop for Shielded<'_, T> {
    fn drop(&mut self) {
        // Nobody is left to hear of it.
        let _ = self.end();
    }
}
