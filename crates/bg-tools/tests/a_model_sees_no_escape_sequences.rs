//! What was written for a terminal is shown as text, whatever the pieces; the log keeps it raw.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use bg_core::{Completer, LogCaps, Output, OutputLog, Stream, Task};
use bg_tools::LogView;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Caller, caller};

fn process(caller: &Caller) -> (OutputLog, Completer) {
    let (_, completer) = caller.root.register(Task::process("sh", "x")).unwrap();
    (completer.context().log(), completer)
}

async fn read(caller: &Caller, cursor: u64, max: u64) -> Value {
    let args = json!({"task_id": 1, "cursor": cursor, "max_bytes": max});
    caller.json("ReadTaskOutput", &args.to_string()).await
}

/// Reads pieces up to the end of what is there.
async fn read_on(caller: &Caller, max: u64) -> Vec<String> {
    let (mut pieces, mut cursor) = (Vec::new(), 0);
    loop {
        let page = read(caller, cursor, max).await;
        let next = page["next_cursor"].as_u64().unwrap();
        pieces.push(page["text"].as_str().unwrap().to_owned());
        if page["eof"] == true || next == cursor {
            return pieces;
        }
        cursor = next;
    }
}

/// The text of a task that wrote these bytes and has ended.
async fn text_of(bytes: &[u8], max: u64) -> String {
    let caller = caller();
    let (log, completer) = process(&caller);
    log.write(Stream::Stdout, bytes);
    completer.complete(Ok(Output::default()));
    read_on(&caller, max).await.concat()
}

fn view(bytes: &[u8]) -> LogView {
    let log = OutputLog::new(LogCaps::default());
    log.write(Stream::Stdout, bytes);
    log.close();
    LogView::of(&log, 8000)
}

#[track_caller]
fn check(written: &str, shown: &str) {
    assert_eq!(view(written.as_bytes()).text, shown, "{written:?}");
}

