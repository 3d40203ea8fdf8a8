//! Following a log: reading on as it grows.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::inner::Inner;
use super::{Chunk, OutputLog, Stream};

/// A reader of an output log with a cursor of its own, woken when there is more; made with
/// [`OutputLog::follow`].
///
/// Any number of them follow a log, each at its own pace. It never holds up who writes: one that is
/// slower than the tail is long is told exactly how many bytes it missed.
/// [`read`](OutputLog::read) is for who has an offset and does not want to wait.
///
/// A log that nobody [closes](OutputLog::close) is followed for ever; the registry closes that of a
/// task when the task ends, and all of them when it is dropped itself.
///
/// # Examples
///
/// ```
/// use bg_core::{Output, Registry, Stream, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (id, completer) = root.register(Task::process("make", "make all"))?;
/// let log = completer.context().log();
/// let mut follow = log.follow(0);
/// tokio::spawn(async move {
///     log.write(Stream::Stdout, b"cc main.c\n");
///     completer.complete(Ok(Output::default()));
/// });
/// let mut seen = Vec::new();
/// while let Some(chunk) = follow.next(4096).await {
///     assert_eq!(chunk.omitted, 0);
///     seen.extend(chunk.bytes);
/// }
/// assert_eq!(seen, b"cc main.c\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it reads nothing until it is asked for the next piece"]
pub struct Follow {
    log: OutputLog,
    at: u64,
    stream: Option<Stream>,
    waiting: Option<u64>,
}

impl OutputLog {
    /// Follows the log from an offset on. One past the end means the end: `u64::MAX` is what is
    /// written from now on.
    pub fn follow(&self, from: u64) -> Follow {
        Follow { log: self.clone(), at: from.min(self.total()), stream: None, waiting: None }
    }
}

impl Follow {
    /// Reads one stream only. Bytes that were dropped are counted whichever they belonged to.
    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Returns the offset of what comes next.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Waits for a piece of at most `max` bytes, and of at least one unless some were dropped;
    /// `None` once the log is closed and all was read.
    ///
    /// # Cancel safety
    ///
    /// Safe: the cursor passes a piece only in the poll that returns it.
    pub async fn next(&mut self, max: usize) -> Option<Chunk> {
        poll_fn(|cx| self.poll_next(cx, max.max(1))).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Option<Chunk>> {
        // Cloned before the lock, and dropped after it: a waker is foreign code.
        let mut spare = Some(cx.waker().clone());
        let mut inner = self.log.0.inner.lock();
        let closed = self.log.is_closed();
        let chunk = inner.next_piece(&mut self.at, max, self.stream, closed);
        let pending = chunk.is_none() && !closed;
        if pending {
            spare = spare.and_then(|waker| inner.followers.keep(&mut self.waiting, waker));
        }
        drop(inner);
        drop(spare);
        if pending { Poll::Pending } else { Poll::Ready(chunk) }
    }
}

impl Inner {
    /// Reads on from a cursor and moves it; `None` when it has reached the end.
    fn next_piece(
        &self,
        at: &mut u64,
        max: usize,
        stream: Option<Stream>,
        closed: bool,
    ) -> Option<Chunk> {
        loop {
            let chunk = self.read(*at, max, stream, closed);
            let moved = std::mem::replace(at, chunk.next) != chunk.next;
            if chunk.omitted > 0 || !chunk.bytes.is_empty() {
                return Some(chunk);
            }
            // It may have passed what other streams wrote.
            if !moved {
                return None;
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            let waker = self.log.0.inner.lock().followers.remove(self.waiting);
            drop(waker);
        }
    }
}
