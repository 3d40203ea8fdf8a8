//! An output log keeps its beginning and its end within its caps, and counts the rest exactly.

use bg_core::{LogCaps, OutputLog, Stream};
use proptest::prelude::*;

/// Everything that was ever written.
#[derive(Default)]
struct Model(Vec<(Stream, u8)>);

impl Model {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.extend(bytes.iter().map(|&byte| (stream, byte)));
    }

    /// The offsets that are kept, of one stream or of all.
    fn kept(&self, caps: LogCaps, stream: Option<Stream>) -> Vec<u64> {
        let head = caps.head.min(self.0.len());
        let tail = self.0.len().saturating_sub(caps.tail).max(head);
        let wanted = |&at: &usize| stream.is_none_or(|stream| stream == self.0[at].0);
        (0..head).chain(tail..self.0.len()).filter(wanted).map(|at| at as u64).collect()
    }

    fn bytes(&self, offsets: &[u64]) -> Vec<u8> {
        offsets.iter().map(|&at| self.0[usize::try_from(at).unwrap_or(usize::MAX)].1).collect()
    }
}

/// What a reader that follows `next` from an offset on sees: the bytes, and how many were omitted.
fn follow(log: &OutputLog, from: u64, max: usize, stream: Option<Stream>) -> (Vec<u8>, u64) {
    let (mut at, mut bytes, mut omitted) = (from, Vec::new(), 0);
    loop {
        let chunk = log.read(at, max, stream);
        assert!(chunk.bytes.len() <= max);
        bytes.extend(&chunk.bytes);
        omitted += chunk.omitted;
        assert!(chunk.next >= at || chunk.next == log.total(), "the cursor went back");
        assert_eq!(chunk.eof, chunk.next == log.total());
        if chunk.eof {
            return (bytes, omitted);
        }
        assert!(chunk.next > at, "no progress at {at}");
        at = chunk.next;
    }
}

fn stream() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)]
}

fn writes() -> impl Strategy<Value = Vec<(Stream, Vec<u8>)>> {
    proptest::collection::vec((stream(), proptest::collection::vec(any::<u8>(), 0..30)), 0..30)
}

proptest! {
    #[test]
    fn a_reader_sees_every_kept_byte_and_the_exact_gap(
        head in 0..60_usize,
        tail in 0..60_usize,
        writes in writes(),
        max in 1..40_usize,
    ) {
        let caps = LogCaps { head, tail };
        let (log, mut model) = (OutputLog::new(caps), Model::default());
        for (stream, bytes) in &writes {
            log.write(*stream, bytes);
            model.write(*stream, bytes);
            prop_assert_eq!(log.total(), model.0.len() as u64);
            prop_assert_eq!(log.total() - log.omitted(), model.kept(caps, None).len() as u64);
        }
        log.close();
        log.write(Stream::Stdout, b"ignored");
        for wanted in [None, Some(Stream::Stdout), Some(Stream::Stderr)] {
            let kept = model.kept(caps, wanted);
            for from in 0..=log.total() + 1 {
                let rest = &kept[kept.partition_point(|&at| at < from)..];
                let all = model.kept(caps, None);
                let seen = all.len() - all.partition_point(|&at| at < from);
                let (bytes, omitted) = follow(&log, from, max, wanted);
                prop_assert_eq!(bytes, model.bytes(rest), "{:?} from {}", wanted, from);
                let gap = log.total().saturating_sub(from) - seen as u64;
                prop_assert_eq!(omitted, gap, "{:?} from {}", wanted, from);
            }
        }
    }

    #[test]
    fn offsets_do_not_move_while_the_log_grows(
        head in 0..20_usize,
        tail in 0..20_usize,
        writes in writes(),
    ) {
        // A reader that reads after every write misses only what it is told of.
        let (log, mut model) = (OutputLog::new(LogCaps { head, tail }), Model::default());
        let (mut at, mut read, mut omitted) = (0, 0, 0);
        for (stream, bytes) in &writes {
            log.write(*stream, bytes);
            model.write(*stream, bytes);
            loop {
                let chunk = log.read(at, 7, None);
                let start = chunk.next - chunk.bytes.len() as u64;
                let offsets: Vec<u64> = (start..chunk.next).collect();
                prop_assert_eq!(start, at + chunk.omitted);
                prop_assert_eq!(&chunk.bytes, &model.bytes(&offsets));
                read += chunk.bytes.len() as u64;
                omitted += chunk.omitted;
                if chunk.next == at {
                    break;
                }
                at = chunk.next;
            }
        }
        prop_assert_eq!(read + omitted, log.total());
    }

    #[test]
    fn any_read_of_any_log_is_answered(
        head in 0..9_usize,
        tail in 0..9_usize,
        writes in writes(),
        from in prop_oneof![0..999_u64, any::<u64>()],
        max in prop_oneof![0..9_usize, any::<usize>()],
        wanted in proptest::option::of(stream()),
    ) {
        let log = OutputLog::new(LogCaps { head, tail });
        for (stream, bytes) in &writes {
            log.write(*stream, bytes);
        }
        let chunk = log.read(from, max, wanted);
        prop_assert!(chunk.bytes.len() <= max && chunk.next <= log.total() && !chunk.eof);
        prop_assert!(log.read(log.total(), max, wanted).bytes.is_empty());
    }
}

