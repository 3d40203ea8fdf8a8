//! What lies under the lock of a log.

use super::part::Part;
use super::quota::{Account, HEAD_FLOOR, Quota, TAIL_FLOOR};
use super::{Chunk, LogCaps, Stream};
use crate::sync::Arc;
use crate::wakers::Wakers;

/// How many bytes are written between two events: enough that a chatty task does not fill the
/// stream of events, few enough that a viewer keeps up.
const TOLD_EVERY: u64 = 4096;

#[derive(Debug)]
pub(super) struct Inner {
    caps: LogCaps,
    pub(super) head: Part,
    /// It ends where the log ends, also while it is empty.
    pub(super) tail: Part,
    /// It holds what both parts keep.
    account: Account,
    /// What the registry was told last.
    told: u64,
    /// Who waits for more.
    pub(super) followers: Wakers,
}

impl Inner {
    pub(super) fn new(caps: LogCaps, start: u64, quota: Option<Arc<Quota>>) -> Self {
        let followers = Wakers::default();
        let (head, tail) = (Part::new(0, caps.head), Part::new(start, caps.tail));
        Self { caps, head, tail, account: Account::new(quota), told: 0, followers }
    }

    pub(super) fn total(&self) -> u64 {
        self.tail.end
    }

    pub(super) fn omitted(&self) -> u64 {
        self.tail.start - self.head.end
    }

    pub(super) fn allocated(&self) -> usize {
        self.head.allocated() + self.tail.allocated()
    }

    /// Frees what only a writer needs.
    pub(super) fn settle(&mut self) {
        self.head.settle();
        self.tail.settle();
    }

    /// Returns what to tell about growth: the first bytes, then once in [`TOLD_EVERY`] bytes.
    pub(super) fn grew(&mut self) -> Option<u64> {
        let total = self.total();
        if self.told != 0 && total - self.told < TOLD_EVERY {
            return None;
        }
        self.told = total;
        Some(total)
    }

    fn head_is_full(&self) -> bool {
        // I3: once the tail has begun, the head stays as it is.
        self.total() > self.head.end
            || self.head.len() == self.caps.head
            || self.head.has_all_runs()
    }

    /// Appends a copy of these bytes.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let rest = self.write_head(stream, bytes);
        // Of one write, only what the tail can hold is copied.
        let (lost, kept) = rest.split_at(rest.len().saturating_sub(self.caps.tail));
        if !lost.is_empty() {
            self.lose(self.tail.len());
            self.tail.skip(lost.len() as u64);
        }
        for piece in kept.chunks(self.tail.segment_bytes()) {
            let refused = self.make_room(piece.len());
            self.tail.push(stream, piece);
            self.trim(refused);
        }
    }

    /// Appends to the head while it has room; returns what it did not take.
    fn write_head<'a>(&mut self, stream: Stream, bytes: &'a [u8]) -> &'a [u8] {
        if self.head_is_full() {
            return bytes;
        }
        let (len, floor) = (self.head.len(), HEAD_FLOOR.saturating_sub(self.head.len()));
        let wanted = bytes.len().min(self.caps.head - len);
        let (first, rest) = bytes.split_at(self.account.take(wanted, floor));
        if !first.is_empty() {
            self.head.push(stream, first);
            self.tail.skip(first.len() as u64);
        }
        rest
    }

    /// Appends a buffer, as it is if the tail wants it; returns one to fill next.
    pub(super) fn write_owned(&mut self, stream: Stream, mut buffer: Vec<u8>) -> Vec<u8> {
        if !(self.head_is_full() && self.tail.keeps(&buffer)) {
            self.write(stream, &buffer);
            buffer.clear();
            return buffer;
        }
        let capacity = buffer.capacity();
        let refused = self.make_room(buffer.len());
        self.tail.push_owned(stream, buffer);
        self.trim(refused);
        self.tail.recycle(capacity).unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// Drops what stands in the way of so many more bytes in the tail: what is over its cap, and
    /// what the quota refuses. Returns how many of the new bytes themselves are refused.
    fn make_room(&mut self, bytes: usize) -> usize {
        let len = self.tail.len();
        let over = (len + bytes).saturating_sub(self.caps.tail);
        // What goes out pays for as much that comes in.
        let wanted = bytes - over;
        let granted = self.account.take(wanted, TAIL_FLOOR.saturating_sub(len));
        let out = over + wanted - granted;
        self.tail.drop_front(out.min(len));
        out.saturating_sub(len)
    }

    /// Drops bytes that were refused, and what has too many runs.
    fn trim(&mut self, refused: usize) {
        self.tail.drop_front(refused);
        self.lose(self.tail.surplus_runs());
    }

    /// Drops bytes that were paid for.
    fn lose(&mut self, bytes: usize) {
        if bytes > 0 {
            self.tail.drop_front(bytes);
            self.account.give(bytes);
        }
    }

    pub(super) fn read(
        &self,
        from: u64,
        max: usize,
        stream: Option<Stream>,
        closed: bool,
    ) -> Chunk {
        let (head_end, total) = (self.head.end, self.total());
        let mut bytes = Vec::new();
        let mut start = from.min(total);
        let mut next = start;
        if start < head_end {
            next = self.head.read(&mut bytes, start, max, stream);
        } else {
            start = start.max(self.tail.start);
        }
        if start >= head_end || next == self.tail.start {
            next = self.tail.read(&mut bytes, start.max(head_end), max, stream);
        }
        Chunk {
            bytes,
            next,
            omitted: start.saturating_sub(from.max(head_end)),
            eof: closed && next == total,
        }
    }
}
