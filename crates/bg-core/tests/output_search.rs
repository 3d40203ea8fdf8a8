//! A search finds the lines that match, says where they are, and is honest about what is gone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{Found, LogCaps, OutputLog, PatternError, Search, Stream};
use proptest::prelude::*;
use regex::bytes::Regex;

fn log() -> OutputLog {
    OutputLog::new(LogCaps::default())
}

fn search(pattern: &str) -> Search {
    Search::new(pattern).unwrap()
}

/// Offset and text of each line.
fn lines(found: &Found) -> Vec<(u64, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    found.lines.iter().map(|line| (line.offset, text(&line.bytes))).collect()
}

#[track_caller]
fn check(log: &OutputLog, search: &Search, expected: &[(u64, &str)], next: u64) {
    let found = log.search(search);
    let expected: Vec<_> = expected.iter().map(|&(at, text)| (at, text.to_owned())).collect();
    assert_eq!((lines(&found), found.next), (expected, next));
}

#[test]
fn lines_are_found_with_their_offsets_and_streams() {
    let log = log();
    log.write(Stream::Stdout, b"one\r\ntwo\n\nthree\n");
    log.write(Stream::Stderr, b"twofold\n");
    check(&log, &search("two"), &[(5, "two"), (16, "twofold")], 24);
    check(&log, &search("^one$"), &[(0, "one")], 24);
    check(&log, &search("^$"), &[(9, "")], 24);
    check(&log, &search("(?i)TWO").stream(Stream::Stderr), &[(16, "twofold")], 24);
    check(&log, &search("two").from(6), &[(16, "twofold")], 24);
    check(&log, &search("four"), &[], 24);
    check(&log, &search("").from(u64::MAX), &[], 24);
    let found = log.search(&search("hre"));
    assert_eq!((found.lines[0].matched_at, found.lines[0].cut), (11, false));
    assert_eq!((found.omitted, found.complete), (0, true));
}

#[test]
fn a_line_is_what_one_stream_wrote() {
    let log = log();
    for (stream, bytes) in [
        (Stream::Stdout, &b"begin "[..]),
        (Stream::Stderr, b"warning: begin\n"),
        (Stream::Stdout, b"end\nlast\n"),
    ] {
        log.write(stream, bytes);
    }
    check(&log, &search("begin"), &[(0, "begin end"), (6, "warning: begin")], 30);
    check(&log, &search("begin").max_lines(1), &[(0, "begin end")], 1);
    check(&log, &search("begin").from(1), &[(6, "warning: begin")], 30);
    check(&log, &search("end"), &[(0, "begin end")], 30);
    assert_eq!(log.search(&search("end")).lines[0].matched_at, 21);
}

#[test]
fn one_goes_on_from_where_it_stopped() {
    let log = log();
    for n in 0..1000 {
        log.write(Stream::Stdout, format!("line {n}\n").as_bytes());
    }
    let (mut seen, mut at) = (Vec::new(), 0);
    loop {
        let found = log.search(&search("7$").max_lines(7).from(at));
        assert!(found.lines.len() <= 7);
        seen.extend(lines(&found).into_iter().map(|(_, text)| text));
        at = found.next;
        if found.complete {
            break;
        }
    }
    let expected: Vec<_> = (0..100).map(|n| format!("line {}", 10 * n + 7)).collect();
    assert_eq!(seen, expected);
    assert_eq!(at, log.total());
}

#[test]
fn a_line_that_has_not_ended_is_looked_at_again() {
    let log = log();
    log.write(Stream::Stdout, b"done\nPass");
    check(&log, &search("Password|done"), &[(0, "done")], 5);
    log.write(Stream::Stdout, b"word: ");
    check(&log, &search("Password").from(5), &[(5, "Password: ")], 15);
    assert!(log.search(&search("Password")).lines[0].cut);
    check(&log, &search("Password").from(15), &[], 15);
    log.close();
    let found = log.search(&search("Password"));
    assert!(!found.lines[0].cut && found.complete);
    check(&log, &search("nothing"), &[], 15);
}

#[test]
fn what_was_dropped_is_counted_and_cuts_a_line() {
    let log = OutputLog::new(LogCaps { head: 20, tail: 20 });
    log.write(Stream::Stdout, b"first error\nsecond error is long\nthird error is cut\nlast error");
    log.close();
    let found = log.search(&search("err|s cut"));
    let cut: Vec<_> = found.lines.iter().map(|line| line.cut).collect();
    let expected = [(0, "first error"), (42, "or is cut"), (52, "last error")];
    let expected = expected.map(|(at, text)| (at, text.to_owned()));
    assert_eq!((lines(&found), cut), (expected.into(), vec![false, true, false]));
    assert_eq!(found.omitted, log.omitted());
    // The beginning of a line whose end was dropped.
    let found = log.search(&search("second"));
    assert_eq!((lines(&found), found.lines[0].cut), (vec![(12, "second e".into())], true));
    assert_eq!(log.search(&search("x").from(30)).omitted, log.total() - 20 - 30);
}

