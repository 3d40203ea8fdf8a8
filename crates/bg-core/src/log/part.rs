//! A contiguous piece of a log: its segments, and the runs of one stream in it.

use std::collections::VecDeque;

use super::Stream;

/// Bytes of a segment, and of the buffers that [`write_owned`](super::OutputLog::write_owned) keeps.
pub(super) const SEGMENT_BYTES: usize = 128 << 10;

/// A small part has small segments, so that what is dropped from its front frees memory soon.
const LEAST_SEGMENT_BYTES: usize = 64;

/// Most runs that a part keeps: two streams that alternate byte by byte would otherwise cost
/// sixteen times what they write.
pub(super) const MAX_RUNS: usize = 4096;

/// The bytes `[start, end)` of a log.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) end: u64,
    segments: VecDeque<Segment>,
    /// (stream, length), in order.
    runs: VecDeque<(Stream, usize)>,
    segment_bytes: usize,
    /// Room at the ends of all segments but the last: nothing will fill it.
    slack: usize,
    /// The buffer that fell out last, to be filled again.
    spare: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Segment {
    /// The offset of the first byte in `bytes`; a part may begin in the middle of its first one.
    start: u64,
    bytes: Vec<u8>,
}

impl Part {
    /// Makes an empty part for about `cap` bytes.
    pub(super) fn new(start: u64, cap: usize) -> Self {
        let segment_bytes = (cap / 4).clamp(LEAST_SEGMENT_BYTES, SEGMENT_BYTES);
        let (segments, runs) = (VecDeque::new(), VecDeque::new());
        Self { start, end: start, segments, runs, segment_bytes, slack: 0, spare: None }
    }

    pub(super) fn len(&self) -> usize {
        super::to_index(self.end - self.start)
    }

    pub(super) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    pub(super) fn has_all_runs(&self) -> bool {
        self.runs.len() >= MAX_RUNS
    }

    /// Returns how much memory the part takes.
    pub(super) fn allocated(&self) -> usize {
        let segments = self.segments.iter().map(|segment| segment.bytes.capacity());
        let buffers = segments.sum::<usize>() + self.spare.as_ref().map_or(0, Vec::capacity);
        let lists = self.segments.capacity() * size_of::<Segment>();
        buffers + lists + self.runs.capacity() * size_of::<(Stream, usize)>()
    }

    /// Frees what only a writer needs: nothing more is pushed.
    pub(super) fn settle(&mut self) {
        self.spare = None;
        self.runs.shrink_to_fit();
        if self.allocated() > 2 * self.len() {
            let mut bytes = Vec::with_capacity(self.len());
            self.copy(&mut bytes, self.start, self.end);
            let whole = (!bytes.is_empty()).then_some(Segment { start: self.start, bytes });
            (self.segments, self.slack) = (whole.into_iter().collect(), 0);
        }
    }

    /// Moves an empty part: these bytes lie before it.
    pub(super) fn skip(&mut self, bytes: u64) {
        debug_assert!(self.segments.is_empty(), "only an empty part moves");
        self.end += bytes;
        self.start = self.end;
    }

