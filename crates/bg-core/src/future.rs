//! The future of a spawned task: whatever happens to it, one outcome comes out.
//!
//! # Invariants
//!
//! 1. The body's destructor runs before the outcome is recorded: whoever sees the outcome finds
//!    nothing of the task's still alive. This holds for abort too.
//! 2. Closure, poll and destructor run under `catch_unwind`. `thread::panicking()` is not asked:
//!    the unwind of somebody else would fool it.
//! 3. The guard is armed from construction: a future that is dropped before its first poll ends as
//!    cancelled.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::TaskContext;
use crate::failure::PanicReport;
use crate::machine::Ending;
use crate::outcome::{Reason, TaskResult};

pin_project! {
    pub(crate) struct TaskFuture<F, Fut> {
        context: TaskContext,
        start: Option<F>,
        #[pin]
        running: Option<Fut>,
        ended: bool,
    }

    impl<F, Fut> PinnedDrop for TaskFuture<F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            this.end(Ending::Dropped(Reason::Aborted));
        }
    }
}

impl<F, Fut> TaskFuture<F, Fut> {
    pub(crate) fn new(context: TaskContext, body: F) -> Self {
        Self { context, start: Some(body), running: None, ended: false }
    }

    /// Destroys the body, then records the outcome (I1). Does nothing the second time.
    fn end(self: Pin<&mut Self>, ending: Ending) {
        let mut this = self.project();
        if std::mem::replace(this.ended, true) {
            return;
        }
        let start = this.start.take();
        let destroyed = catch_unwind(AssertUnwindSafe(|| {
            drop(start);
            this.running.set(None);
        }));
        let ending = match destroyed {
            Ok(()) => ending,
            Err(payload) => panicked(payload),
        };
        this.context.finish(ending);
    }
}

impl<F, Fut> Future for TaskFuture<F, Fut>
where
    F: FnOnce(TaskContext) -> Fut,
    Fut: Future<Output = TaskResult>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.as_mut().poll_body(cx)));
        let ending = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ending::Returned(result),
            Err(payload) => panicked(payload),
        };
        self.end(ending);
        Poll::Ready(())
    }
}

impl<F, Fut> TaskFuture<F, Fut>
where
    F: FnOnce(TaskContext) -> Fut,
    Fut: Future<Output = TaskResult>,
{
    fn poll_body(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TaskResult> {
        let mut this = self.project();
        if let Some(start) = this.start.take() {
            this.context.start();
            let body = start(this.context.clone());
            this.running.set(Some(body));
        }
        match this.running.as_pin_mut() {
            Some(running) => running.poll(cx),
            None => Poll::Pending,
        }
    }
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Ending {
    Ending::Panicked(PanicReport::of(payload))
}
