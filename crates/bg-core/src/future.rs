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
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::context::TaskContext;
use crate::effects::Start;
use crate::failure::PanicReport;
use crate::outcome::{Outcome, Reason, TaskResult};

pin_project! {
    pub(crate) struct TaskFuture<F, Fut> {
        context: TaskContext,
        #[pin]
        stage: Stage<F, Fut>,
        ended: bool,
    }

    impl<F, Fut> PinnedDrop for TaskFuture<F, Fut> {
        fn drop(this: Pin<&mut Self>) {
            // Nearly always it has ended before, and nothing is made for that.
            if !this.ended {
                this.end(Outcome::dropped(Reason::Aborted));
            }
        }
    }
}

pin_project! {
    #[project = StagePinned]
    #[project_replace = StageOwned]
    enum Stage<F, Fut> {
        Start { body: F },
        Run { #[pin] running: Fut },
        Gone,
    }
}

impl<F, Fut> TaskFuture<F, Fut> {
    pub(crate) fn new(context: TaskContext, body: F) -> Self {
        Self { context, stage: Stage::Start { body }, ended: false }
    }

    /// Destroys the body, then records the outcome (I1). Does nothing the second time.
    fn end(self: Pin<&mut Self>, outcome: Outcome) {
        let mut this = self.project();
        if std::mem::replace(this.ended, true) {
            return;
        }
        let destroyed = catch_unwind(AssertUnwindSafe(|| this.stage.set(Stage::Gone)));
        let outcome = match destroyed {
            Ok(()) => outcome,
            Err(payload) => destroyed_badly(outcome, payload),
        };
        this.context.post_end(outcome);
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
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(output))) => Outcome::Completed(output),
            Ok(Poll::Ready(Err(failure))) => Outcome::Failed(Box::new(failure.capped())),
            Err(payload) => Outcome::Panicked(Box::new(PanicReport::of(payload))),
        };
        self.end(outcome);
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
        if matches!(*this.stage, Stage::Start { .. })
            && let StageOwned::Start { body } = this.stage.as_mut().project_replace(Stage::Gone)
        {
            let running = body(this.context.clone());
            this.stage.set(Stage::Run { running });
        }
        match this.stage.project() {
            StagePinned::Run { running } => running.poll(cx),
            _ => Poll::Pending,
        }
    }
}

/// A destructor that panics does not take away what the task had returned.
fn destroyed_badly(outcome: Outcome, payload: Box<dyn std::any::Any + Send>) -> Outcome {
    let report = PanicReport::of(payload);
    let report = match outcome {
        Outcome::Completed(output) => report.with_output(output),
        Outcome::Failed(failure) => match failure.partial {
            Some(partial) => report.with_output(*partial),
            None => report,
        },
        Outcome::Panicked(first) => return Outcome::Panicked(first),
        _ => report,
    };
    Outcome::Panicked(Box::new(report))
}

/// A task that waits for a slot, and the runtime that it will run on.
pub(crate) struct Waiting<F, Fut> {
    pub(crate) runtime: Handle,
    pub(crate) future: TaskFuture<F, Fut>,
}

impl<F, Fut> Start for Waiting<F, Fut>
where
    F: FnOnce(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = TaskResult> + Send + 'static,
{
    fn start(self: Box<Self>) -> JoinHandle<()> {
        self.runtime.spawn(self.future)
    }
}
