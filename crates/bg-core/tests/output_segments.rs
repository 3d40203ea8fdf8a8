//! Whatever is written, copied or handed over, a log keeps what it should in little more memory.

use std::ops::Range;

use bg_core::{Chunk, LogCaps, OutputLog, Stream};
use proptest::prelude::*;

/// What is written: the byte at an offset follows from the offset.
fn written(range: Range<u64>) -> Vec<u8> {
    range.map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[derive(Clone, Copy, Debug)]
enum How {
    Copied,
    /// In a buffer of a capacity that is so much larger.
    Owned(usize),
}

#[derive(Clone, Copy, Debug)]
struct Write {
    stream: Stream,
    len: usize,
    how: How,
}

fn write() -> impl Strategy<Value = Write> {
    let full = OutputLog::BUFFER_BYTES;
    let len = prop_oneof![
        0..3_usize,
        0..5_000_usize,
        full / 2..=full,
        Just(full),
        Just(full - 1),
        full..3 * full
    ];
    let how = prop_oneof![
        Just(How::Copied),
        (0..2_usize).prop_map(How::Owned),
        (0..OutputLog::BUFFER_BYTES).prop_map(How::Owned),
    ];
    let stream = prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    (stream, len, how).prop_map(|(stream, len, how)| Write { stream, len, how })
}

fn caps() -> impl Strategy<Value = LogCaps> {
    let cap = prop_oneof![
        0..100_usize,
        0..100_000_usize,
        100_000..900_000_usize,
        Just(8 * OutputLog::BUFFER_BYTES),
    ];
    (cap.clone(), cap).prop_map(|(head, tail)| LogCaps { head, tail })
}

impl Write {
    fn to(self, log: &OutputLog) {
        let bytes = written(log.total()..log.total() + self.len as u64);
        let How::Owned(more) = self.how else { return log.write(self.stream, &bytes) };
        let mut buffer = Vec::with_capacity(self.len + more);
        buffer.extend(bytes);
        let capacity = buffer.capacity();
        let next = log.write_owned(self.stream, buffer);
        assert!(next.is_empty() && next.capacity() >= capacity, "a buffer to fill next");
    }
}

/// The offsets that are kept: those of the beginning and those of the end.
fn kept(total: u64, caps: LogCaps) -> [Range<u64>; 2] {
    let head = total.min(caps.head as u64);
    [0..head, total.saturating_sub(caps.tail as u64).max(head)..total]
}

/// Returns the kept parts of the runs of a stream, or of all.
fn expected(writes: &[Write], caps: LogCaps, wanted: Option<Stream>) -> Vec<u8> {
    let total = writes.iter().map(|write| write.len as u64).sum();
    let (mut bytes, mut at) = (Vec::new(), 0);
    for write in writes {
        let run = at..at + write.len as u64;
        at = run.end;
        if wanted.is_none_or(|wanted| wanted == write.stream) {
            for part in kept(total, caps) {
                bytes.extend(written(run.start.max(part.start)..run.end.min(part.end)));
            }
        }
    }
    bytes
}

fn read_all(log: &OutputLog, max: usize, stream: Option<Stream>) -> (Vec<u8>, u64) {
    let (mut at, mut bytes, mut omitted) = (0, Vec::new(), 0);
    while at < log.total() {
        let chunk = log.read(at, max, stream);
        assert!(chunk.bytes.len() <= max && chunk.next > at);
        bytes.extend(chunk.bytes);
        (at, omitted) = (chunk.next, omitted + chunk.omitted);
    }
    (bytes, omitted)
}

/// At most three buffers more than what is kept.
#[track_caller]
fn check_memory(log: &OutputLog) {
    let (kept, allocated) = (index(log.total() - log.omitted()), log.allocated());
    assert!(allocated <= kept + 3 * OutputLog::BUFFER_BYTES, "{allocated} for {kept}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_is_what_was_written_and_memory_holds(
        caps in caps(),
        writes in proptest::collection::vec(write(), 0..16),
        max in prop_oneof![Just(usize::MAX), 50_000..300_000_usize],
    ) {
        let log = OutputLog::new(caps);
        for write in &writes {
            write.to(&log);
            let [head, tail] = kept(log.total(), caps);
            prop_assert_eq!(log.omitted(), tail.start - head.end);
            check_memory(&log);
            let last = log.total().saturating_sub(20).max(tail.start)..log.total();
            prop_assert_eq!(log.read(last.start, 20, None).bytes, written(last));
        }
        for stream in [None, Some(Stream::Stdout), Some(Stream::Stderr)] {
            let (bytes, omitted) = read_all(&log, max, stream);
            prop_assert!(bytes == expected(&writes, caps, stream), "{:?}", stream);
            prop_assert_eq!(omitted, log.omitted());
        }
    }
}

#[test]
fn a_byte_at_a_time_costs_no_buffer_each() {
    let log = OutputLog::new(LogCaps::default());
    for _ in 0..1_200_000 {
        log.write(Stream::Stdout, b".");
    }
    check_memory(&log);
    let log = OutputLog::new(LogCaps::default());
    log.write(Stream::Stdout, b"one line\n");
    assert!(log.allocated() < 1000, "who writes little costs little");
    let log = OutputLog::new(LogCaps { head: 0, tail: 1 << 20 });
    for _ in 0..50_000 {
        drop(log.write_owned(Stream::Stdout, b".".to_vec()));
        drop(log.write_owned(Stream::Stdout, Vec::new()));
    }
    check_memory(&log);
}

#[test]
fn a_buffer_that_is_full_is_kept_and_one_that_fell_out_comes_back() {
    let log = OutputLog::new(LogCaps { head: 0, tail: 4 * OutputLog::BUFFER_BYTES });
    let mut seen = std::collections::BTreeSet::new();
    let mut buffer = Vec::with_capacity(OutputLog::BUFFER_BYTES);
    for _ in 0..100 {
        seen.insert(buffer.as_ptr());
        buffer.resize(OutputLog::BUFFER_BYTES, b'.');
        let before = buffer.as_ptr();
        buffer = log.write_owned(Stream::Stdout, buffer);
        assert_ne!(buffer.as_ptr(), before, "it was copied");
    }
    assert!(seen.len() <= 6, "{} buffers for a log of four", seen.len());
}

#[test]
fn buffers_that_are_nearly_empty_are_not_kept() {
    let log = OutputLog::new(LogCaps { head: 0, tail: 8 * OutputLog::BUFFER_BYTES });
    let mut buffer = Vec::with_capacity(OutputLog::BUFFER_BYTES);
    for _ in 0..10_000 {
        let before = buffer.as_ptr();
        buffer.extend(b"ready\n");
        buffer = log.write_owned(Stream::Stdout, buffer);
        assert_eq!(buffer.as_ptr(), before);
    }
    check_memory(&log);
}

#[test]
fn a_log_that_is_closed_costs_what_it_keeps() {
    for bytes in [0, 1, 1_000, 200_000, 900_000, 5_000_000] {
        let log = OutputLog::new(LogCaps { head: 1_000, tail: 600_000 });
        for piece in written(0..bytes).chunks(OutputLog::BUFFER_BYTES - 1) {
            let mut buffer = Vec::with_capacity(OutputLog::BUFFER_BYTES);
            buffer.extend(piece);
            drop(log.write_owned(Stream::Stdout, buffer));
        }
        let before = read_all(&log, usize::MAX, None);
        log.close();
        let kept = index(log.total() - log.omitted());
        assert!(log.allocated() <= 2 * kept + 1_000, "{} for {kept}", log.allocated());
        assert!(read_all(&log, usize::MAX, None) == before);
    }
}

#[test]
fn offsets_hold_up_to_the_last_one_that_there_is() {
    let (start, caps) = (u64::MAX - 10, LogCaps { head: 4, tail: 4 });
    let log = OutputLog::starting_at(start, caps);
    assert_eq!((log.total(), log.omitted()), (start, start));
    log.write(Stream::Stdout, b"0123456");
    log.write(Stream::Stderr, b"789ABC");
    assert_eq!((log.total(), log.omitted()), (u64::MAX, u64::MAX - 4));
    log.close();
    let Chunk { bytes, next, omitted, eof, .. } = log.read(0, 100, None);
    assert_eq!((&bytes[..], next, omitted, eof), (&b"6789"[..], u64::MAX, u64::MAX - 4, true));
    let errors = log.read(u64::MAX - 2, 100, Some(Stream::Stderr));
    assert_eq!((&errors.bytes[..], errors.next), (&b"89"[..], u64::MAX));
    assert!(log.write_owned(Stream::Stdout, b"too late".to_vec()).is_empty());
    assert_eq!(log.read(u64::MAX, 1, None).bytes, b"");
}
