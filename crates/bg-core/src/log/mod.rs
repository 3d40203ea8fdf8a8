//! The output log of a task: append-only, read by offset, bounded in memory.
//!
//! Bytes lie in segments. Small writes are copied into the open segment; a buffer that is nearly
//! full becomes a segment itself, and the one that falls out of the tail for it goes back to be
//! filled, so that what streams through is not copied.
//!
//! # Invariants
//!
//! 1. `head` holds the bytes `[0, head.end)`, `tail` the bytes `[tail.start, tail.end)` up to the
//!    end of the log; what lies between them was dropped, and stays dropped.
//! 2. Offsets are 64-bit, count every byte ever written and never move.
//! 3. `head.len() <= caps.head`, `tail.len() <= caps.tail`, and each part has at most
//!    `MAX_RUNS` runs of one stream; bytes go to the tail only once the head is full.
//! 4. The runs of a part cover it without gap or overlap, in order; so do its segments, of which
//!    the first may begin before it.
//! 5. The account of the log holds `head.len() + tail.len()`.
//! 6. The buffers of a part take at most three segments more than the bytes that it keeps: what
//!    the first segment has dropped, the room in the others, and a spare buffer. Once a log has
//!    settled they take at most twice as much as it keeps.
//!
//! # Lock order
//!
//! One lock, a leaf: nothing is called while it is held (wakers are cloned before it, woken and
//! dropped after it), and it is not taken while the registry's lock is held: `total` and `closed`
//! lie beside it. The registry marks a log as closed under its own lock and wakes who follows it
//! after that; a follower looks whether it is closed under the lock of the log, so it either sees
//! the mark or is there to be woken.

mod follow;
mod inner;
mod part;
mod quota;
#[cfg(feature = "search")]
mod search;

pub use follow::Follow;
use inner::Inner;
pub(crate) use quota::Quota;
#[cfg(feature = "search")]
pub use search::{Found, FoundLine, PatternError, Search};

use crate::effects::shielded;
use crate::machine::Key;
use crate::shared::{Shared, with_weak};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, Weak};

/// Which of a task's streams bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stream {
    /// Standard output, and what a task writes that has no streams.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How much of an output log stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCaps {
    /// Bytes kept from the beginning.
    pub head: usize,
    /// Bytes kept from the end.
    pub tail: usize,
}

impl Default for LogCaps {
    /// 256 KiB from the beginning, 768 KiB from the end.
    fn default() -> Self {
        Self { head: 256 << 10, tail: 768 << 10 }
    }
}

/// What a task wrote, kept in memory up to a cap: the beginning, the end, and the exact number of
/// bytes between them that were dropped.
///
/// A handle; clones share one log. Any number of readers read by offset, each at its own pace,
/// and none of them changes what another one sees.
///
/// # Examples
///
/// ```
/// use bg_core::{LogCaps, OutputLog, Stream};
///
/// let log = OutputLog::new(LogCaps { head: 4, tail: 4 });
/// log.write(Stream::Stdout, b"0123456789");
/// let first = log.read(0, 100, None);
/// assert_eq!((&first.bytes[..], first.next), (&b"0123"[..], 4));
/// let second = log.read(first.next, 100, None);
/// assert_eq!((&second.bytes[..], second.omitted, second.next), (&b"6789"[..], 2, 10));
/// ```
#[derive(Clone, Debug)]
pub struct OutputLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    inner: Mutex<Inner>,
    /// Beside the lock, so that a task can end without taking it.
    closed: AtomicBool,
    /// The same as in `inner`, for those who list tasks under the registry's lock.
    total: AtomicU64,
    /// Who is told that it grew.
    listener: Option<Listener>,
    /// The highest total that was told to all: of two who write, the later may tell first.
    published: AtomicU64,
}

/// The registry, and the task that writes.
pub(crate) type Listener = (Weak<Shared>, Key);

/// A piece of an output log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// The bytes, without a gap between them.
    pub bytes: Vec<u8>,
    /// The offset to read from next.
    pub next: u64,
    /// How many bytes between the offset that was asked for and the first one here were dropped.
    pub omitted: u64,
    /// Whether the log is closed and this chunk reaches its end.
    pub eof: bool,
}

impl Chunk {
    /// Reads a piece of something that is all in memory, as if it were a log. `ended` says that
    /// nothing will be added to it.
    pub fn of_bytes(bytes: &[u8], from: u64, max: usize, ended: bool) -> Self {
        let start = to_index(from).min(bytes.len());
        let piece = &bytes[start..start + max.min(bytes.len() - start)];
        let end = start + piece.len();
        Self {
            bytes: piece.to_vec(),
            next: end as u64,
            omitted: 0,
            eof: ended && end == bytes.len(),
        }
    }
}

impl OutputLog {
    /// The capacity of the buffers that [`write_owned`](Self::write_owned) keeps as they are.
    pub const BUFFER_BYTES: usize = part::SEGMENT_BYTES;

    /// Makes an empty log.
    pub fn new(caps: LogCaps) -> Self {
        Self::make(Inner::new(caps, 0, None), None)
    }

