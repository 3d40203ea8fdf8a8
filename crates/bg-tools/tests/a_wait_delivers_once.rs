//! `WaitTask`: what it answers, how long it waits, and that a result comes once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use std::time::Duration;

use bg_core::{Failure, Output, Task};
use bg_tools::Budget;
use support::caller;
use tokio::time::Instant;

const WAIT: &str = "WaitTask";
const ONE: &str = r#"{"task_id":"agent:1"}"#;

#[tokio::test(start_paused = true)]
async fn a_completed_agent_answers_with_its_output_and_trace() {
    let caller = caller();
    let body = |cx: bg_core::TaskContext| async move {
        cx.trace("Read src/lib.rs");
        tokio::time::advance(Duration::from_secs(3)).await;
        Ok(Output::text("3 \"crates\"\n"))
    };
    caller.root.spawn(Task::agent("explore", "map repo"), body).unwrap();
    let expected = r#"{"task_id":"agent:1","status":"completed","agent_name":"explore","prompt":"map repo","output":"3 \"crates\"\n","events":["Read src/lib.rs"]}"#;
    assert_eq!(caller.answer(WAIT, ONE).await, expected);
    assert_eq!(caller.drained(), [0; 0], "the answer delivered it");
    // It stands in the conversation; a caller that has not seen it gets it whole.
    let again = expected.replace(r#"3 \"crates\"\n"#, "");
    let again = again.replace(
        r#"["Read src/lib.rs"]}"#,
        r#"[],"omitted_events":1,"next_cursor":0,"omitted_bytes":11,"already_delivered":true}"#,
    );
    assert_eq!(caller.answer(WAIT, ONE).await, again);
    let whole = expected.replace("]}", r#"],"already_delivered":true}"#);
    assert_eq!(caller.anew().answer(WAIT, ONE).await, whole);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_complete_says_why() {
    let caller = caller();
    let (_, failing) = caller.agent("a", "p");
    failing.complete(Err(Failure::new("no tests").with_partial(Output::text("half"))));
    let panics = |_| async { panic!("index 3 out of range") };
    caller.root.spawn(Task::agent("b", "p"), panics).unwrap();
    let (_, _stopped) = caller.agent("c", "p");
    caller.root.cancel("agent:3".parse::<bg_core::TaskId>().unwrap(), "user said so").unwrap();
    let expected = [
        r#"{"task_id":"agent:1","status":"errored","agent_name":"a","prompt":"p","output":"half","events":[],"reason":"no tests"}"#,
        r#"{"task_id":"agent:2","status":"errored","agent_name":"b","prompt":"p","output":"","events":[],"reason":"panicked: index 3 out of range"}"#,
        r#"{"task_id":"agent:3","status":"cancelled","reason":"user said so"}"#,
    ];
    for (number, expected) in (1..).zip(expected) {
        assert_eq!(caller.answer(WAIT, &format!(r#"{{"task_id":{number}}}"#)).await, expected);
    }
    assert_eq!(caller.drained(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_consumes_nothing_and_brings_news() {
    let caller = caller();
    let (_, completer) = caller.agent("explore", "map repo");
    completer.context().step(4);
    completer.context().trace("Grep unwrap");
    let expected = r#"{"task_id":"agent:1","status":"timed_out","current":{"task_id":"agent:1","task_type":"agent","description":"explore: map repo","status":"running","age_secs":30,"step":4,"last_event":"Grep unwrap"}}"#;
    assert_eq!(caller.answer(WAIT, ONE).await, expected);
    completer.context().step(5);
    completer.context().trace("Read b.rs");
    let next = expected.replace("30", "60").replace(":4", ":5").replace("Grep unwrap", "Read b.rs");
    assert_eq!(caller.answer(WAIT, ONE).await, next);
    completer.complete(Ok(Output::text("done")));
    assert_eq!(caller.drained(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_was_drained_is_readable_and_marked() {
    let caller = caller();
    caller.completed("42");
    assert_eq!(caller.drained(), [1]);
    let answer = caller.json(WAIT, ONE).await;
    assert_eq!((&answer["output"], &answer["already_delivered"]), (&"42".into(), &true.into()));
    assert_eq!(caller.drained(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn any_time_is_clamped_without_a_wrap() {
    let caller = caller();
    let (_, _completer) = caller.agent("a", "p");
    let cases = [
        ("null", 30),
        ("0", 1),
        ("-5", 1),
        ("-9223372036854775809", 1),
        ("1", 1),
        ("2.7", 2),
        ("300", 300),
        ("301", 300),
        ("4294967296", 300),
        ("4294967297", 300),
        ("18446744073709551616", 300),
        ("1000000000000000000000000000000", 300),
        (r#""1e400""#, 300),
        (r#""-1e400""#, 1),
        (r#""45""#, 45),
        (r#"" 45 ""#, 45),
        (r#""inf""#, 300),
    ];
    for (written, secs) in cases {
        let begun = Instant::now();
        let args = format!(r#"{{"task_id":"agent:1","timeout_secs":{written}}}"#);
        let answer = caller.json(WAIT, &args).await;
        assert_eq!(answer["status"], "timed_out", "{written}");
        // Timers are exact to the millisecond.
        let waited = begun.elapsed().as_millis();
        assert!((secs * 1000..=secs * 1000 + 2).contains(&waited), "{written}: {waited} ms");
    }
    for written in [r#""soon""#, r#""""#, "true", "[]", "{}", r#""NaN""#] {
        let args = format!(r#"{{"task_id":"agent:1","timeout_secs":{written}}}"#);
        let expected = "WaitTask: `timeout_secs`: expected seconds, a number from 1 to 300";
        assert_eq!(caller.error(WAIT, &args).await, expected, "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_waiters_one_delivers() {
    let caller = caller();
    let (_, completer) = caller.agent("a", "p");
    let other = caller.anew();
    let end = async { completer.complete(Ok(Output::text("x"))) };
    let (first, second, ()) =
        tokio::join!(biased; caller.json(WAIT, ONE), other.json(WAIT, ONE), end);
    let marks = [&first, &second].map(|answer| answer.get("already_delivered").is_some());
    assert_eq!([&first["output"], &second["output"]], ["x", "x"]);
    assert_eq!(marks, [false, true]);
    assert_eq!(caller.drained(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_wait_leaves_the_task_alone() {
    let caller = caller();
    let (id, completer) = caller.agent("a", "p");
    let token = completer.context().token();
    let wait = caller.tools.call(&caller.cx, WAIT, ONE);
    assert!(tokio::time::timeout(Duration::from_secs(5), wait).await.is_err());
    assert!(!token.is_cancelled());
    assert!(!caller.root.inspect(id).unwrap().status.is_terminal());
    completer.complete(Ok(Output::text("x")));
    assert_eq!(caller.drained(), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_json_whatever_the_agent_left() {
    let caller = caller();
    // Every byte of it has to be escaped.
    let foul = "\u{1}".repeat(1 << 20);
    let (_, completer) = caller.agent(&foul, &foul);
    for _ in 0..400 {
        completer.context().trace(foul.as_str());
    }
    completer.complete(Err(Failure::new(foul.as_str()).with_partial(Output::text(foul.as_str()))));
    let wire = caller.wire(WAIT, ONE).await;
    assert_eq!(wire.full_output, None, "it is not cut in the middle of the JSON");
    let answer: serde_json::Value = serde_json::from_str(&wire.output).unwrap();
    let shown = answer["output"].as_str().unwrap().len() as u64;
    assert_eq!(
        (&answer["omitted_bytes"], &answer["next_cursor"]),
        (&((1 << 20) - shown).into(), &shown.into())
    );
    let events = answer["events"].as_array().unwrap();
    assert!(!events.is_empty());
    assert!(answer["agent_name"].as_str().unwrap().ends_with(" more bytes)"));
    assert!(Budget::default().fits(&wire.output));
}
