//! `ReadTaskOutput`: pages, gaps, streams and letters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use bg_core::{Completer, LogCaps, Output, OutputLog, Stream, Task};
use bg_tools::LogView;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Caller, caller};

fn process(caller: &Caller, caps: LogCaps) -> (OutputLog, Completer) {
    let (_, completer) = caller.root.register(Task::process("sh", "x")).unwrap();
    (completer.context().log_with(caps), completer)
}

async fn read(caller: &Caller, mut args: Value) -> Value {
    args["task_id"] = json!(1);
    caller.json("ReadTaskOutput", &args.to_string()).await
}

/// Reads page by page to the end; returns the text, the bytes omitted, and the bytes invalid.
async fn read_on(caller: &Caller, mut args: Value) -> (String, u64, u64) {
    let (mut text, mut omitted, mut invalid) = (String::new(), 0, 0);
    let mut cursor = args["cursor"].as_u64().unwrap_or(0);
    loop {
        args["cursor"] = json!(cursor);
        let page = read(caller, args.clone()).await;
        text += page["text"].as_str().unwrap();
        omitted += page["omitted_bytes"].as_u64().unwrap();
        invalid += page["invalid_utf8_bytes"].as_u64().unwrap_or(0);
        let next = page["next_cursor"].as_u64().unwrap();
        if page["eof"] == true {
            return (text, omitted, invalid);
        }
        assert!(next > cursor, "stuck at {cursor}: {page}");
        cursor = next;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_says_where_the_next_one_begins() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    log.write(Stream::Stdout, b"hello");
    let args = r#"{"task_id":"process:1","max_bytes":4}"#;
    let expected =
        r#"{"task_id":"process:1","text":"hell","next_cursor":4,"omitted_bytes":0,"eof":false}"#;
    assert_eq!(caller.answer("ReadTaskOutput", args).await, expected);
    let rest = read(&caller, json!({"cursor": 4})).await;
    assert_eq!((&rest["text"], &rest["eof"]), (&json!("o"), &json!(false)), "it may write more");
    log.close();
    assert_eq!(read(&caller, json!({"cursor": 4})).await["eof"], false, "it has not ended");
    completer.complete(Ok(Output::default()));
    assert_eq!(read(&caller, json!({"cursor": 0, "max_bytes": 4})).await["eof"], false);
    assert_eq!(read(&caller, json!({"cursor": 4})).await["eof"], true);
    assert_eq!(caller.drained(), [1], "reading consumes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_gap_is_counted() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps { head: 10, tail: 10 });
    for n in 0..10 {
        log.write(Stream::Stdout, format!("line {n}\n").as_bytes());
    }
    completer.complete(Ok(Output::default()));
    for max in [4, 7, 100] {
        let all = read_on(&caller, json!({"max_bytes": max})).await;
        assert_eq!(all, ("line 0\nlin 8\nline 9\n".to_owned(), 50, 0), "{max}");
    }
    assert_eq!(read_on(&caller, json!({"cursor": 30})).await.1, 30);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_past_the_end_reads_nothing_and_comes_back() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    log.write(Stream::Stdout, b"abc");
    for cursor in [3, 4, u64::MAX] {
        let page = read(&caller, json!({"cursor": cursor})).await;
        assert_eq!((&page["text"], &page["next_cursor"]), (&json!(""), &json!(3)), "{cursor}");
    }
    completer.complete(Ok(Output::default()));
    assert_eq!(read(&caller, json!({"cursor": u64::MAX})).await["eof"], true);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_one_stream_sees_nothing_of_the_other() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    for n in 0..3 {
        log.write(Stream::Stdout, format!("o{n} ").as_bytes());
        log.write(Stream::Stderr, format!("e{n} ").as_bytes());
    }
    completer.complete(Ok(Output::default()));
    for (stream, expected) in [("stdout", "o0 o1 o2 "), ("stderr", "e0 e1 e2 ")] {
        let all = read_on(&caller, json!({"stream": stream, "max_bytes": 4})).await;
        assert_eq!(all, (expected.to_owned(), 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_split_is_read_whole() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    let letter = "\u{20AC}".as_bytes();
    log.write(Stream::Stdout, &[b"abc", &letter[..2]].concat());
    log.write(Stream::Stderr, b"noise");
    for args in [json!({}), json!({"stream": "stdout"})] {
        let page = read(&caller, args.clone()).await;
        if args.get("stream").is_some() {
            assert_eq!((&page["text"], &page["next_cursor"]), (&json!("abc"), &json!(3)));
        }
    }
    log.write(Stream::Stdout, &letter[2..]);
    completer.complete(Ok(Output::default()));
    let rest = read_on(&caller, json!({"stream": "stdout", "cursor": 3})).await;
    assert_eq!(rest, ("\u{20AC}".to_owned(), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_letter_whose_end_was_dropped_stops_no_reader() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps { head: 4, tail: 4 });
    log.write(Stream::Stdout, "abc\u{20AC}0123456789".as_bytes());
    completer.complete(Ok(Output::default()));
    for args in [json!({}), json!({"stream": "stdout"})] {
        let all = read_on(&caller, args).await;
        assert_eq!(all, ("abc\u{FFFD}6789".to_owned(), 8, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_text_is_counted() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    log.write(Stream::Stdout, b"a\xFF\xFEb\xC3");
    completer.complete(Ok(Output::default()));
    let expected = r#"{"task_id":"process:1","text":"aXXbX","next_cursor":5,"omitted_bytes":0,"eof":true,"invalid_utf8_bytes":3}"#;
    let answer = caller.answer("ReadTaskOutput", r#"{"task_id":1}"#).await;
    assert_eq!(answer, expected.replace('X', "\u{FFFD}"));
}

#[tokio::test(start_paused = true)]
async fn what_a_wait_has_cut_is_read_by_cursor() {
    let text = "\u{20AC}uro ".repeat(5000);
    let caller = caller();
    caller.completed(&text);
    let waited = caller.json("WaitTask", r#"{"task_id":1}"#).await;
    let shown = waited["output"].as_str().unwrap();
    let cursor = &waited["next_cursor"];
    let omitted = (text.len() - shown.len()) as u64;
    assert_eq!(waited["omitted_bytes"], omitted);
    let (rest, ..) = read_on(&caller, json!({"cursor": cursor})).await;
    assert!(format!("{shown}{rest}") == text);
    assert!(read_on(&caller, json!({"max_bytes": 1})).await.0 == text);
}

#[tokio::test(start_paused = true)]
async fn the_text_of_an_agent_follows_what_it_wrote() {
    let text = "x".repeat(9000);
    let caller = caller();
    let (_, completer) = caller.agent("a", "p");
    let log = completer.context().log();
    log.write(Stream::Stdout, b"working\xC3");
    log.write(Stream::Stderr, b"hm");
    let running = read(&caller, json!({})).await;
    assert_eq!((&running["text"], &running["eof"]), (&json!("working\u{FFFD}hm"), &json!(false)));
    completer.complete(Ok(Output::text(text.as_str())));
    let waited = caller.json("WaitTask", r#"{"task_id":1}"#).await;
    let rest = read_on(&caller, json!({"cursor": waited["next_cursor"]})).await.0;
    assert!(waited["output"].as_str().unwrap().to_owned() + &rest == text);
    let stdout = read_on(&caller, json!({"stream": "stdout"})).await;
    assert!(stdout == (format!("working\u{FFFD}{text}"), 0, 1));
    assert_eq!(read_on(&caller, json!({"stream": "stderr"})).await.0, "hm");
}

#[test]
fn a_view_shows_the_end_of_a_log_in_whole_letters() {
    let log = OutputLog::new(LogCaps::default());
    log.write(Stream::Stdout, "\u{20AC}".repeat(3000).as_bytes());
    let view = LogView::of(&log, 8000);
    assert_eq!((view.text, view.omitted_bytes), ("\u{20AC}".repeat(2666), 1002));
    let log = OutputLog::new(LogCaps { head: 6000, tail: 10 });
    log.write(Stream::Stdout, &[b"a".repeat(7000), b"the end".to_vec()].concat());
    let view = LogView::of(&log, 8000);
    assert_eq!(
        (view.text.as_str(), view.omitted_bytes, view.next_cursor),
        ("aaathe end", 6997, 7007)
    );
}

/// Where a letter is held back, what stands before it must not look like the beginning of a sequence.
#[tokio::test(start_paused = true)]
async fn a_letter_behind_a_stray_escape_sign_takes_nothing_with_it() {
    let caller = caller();
    let (log, completer) = process(&caller, LogCaps::default());
    log.write(Stream::Stdout, b"\x1b \xF0\x98\x80\xC3\xA9");
    completer.complete(Ok(Output::default()));
    let text = read_on(&caller, json!({"max_bytes": 5})).await.0;
    assert_eq!(text.replace('\u{FFFD}', ""), " \u{E9}");
}

#[derive(Clone, Debug)]
enum Op {
    Write(bool, Vec<u8>),
    Read { reader: usize, max: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = prop_oneof![
        "[a-z\u{E9}\u{20AC}\u{1F600}]{0,6}".prop_map(String::into_bytes),
        // Carriage returns are another matter: what they write over depends on the pieces.
        vec(any::<u8>().prop_filter("no return", |&byte| byte != b'\r'), 0..4),
        Just("\u{1F600}".as_bytes()[..2].to_vec()),
        Just("\u{1F600}".as_bytes()[2..].to_vec()),
    ];
    prop_oneof![
        (any::<bool>(), bytes).prop_map(|(err, bytes)| Op::Write(err, bytes)),
        (0..3_usize, 0..9_u64).prop_map(|(reader, max)| Op::Read { reader, max }),
    ]
}

const STREAMS: [Option<&str>; 3] = [None, Some("stdout"), Some("stderr")];

proptest! {
    /// Three readers at their own pace see what one look at the whole log shows.
    #[test]
    fn readers_at_any_pace_see_the_same(ops in vec(op(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let caller = caller();
            let (log, completer) = process(&caller, LogCaps::default());
            let mut written: [Vec<u8>; 3] = Default::default();
            let mut seen: [(String, u64); 3] = Default::default();
            for op in ops {
                match op {
                    Op::Write(err, bytes) => {
                        let stream = if err { Stream::Stderr } else { Stream::Stdout };
                        log.write(stream, &bytes);
                        written[0].extend(&bytes);
                        written[1 + usize::from(err)].extend(&bytes);
                    }
                    Op::Read { reader, max } => {
                        let (text, cursor) = &mut seen[reader];
                        let stream = STREAMS[reader];
                        let args = json!({"cursor": *cursor, "max_bytes": max, "stream": stream});
                        let page = read(&caller, args).await;
                        *text += page["text"].as_str().unwrap();
                        *cursor = page["next_cursor"].as_u64().unwrap();
                    }
                }
            }
            completer.complete(Ok(Output::default()));
            for (reader, (mut text, cursor)) in seen.into_iter().enumerate() {
                let args = json!({"cursor": cursor, "stream": STREAMS[reader], "max_bytes": 5});
                text += &read_on(&caller, args).await.0;
                // A run of bytes that are no letter may be cut into more than one piece.
                let valid = |text: &str| text.replace('\u{FFFD}', "");
                let log = OutputLog::new(LogCaps::default());
                log.write(Stream::Stdout, &written[reader]);
                log.close();
                let whole = LogView::of(&log, 8000).text;
                assert_eq!(valid(&text), valid(&whole), "reader {reader}");
            }
        });
    }
}