    /// Copies bytes to the end.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.open_segment().fill(rest);
            self.end += taken as u64;
            rest = &rest[taken..];
        }
        self.note_run(stream, bytes.len());
    }

    /// Returns a segment with room, the last one or a new one.
    fn open_segment(&mut self) -> Open<'_> {
        let most = self.segment_bytes;
        let full = |segment: &Segment| segment.bytes.len() >= segment.bytes.capacity().max(most);
        if self.segments.back().is_none_or(full) {
            let first = self.segments.is_empty();
            let fresh = || Vec::with_capacity(if first { 0 } else { most });
            let bytes = self.spare.take().unwrap_or_else(fresh);
            self.add_segment(bytes);
        }
        let last = self.segments.len() - 1;
        Open { bytes: &mut self.segments[last].bytes, most }
    }

    fn add_segment(&mut self, bytes: Vec<u8>) {
        self.slack += self.room_of_last();
        self.segments.push_back(Segment { start: self.end, bytes });
    }

    fn room_of_last(&self) -> usize {
        self.segments.back().map_or(0, Segment::room)
    }

    /// Returns whether a buffer is worth keeping as it is: it has about the size of a segment, and
    /// what room it has left does not add up to more than one with that of the others.
    pub(super) fn keeps(&self, buffer: &Vec<u8>) -> bool {
        let sizes = self.segment_bytes / 2..=self.segment_bytes;
        let room = buffer.capacity() - buffer.len();
        let slack = self.slack + self.room_of_last() + room;
        sizes.contains(&buffer.len())
            && sizes.contains(&buffer.capacity())
            && slack <= self.segment_bytes
    }

    /// Takes a whole buffer as the last segment.
    pub(super) fn push_owned(&mut self, stream: Stream, buffer: Vec<u8>) {
        let len = buffer.len();
        self.add_segment(buffer);
        self.end += len as u64;
        self.note_run(stream, len);
    }

    /// Takes the buffer that fell out last, if it has this capacity.
    pub(super) fn recycle(&mut self, capacity: usize) -> Option<Vec<u8>> {
        self.spare.take_if(|spare| spare.capacity() >= capacity)
    }

    fn note_run(&mut self, stream: Stream, len: usize) {
        match self.runs.back_mut() {
            Some((last, run)) if *last == stream => *run += len,
            _ => self.runs.push_back((stream, len)),
        }
    }

    /// Returns how many bytes have to go for at most [`MAX_RUNS`] runs to be left.
    pub(super) fn surplus_runs(&self) -> usize {
        let surplus = self.runs.len().saturating_sub(MAX_RUNS);
        self.runs.iter().take(surplus).map(|&(_, len)| len).sum()
    }

    /// Drops bytes from the front.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.start += bytes as u64;
        self.drop_runs(bytes);
        while self.segments.front().is_some_and(|segment| segment.end() <= self.start) {
            self.drop_segment();
        }
    }

    fn drop_runs(&mut self, bytes: usize) {
        let mut left = bytes;
        while let Some((_, run)) = self.runs.front_mut().filter(|_| left > 0) {
            let dropped = left.min(*run);
            *run -= dropped;
            left -= dropped;
            if *run == 0 {
                self.runs.pop_front();
            }
        }
    }

    fn drop_segment(&mut self) {
        let Some(Segment { mut bytes, .. }) = self.segments.pop_front() else { return };
        if !self.segments.is_empty() {
            self.slack -= bytes.capacity() - bytes.len();
        }
        bytes.clear();
        let larger = |spare: &Vec<u8>| spare.capacity() < bytes.capacity();
        if self.spare.as_ref().is_none_or(larger) {
            self.spare = Some(bytes);
        }
    }

    /// Returns the runs from an offset on, each with where it begins and ends.
    pub(super) fn runs_from(&self, from: u64) -> impl Iterator<Item = (Stream, u64, u64)> {
        let mut end = self.start;
        let runs = self.runs.iter().map(move |&(stream, len)| {
            let start = end;
            end += len as u64;
            (stream, start, end)
        });
        let later = runs.filter(move |&(_, _, end)| end > from);
        later.map(move |(stream, start, end)| (stream, start.max(from), end))
    }

    /// Reads from an offset on until `out` has `max` bytes; returns how far it got.
    pub(super) fn read(
        &self,
        out: &mut Vec<u8>,
        from: u64,
        max: usize,
        wanted: Option<Stream>,
    ) -> u64 {
        let mut next = from;
        for (stream, start, end) in self.runs_from(from) {
            if wanted.is_some_and(|wanted| wanted != stream) {
                next = end;
                continue;
            }
            next = end.min(start.saturating_add((max - out.len()) as u64));
            self.copy(out, start, next);
            if next < end {
                break;
            }
        }
        next
    }

    /// Returns the last byte of a stream before an offset.
    #[cfg(feature = "search")]
    pub(super) fn last_byte(&self, before: u64, stream: Stream) -> Option<u8> {
        let runs = self.runs_from(self.start).take_while(|&(_, start, _)| start < before);
        let (_, _, end) = runs.filter(|&(of, ..)| of == stream).last()?;
        let (mut byte, end) = (Vec::with_capacity(1), end.min(before));
        self.copy(&mut byte, end - 1, end);
        byte.pop()
    }

    /// Copies the bytes `[from, to)`.
    pub(super) fn copy(&self, out: &mut Vec<u8>, from: u64, to: u64) {
        out.reserve(super::to_index(to - from));
        let first = self.segments.partition_point(|segment| segment.end() <= from);
        for segment in self.segments.range(first..) {
            if segment.start >= to {
                break;
            }
            let at = |offset: u64| super::to_index(offset.saturating_sub(segment.start));
            out.extend_from_slice(&segment.bytes[at(from)..at(to).min(segment.bytes.len())]);
        }
    }
}

/// The segment that is being filled.
struct Open<'a> {
    bytes: &'a mut Vec<u8>,
    most: usize,
}

impl Open<'_> {
    /// Copies what there is room for; returns how much. The buffer grows by doubling, up to a whole
    /// segment: who writes little costs little.
    fn fill(self, bytes: &[u8]) -> usize {
        let len = self.bytes.len();
        let most = self.most.max(self.bytes.capacity());
        let taken = bytes.len().min(most - len);
        if len + taken > self.bytes.capacity() {
            let wanted = (2 * self.bytes.capacity()).max(len + taken).min(most);
            self.bytes.reserve_exact(wanted - len);
        }
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }
}
