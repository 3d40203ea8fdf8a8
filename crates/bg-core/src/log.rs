//! The output log of a task: append-only, read by offset, bounded in memory.
//!
//! # Invariants
//!
//! 1. `head` holds the bytes `[0, head.len())`, `tail` the bytes `[total - tail.len(), total)`;
//!    what lies between them was dropped, and stays dropped.
//! 2. Offsets are 64-bit, count every byte ever written and never move.
//! 3. `head.len() <= caps.head`, `tail.len() <= caps.tail`, and each part has at most
//!    `MAX_RUNS` runs of one stream; bytes go to the tail only once the head is full.
//! 4. The runs of a part cover it without gap or overlap, in order.
//!
//! # Lock order
//!
//! One lock, a leaf: nothing is called while it is held, and it is not taken while the
//! registry's lock is held (`total` and `closed` are read beside it).

use std::collections::VecDeque;

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

#[derive(Debug)]
struct Inner {
    caps: LogCaps,
    head: Part,
    tail: Part,
    total: u64,
    /// What the registry was told last.
    told: u64,
}

/// A contiguous piece of the log with its runs: (stream, length), in order.
#[derive(Debug, Default)]
struct Part {
    bytes: VecDeque<u8>,
    runs: VecDeque<(Stream, usize)>,
}

/// Most runs that a part keeps: two streams that alternate byte by byte would otherwise cost
/// sixteen times what they write.
const MAX_RUNS: usize = 4096;

/// How many bytes are written between two events: enough that a chatty task does not fill the
/// stream of events, few enough that a viewer keeps up.
const TOLD_EVERY: u64 = 4096;

impl OutputLog {
    /// Makes an empty log.
    pub fn new(caps: LogCaps) -> Self {
        Self::make(caps, None)
    }

    /// Makes an empty log whose growth the registry is told of.
    pub(crate) fn told(caps: LogCaps, listener: Listener) -> Self {
        Self::make(caps, Some(listener))
    }

    fn make(caps: LogCaps, listener: Option<Listener>) -> Self {
        let (head, tail) = (Part::default(), Part::default());
        let inner = Mutex::new(Inner { caps, head, tail, total: 0, told: 0 });
        Self(Arc::new(Log {
            inner,
            closed: AtomicBool::new(false),
            total: AtomicU64::new(0),
            listener,
            published: AtomicU64::new(0),
        }))
    }

    /// Appends bytes. What is written after [`close`](Self::close) is ignored.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut inner = self.0.inner.lock();
        // Under the lock, as in `read`: where a reader saw the end, nothing follows.
        if bytes.is_empty() || self.is_closed() {
            return;
        }
        inner.write(stream, bytes);
        self.0.total.store(inner.total, Ordering::Release);
        let tell = inner.grew();
        drop(inner);
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

    /// Says that nothing more will come. The registry does this when the task ends.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Returns how many bytes were written in all.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Acquire)
    }

    /// Returns how many of them were dropped.
    pub fn omitted(&self) -> u64 {
        let inner = self.0.inner.lock();
        inner.tail_start() - inner.head.bytes.len() as u64
    }

    /// Reads at most `max` bytes from the offset `from` on, of one stream or of all.
    ///
    /// A chunk ends at a gap, so a reader that goes on from [`next`](Chunk::next) sees everything
    /// that is kept. An offset past the end reads nothing.
    pub fn read(&self, from: u64, max: usize, stream: Option<Stream>) -> Chunk {
        self.0.inner.lock().read(from, max, stream, self.is_closed())
    }
}

impl Inner {
    /// Returns what to tell about growth: the first bytes, then once in [`TOLD_EVERY`] bytes.
    fn grew(&mut self) -> Option<u64> {
        if self.told != 0 && self.total - self.told < TOLD_EVERY {
            return None;
        }
        self.told = self.total;
        Some(self.total)
    }

    fn tail_start(&self) -> u64 {
        self.total - self.tail.bytes.len() as u64
    }

    fn head_is_full(&self) -> bool {
        // I3: once the tail has begun, the head stays as it is.
        self.total > self.head.bytes.len() as u64
            || self.head.bytes.len() == self.caps.head
            || self.head.runs.len() == MAX_RUNS
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let room = if self.head_is_full() { 0 } else { self.caps.head - self.head.bytes.len() };
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.push(stream, first);
        self.total += bytes.len() as u64;
        // Of one write, only what the tail can hold is copied, and room is made first.
        let kept = &rest[rest.len().saturating_sub(self.caps.tail)..];
        self.tail.shrink_to(self.caps.tail - kept.len());
        self.tail.push(stream, kept);
        self.tail.shrink_to(self.caps.tail);
        debug_assert!(self.tail_start() >= self.head.bytes.len() as u64, "I1");
    }

    fn read(&self, from: u64, max: usize, stream: Option<Stream>, closed: bool) -> Chunk {
        let head_end = self.head.bytes.len() as u64;
        let (part, part_start) =
            if from < head_end { (&self.head, 0) } else { (&self.tail, self.tail_start()) };
        let start = from.max(part_start).min(self.total);
        let (mut bytes, read) = part.read(to_index(start - part_start), max, stream);
        let mut next = start + read as u64;
        if part_start == 0 && next == head_end && self.tail_start() == head_end {
            let (more, read) = self.tail.read(0, max - bytes.len(), stream);
            bytes.extend(more);
            next += read as u64;
        }
        Chunk {
            bytes,
            next,
            omitted: start.saturating_sub(from.max(head_end)),
            eof: closed && next == self.total,
        }
    }
}

impl Part {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend(bytes);
        match self.runs.back_mut() {
            Some((last, len)) if *last == stream => *len += bytes.len(),
            _ => self.runs.push_back((stream, bytes.len())),
        }
    }

    /// Drops bytes from the front until at most `cap` bytes and [`MAX_RUNS`] runs are left.
    fn shrink_to(&mut self, cap: usize) {
        while self.bytes.len() > cap || self.runs.len() > MAX_RUNS {
            let Some((_, run)) = self.runs.front_mut() else { return };
            let over = self.bytes.len().saturating_sub(cap);
            let dropped = if over == 0 { *run } else { over.min(*run) };
            *run -= dropped;
            if *run == 0 {
                self.runs.pop_front();
            }
            self.bytes.drain(..dropped);
        }
    }

    /// Reads from an index; returns the wanted bytes and how far it got.
    fn read(&self, from: usize, max: usize, wanted: Option<Stream>) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let mut at = from.min(self.bytes.len());
        let mut run_start = 0;
        for &(stream, len) in &self.runs {
            let run_end = run_start + len;
            run_start = run_end;
            if run_end <= at {
                continue;
            }
            let skipped = wanted.is_some_and(|wanted| wanted != stream);
            let take = if skipped { run_end - at } else { (run_end - at).min(max - out.len()) };
            if !skipped {
                out.extend(self.bytes.range(at..at + take));
            }
            at += take;
            if at < run_end {
                break;
            }
        }
        (out, at - from.min(self.bytes.len()))
    }
}

/// An offset inside a part, which is smaller than memory.
fn to_index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