#[test]
fn a_line_longer_than_a_window_is_searched_in_bounded_memory() {
    let log = OutputLog::new(LogCaps { head: 0, tail: 8 << 20 });
    let dashes = vec![b'-'; 3 << 20];
    log.write(Stream::Stdout, b"^");
    log.write(Stream::Stdout, &dashes);
    log.write(Stream::Stderr, b"between\n");
    log.write(Stream::Stdout, b"<needle>");
    log.write(Stream::Stdout, &dashes);
    log.write(Stream::Stdout, b"end\nshort needle\n");
    let found = log.search(&search("needle").line_bytes(20));
    assert_eq!(found.lines[0].bytes, b"------<needle>------");
    assert_eq!((found.lines[0].offset, found.lines[0].cut), (0, true));
    assert_eq!(found.lines[0].matched_at, 1 + (3 << 20) + 8 + 1);
    assert_eq!(lines(&found)[1].1, "short needle");
    for (pattern, matches) in
        [("-end$", true), (r"^\^-", true), ("^-", false), (r"^\^-*$", false), ("-$", false)]
    {
        let found = log.search(&search(pattern));
        assert_eq!(found.lines.iter().any(|line| line.offset == 0), matches, "{pattern}");
    }
    // Wherever a match lies, also where two windows meet.
    for at in (65_500..65_600).chain(61_400..61_500) {
        let log = log_with_needle(at);
        let found = log.search(&search("needle").line_bytes(6));
        assert_eq!((lines(&found), found.lines[0].matched_at), (vec![(0, "needle".into())], at));
    }
}

fn log_with_needle(at: u64) -> OutputLog {
    let log = log();
    let before = vec![b'.'; usize::try_from(at).unwrap()];
    log.write(Stream::Stdout, &[&before[..], b"needle", &vec![b'.'; 70_000], b"\n"].concat());
    log
}

#[test]
fn a_pattern_that_is_none_or_too_large_is_refused() {
    assert!(matches!(Search::new("("), Err(PatternError::Invalid(_))));
    assert!(matches!(Search::new("(a{1000}){1000}"), Err(PatternError::Invalid(_))));
    let long = "a".repeat(5000);
    assert!(matches!(Search::new(&long), Err(PatternError::TooLong { bytes: 5000 })));
}

fn written() -> impl Strategy<Value = Vec<(Stream, String)>> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    proptest::collection::vec((stream, "[ab\n]{0,12}"), 0..20)
}

/// The lines of one stream: offset, text, whether it has ended.
fn reference(writes: &[(Stream, String)], wanted: Stream) -> Vec<(u64, Vec<u8>, bool)> {
    let (mut lines, mut line, mut at) = (Vec::new(), None, 0);
    for (stream, bytes) in writes {
        for byte in bytes.bytes() {
            if *stream == wanted {
                let (start, mut text) = line.take().unwrap_or((at, Vec::new()));
                if byte == b'\n' {
                    lines.push((start, text, true));
                } else {
                    text.push(byte);
                    line = Some((start, text));
                }
            }
            at += 1;
        }
    }
    lines.extend(line.map(|(start, text)| (start, text, false)));
    lines
}

proptest! {
    #[test]
    fn it_finds_what_a_look_at_every_line_finds(
        writes in written(),
        pattern in prop_oneof!["[ab]{1,3}", Just("^a".to_owned()), Just("b$".to_owned())],
        max in 1..6_usize,
    ) {
        let (log, regex) = (log(), Regex::new(&pattern).unwrap());
        for (stream, bytes) in &writes {
            log.write(*stream, bytes.as_bytes());
        }
        log.close();
        for wanted in [None, Some(Stream::Stdout), Some(Stream::Stderr)] {
            let mut expected: Vec<_> = [Stream::Stdout, Stream::Stderr].into_iter()
                .filter(|stream| wanted.is_none_or(|wanted| wanted == *stream))
                .flat_map(|stream| reference(&writes, stream))
                .filter(|(_, text, _)| regex.is_match(text))
                .map(|(start, text, _)| (start, String::from_utf8(text).unwrap()))
                .collect();
            expected.sort();
            let (mut seen, mut at) = (Vec::new(), 0);
            loop {
                let mut search = search(&pattern).max_lines(max).from(at);
                if let Some(stream) = wanted {
                    search = search.stream(stream);
                }
                let found = log.search(&search);
                prop_assert!(found.lines.len() <= max && found.lines.iter().all(|line| !line.cut));
                seen.extend(lines(&found));
                prop_assert!(found.complete || found.next > at, "no progress at {}", at);
                at = found.next;
                if found.complete {
                    break;
                }
            }
            prop_assert_eq!(&seen, &expected, "{:?}", wanted);
        }
    }

    #[test]
    fn any_pattern_over_any_bytes_is_answered(
        pattern in "[ab.^$*|()\\[\\]\\\\bw+?{}0-9-]{0,12}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        from in 0..300_u64,
        head in 0..50_usize,
        tail in 0..50_usize,
    ) {
        let log = OutputLog::new(LogCaps { head, tail });
        log.write(Stream::Stdout, &bytes);
        let Ok(search) = Search::new(&pattern) else { return Ok(()) };
        let found = log.search(&search.from(from).line_bytes(7).max_lines(3));
        prop_assert!(found.next <= log.total() && found.lines.len() <= 3);
        prop_assert!(found.lines.iter().all(|line| line.bytes.len() <= 7));
    }
}