    /// Makes an empty log whose first byte has this offset: for output whose beginning went
    /// elsewhere. What lies before it counts as dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{LogCaps, OutputLog, Stream};
    ///
    /// let log = OutputLog::starting_at(1 << 40, LogCaps::default());
    /// log.write(Stream::Stdout, b"abc");
    /// let chunk = log.read(0, 100, None);
    /// assert_eq!((&chunk.bytes[..], chunk.omitted, chunk.next), (&b"abc"[..], 1 << 40, (1 << 40) + 3));
    /// ```
    pub fn starting_at(offset: u64, caps: LogCaps) -> Self {
        Self::make(Inner::new(caps, offset, None), None)
    }

    /// Makes an empty log whose growth the registry is told of, and that shares the quota of its
    /// root.
    pub(crate) fn told(caps: LogCaps, listener: Listener, quota: Arc<Quota>) -> Self {
        Self::make(Inner::new(caps, 0, Some(quota)), Some(listener))
    }

    fn make(inner: Inner, listener: Option<Listener>) -> Self {
        Self(Arc::new(Log {
            closed: AtomicBool::new(false),
            total: AtomicU64::new(inner.total()),
            inner: Mutex::new(inner),
            listener,
            published: AtomicU64::new(0),
        }))
    }

    /// Appends a copy of these bytes. What is written after [`close`](Self::close) is ignored.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.change(|inner| {
            let room = to_index(u64::MAX - inner.total());
            inner.write(stream, &bytes[..bytes.len().min(room)]);
        });
    }

    /// Appends what is in a buffer, and returns an empty one of at least its capacity to fill next.
    ///
    /// For what streams large pieces into the log: a buffer of [`BUFFER_BYTES`](Self::BUFFER_BYTES)
    /// that is nearly full is kept as it is, and one that has fallen out of the log comes back in
    /// its place. Others are copied, so that memory stays within the caps.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use bg_core::{LogCaps, OutputLog, Stream};
    ///
    /// let log = OutputLog::new(LogCaps::default());
    /// let mut pipe = std::io::repeat(b'.').take(3 << 20);
    /// let mut buffer = Vec::with_capacity(OutputLog::BUFFER_BYTES);
    /// while pipe.by_ref().take(OutputLog::BUFFER_BYTES as u64).read_to_end(&mut buffer)? > 0 {
    ///     buffer = log.write_owned(Stream::Stdout, buffer);
    /// }
    /// assert_eq!((log.total(), log.omitted()), (3 << 20, 2 << 20));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "the buffer that comes back is the one to fill next"]
    pub fn write_owned(&self, stream: Stream, mut buffer: Vec<u8>) -> Vec<u8> {
        let mut next = None;
        self.change(|inner| {
            buffer.truncate(to_index(u64::MAX - inner.total()));
            next = Some(inner.write_owned(stream, std::mem::take(&mut buffer)));
        });
        next.unwrap_or_else(|| {
            buffer.clear();
            buffer
        })
    }

    /// Writes under the lock, and tells of it after it.
    fn change(&self, write: impl FnOnce(&mut Inner)) {
        let mut inner = self.0.inner.lock();
        // Under the lock, as in `read`: where a reader saw the end, nothing follows.
        if self.is_closed() {
            return;
        }
        let before = inner.total();
        write(&mut inner);
        let total = inner.total();
        if total == before {
            return;
        }
        self.0.total.store(total, Ordering::Release);
        let (tell, followers) = (inner.grew(), inner.followers.take());
        drop(inner);
        followers.for_each(|waker| shielded(|| waker.wake()));
        if let Some(total) = tell {
            self.tell(total);
        }
    }

    /// Tells those who listen to the registry's events that the log grew.
    fn tell(&self, total: u64) {
        let Some((shared, key)) = &self.0.listener else { return };
        with_weak(shared, |machine, fx| machine.output_grew(*key, total, fx));
    }

    /// Returns whether a total is news, and notes that it is told.
    pub(crate) fn tells(&self, total: u64) -> bool {
        self.0.published.fetch_max(total, Ordering::Relaxed) < total
    }

    /// Says that nothing more will come, and wakes who follows. The registry does this when the
    /// task ends.
    pub fn close(&self) {
        self.mark_closed();
        self.settle();
    }

    /// The part of [`close`](Self::close) that takes no lock; [`settle`](Self::settle) is to follow.
    pub(crate) fn mark_closed(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// Wakes who follows a closed log, and frees what only a writer needs.
    pub(crate) fn settle(&self) {
        let mut inner = self.0.inner.lock();
        inner.settle();
        let followers = inner.followers.take();
        drop(inner);
        followers.for_each(|waker| shielded(|| waker.wake()));
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Returns how many bytes were written in all.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Acquire)
    }

    /// Returns how many of them were dropped, because of its caps or of the
    /// [quota](crate::Limits::output_bytes) of its root.
    pub fn omitted(&self) -> u64 {
        self.0.inner.lock().omitted()
    }

    /// Returns how much memory it takes: little more than what it keeps, whatever is written.
    pub fn allocated(&self) -> usize {
        self.0.inner.lock().allocated()
    }

    /// Reads at most `max` bytes from the offset `from` on, of one stream or of all.
    ///
    /// A chunk ends at a gap, so a reader that goes on from [`next`](Chunk::next) sees everything
    /// that is kept. An offset past the end reads nothing.
    pub fn read(&self, from: u64, max: usize, stream: Option<Stream>) -> Chunk {
        self.0.inner.lock().read(from, max, stream, self.is_closed())
    }
}

/// An offset inside a part, which is smaller than memory.
fn to_index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