#[test]
fn sequences_are_left_out_and_everything_else_stays() {
    check("\x1b[1;31merror\x1b[0m: \x1b[38;5;196mred\x1b[m\n", "error: red\n");
    check("\x1b]0;a title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "text link\n");
    check("\x1b(B\x1b7a\x1b8\x1b=b\x1bM\n", "ab\n");
    check("a\tb\u{20AC}\x08\x07\n", "a\tb\u{20AC}\x08\x07\n");
    check("\x1bP1$r0m\x1b\\dcs", "dcs");
}

#[test]
fn what_is_no_sequence_is_shown() {
    check("\x1b]no end\nnext line", "]no end\nnext line");
    check("\x1b[12\u{E9}", "[12\u{E9}");
    check("\x1b\n\x1b\x1b[mx", "\nx");
    let long = format!("\x1b]{}", "x".repeat(5000));
    check(&long, &long[1..]);
}

#[test]
fn a_sequence_that_was_never_finished_is_not_shown() {
    check("text\x1b[3", "text");
    check("text\x1b", "text");
    check("text\x1b]0;tit", "text");
}

#[test]
fn of_what_was_written_over_the_last_state_is_shown() {
    check("one\r\ntwo\r\n", "one\ntwo\n");
    check(" 10%\r 20%\r100%\nnext", "100%\nnext");
    check("\r 10%\r\x1b[K 20%\r\x1b[K\r", " 20%");
    check("a\rb\rc", "c");
}

#[tokio::test(start_paused = true)]
async fn offsets_stay_those_of_the_bytes() {
    let caller = caller();
    let (log, completer) = process(&caller);
    log.write(Stream::Stdout, b"\x1b[31mred\x1b[0m!");
    let page = read(&caller, 0, 100).await;
    assert_eq!((&page["text"], &page["next_cursor"]), (&json!("red!"), &json!(13)));
    assert_eq!(read(&caller, 5, 4).await["text"], "red");
    assert_eq!(log.read(0, 5, None).bytes, b"\x1b[31m", "the log keeps them");
    drop(completer);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_is_cut_leaks_nothing_into_the_next_piece() {
    let written = "ab\x1b[38;2;10;20;30mcd\x1b]8;;https://example.org/a/long/link\x07ef\x1b[0m\r\n";
    for max in 1..40 {
        assert_eq!(text_of(written.as_bytes(), max).await, "abcdef\n", "{max}");
    }
    let link = format!("a\x1b]8;;{}\x07b", "x".repeat(4000));
    assert_eq!(text_of(link.as_bytes(), 4).await, "ab");
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_is_not_complete_yet_is_waited_for() {
    let caller = caller();
    let (log, completer) = process(&caller);
    log.write(Stream::Stdout, b"ok\x1b[3");
    let page = read(&caller, 0, 100).await;
    assert_eq!((&page["text"], &page["next_cursor"]), (&json!("ok"), &json!(2)));
    assert_eq!(read(&caller, 2, 100).await["next_cursor"], 2);
    assert_eq!(read(&caller, 2, 4).await["next_cursor"], 2);
    let view = LogView::of(&log, 8000);
    assert_eq!((&*view.text, view.next_cursor), ("ok", 2));
    log.write(Stream::Stderr, b"");
    log.write(Stream::Stdout, b"1mred");
    let page = read(&caller, 2, 100).await;
    assert_eq!((&page["text"], &page["next_cursor"]), (&json!("red"), &json!(10)));
    drop(completer);
}

#[tokio::test(start_paused = true)]
async fn a_lone_sign_before_a_megabyte_stops_no_reader() {
    let caller = caller();
    let (log, completer) = process(&caller);
    for begin in ["\x1b]", "\x1bP", "\x1b[", "\x1b"] {
        log.write(Stream::Stdout, begin.as_bytes());
        log.write(Stream::Stdout, &vec![b'0'; 200_000]);
        log.write(Stream::Stdout, b"\n");
    }
    for max in [1000, 8000] {
        let text = read_on(&caller, max).await.concat();
        assert!(text.len() >= 800_000, "{} bytes for readers of {max}", text.len());
        assert!(!text.contains('\x1b') && text.ends_with("000\n"));
    }
    drop(completer);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_writes_over_an_earlier_one_begins_a_line() {
    let caller = caller();
    let (log, completer) = process(&caller);
    log.write(Stream::Stdout, b"at  10%\r");
    let page = read(&caller, 0, 100).await;
    assert_eq!((&page["text"], &page["next_cursor"]), (&json!("at  10%"), &json!(7)));
    log.write(Stream::Stdout, b"at  90%\rat 100%\r\ndone\r\n");
    let page = read(&caller, 7, 100).await;
    assert_eq!(page["text"], "\nat 100%\ndone\n");
    // A line end that is cut is one line end.
    let end = read(&caller, 0, 100).await["next_cursor"].as_u64().unwrap();
    assert_eq!(read(&caller, end - 2, 100).await["text"], "\n");
    drop(completer);
}

#[test]
fn a_view_begins_behind_a_sequence_that_it_would_cut() {
    for shift in 0..30 {
        let begin = format!("{}\x1b[38;2;10;20;30m", "a".repeat(100));
        let end = "b".repeat(8000 - shift);
        let view = view(format!("{begin}{end}").as_bytes());
        assert!(view.text.trim_start_matches('a').bytes().all(|byte| byte == b'b'), "{shift}");
        let shown = u64::try_from(view.text.len()).unwrap();
        assert!(view.omitted_bytes + shown <= view.next_cursor);
        assert!(shown + 30 >= 8000, "{shift}");
    }
}

#[test]
fn bytes_that_are_not_text_are_counted_in_a_view() {
    let view = view(b"a\xFF\xFE\x1b[1mb\xC3");
    assert_eq!((&*view.text, view.invalid_utf8_bytes), ("a\u{FFFD}\u{FFFD}b\u{FFFD}", 3));
    let text = serde_json::to_value(&view).unwrap();
    assert_eq!(text["invalid_utf8_bytes"], 3);
    let plain = serde_json::to_string(&LogView::default()).unwrap();
    assert_eq!(plain, r#"{"text":"","omitted_bytes":0,"next_cursor":0}"#);
}

/// Text and whole sequences.
fn screen() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z\u{E9}\u{20AC}\n ]{0,6}",
        "\x1b\\[[0-9;]{0,12}[a-zA-Z]",
        "\x1b\\][0-9]{1,2};[a-z:/.]{0,20}\x07",
        "\x1b\\][0-9]{1,2};[a-z:/.]{0,20}\x1b\\\\",
        "\x1b[()][A-Z0-9]",
        "\x1b[78=>cDEHMNOZ]",
    ];
    proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_terminal_shows_the_same(written in screen()) {
        let expected = strip_ansi_escapes::strip_str(&written);
        prop_assert_eq!(view(written.as_bytes()).text, expected);
    }

    #[test]
    fn pieces_of_any_size_show_what_the_whole_shows(written in screen(), max in 4..60_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let text = runtime.block_on(text_of(written.as_bytes(), max));
        prop_assert_eq!(text, view(written.as_bytes()).text);
    }

    #[test]
    fn any_bytes_are_read_to_the_end(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x1B), Just(b'['), Just(b']'), Just(b'\r')], 0..200),
        max in 0..20_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let text = runtime.block_on(text_of(&bytes, max));
        prop_assert!(!text.contains(['\x1b', '\r']));
    }
}