#[test]
fn two_streams_that_alternate_cost_no_more_than_their_runs() {
    let log = OutputLog::new(LogCaps::default());
    for byte in 0..200_000_u32 {
        let stream = if byte % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        log.write(stream, &[byte.to_le_bytes()[0]]);
    }
    log.close();
    assert_eq!(log.total(), 200_000);
    let kept = log.total() - log.omitted();
    assert_eq!(kept, 2 * 4096, "a run costs more than the byte in it");
    let (all, omitted) = follow(&log, 0, 1000, None);
    assert_eq!((all.len() as u64, omitted), (kept, log.omitted()));
    let (odd, _) = follow(&log, 0, 1000, Some(Stream::Stderr));
    assert_eq!(odd.len() as u64, kept / 2);
    assert!(odd.iter().all(|byte| byte % 2 == 1));
    // One stream alone is kept to the full again.
    assert_eq!(&all[all.len() - 3..], [0x3d, 0x3e, 0x3f]);
}

#[test]
fn a_gibibyte_written_through_stays_within_the_caps() {
    let caps = LogCaps::default();
    let log = OutputLog::new(caps);
    let mut block = vec![b'.'; 1 << 20];
    for number in 0..1024_u32 {
        block[(1 << 20) - 4..].copy_from_slice(&number.to_be_bytes());
        log.write(Stream::Stdout, &block);
        assert!(log.total() - log.omitted() <= (caps.head + caps.tail) as u64);
    }
    log.close();
    assert_eq!((log.total(), log.omitted()), (1 << 30, (1 << 30) - (1 << 20)));
    let (bytes, omitted) = follow(&log, 0, usize::MAX, None);
    assert_eq!((bytes.len(), omitted), (1 << 20, log.omitted()));
    assert_eq!(&bytes[bytes.len() - 4..], 1023_u32.to_be_bytes());
    // Offsets past the gap mean what they meant when they were written.
    assert_eq!(log.read((1 << 30) - 4, 4, None).bytes, 1023_u32.to_be_bytes());
}

#[test]
fn a_log_that_is_open_has_no_end() {
    let log = OutputLog::new(LogCaps::default());
    assert!(!log.read(0, 10, None).eof);
    let reader = log.clone();
    log.write(Stream::Stderr, b"late");
    assert_eq!(reader.read(0, 10, Some(Stream::Stderr)).bytes, b"late");
    assert_eq!(reader.read(0, 10, Some(Stream::Stdout)).next, 4);
    log.close();
    assert!(reader.read(4, 10, None).eof);
    assert!(!reader.read(0, 3, None).eof);
}
