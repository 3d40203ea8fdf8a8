//! What an answer has told is not told again, unless the turn that had the answer has failed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use crate::support;

use bg_core::{Completer, Exit, Output, Phase, Stream, Task};
use serde_json::{Value, json};
use support::{Caller, caller};

const LIST: &str = "ListBackgroundTasks";
const WAIT: &str = "WaitTask";
const READ: &str = "ReadTaskOutput";
const ONE: &str = r#"{"task_id":1}"#;
const SHORT: &str = r#"{"task_id":1,"timeout_secs":1}"#;

impl Caller {
    fn process(&self) -> Completer {
        self.root.register(Task::process("sh", "cargo build")).unwrap().1
    }

    /// Calls a tool in a turn that fails: nothing is acknowledged.
    async fn in_vain(&self, tool: &str, args: &str) -> Value {
        let called = self.tools.call(&self.cx, tool, args).await;
        let wire = called.to_wire();
        assert!(wire.success, "{}", wire.output);
        serde_json::from_str(&wire.output).unwrap()
    }
}

fn say(completer: &Completer, text: &str) {
    completer.context().log().write(Stream::Stdout, text.as_bytes());
}

fn exit(completer: Completer) {
    completer.context().log().close();
    completer.complete(Ok(Output::exited(Exit { code: Some(0), signal: None })));
}

/// The ids in a list, and what it does not show.
fn listed(list: &Value) -> (Vec<&str>, Option<&Value>) {
    let (rows, rest): (Vec<&Value>, _) =
        list.as_array().unwrap().iter().partition(|row| row.get("task_id").is_some());
    (rows.iter().map(|row| row["task_id"].as_str().unwrap()).collect(), rest.first().copied())
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_what_has_changed_since_the_last_one() {
    let caller = caller();
    let (_, first) = caller.agent("a", "p");
    let (_, second) = caller.agent("b", "p");
    let list = caller.json(LIST, "{}").await;
    assert_eq!(listed(&list), (vec!["agent:1", "agent:2"], None));
    assert_eq!(caller.json(LIST, "{}").await, json!([{"unchanged_tasks": 2}]));
    second.context().step(3);
    let (_, _third) = caller.agent("c", "p");
    let list = caller.json(LIST, "{}").await;
    assert_eq!(listed(&list), (vec!["agent:2", "agent:3"], Some(&json!({"unchanged_tasks": 1}))));
    assert_eq!(list[0]["step"], 3);
    first.complete(Ok(Output::text("x")));
    assert_eq!(listed(&caller.json(LIST, "{}").await).0, ["agent:1"]);
    let all = caller.json(LIST, r#"{"after":0}"#).await;
    assert_eq!(listed(&all), (vec!["agent:1", "agent:2", "agent:3"], None), "asked for in full");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_a_turn_that_fails_is_shown_again() {
    let caller = caller();
    let (_, _first) = caller.agent("a", "p");
    let lost = caller.in_vain(LIST, "{}").await;
    assert_eq!(caller.json(LIST, "{}").await, lost);
    assert_eq!(caller.json(LIST, "{}").await, json!([{"unchanged_tasks": 1}]));
    assert_eq!(caller.anew().json(LIST, "{}").await, lost, "another conversation knows nothing");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_times_out_again_says_what_is_new() {
    let caller = caller();
    let (_, completer) = caller.agent("a", "p");
    completer.context().trace("Read a.rs");
    let first = caller.json(WAIT, SHORT).await;
    assert_eq!(first["current"]["last_event"], "Read a.rs");
    assert_eq!(first.get("note"), None);
    let again = caller.json(WAIT, SHORT).await;
    assert_eq!(again["current"].get("last_event"), None, "it was told");
    let note = "nothing new since your last wait; its result will arrive by itself";
    assert_eq!(again["note"], note);
    completer.context().phase(Phase::WaitingForApproval);
    let news = caller.json(WAIT, SHORT).await;
    assert_eq!(news["current"]["phase"], "waiting_for_approval");
    assert_eq!(news.get("note"), None);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_process_shows_what_it_has_written_since() {
    let caller = caller();
    let process = caller.process();
    say(&process, "one\n");
    assert_eq!(caller.json(WAIT, SHORT).await["output"]["text"], "one\n");
    assert_eq!(caller.json(WAIT, SHORT).await.get("output"), None, "nothing new");
    say(&process, "two\n");
    let lost = caller.in_vain(WAIT, SHORT).await;
    assert_eq!(lost["output"], json!({"text": "two\n", "omitted_bytes": 0, "next_cursor": 8}));
    assert_eq!(caller.json(WAIT, SHORT).await["output"], lost["output"], "the turn has failed");
    say(&process, "three\n");
    exit(process);
    let ended = caller.json(WAIT, ONE).await;
    assert_eq!(ended["output"], json!({"text": "three\n", "omitted_bytes": 0, "next_cursor": 14}));
}

#[tokio::test(start_paused = true)]
async fn what_a_wait_left_out_is_what_a_read_goes_on_with() {
    let caller = caller();
    let process = caller.process();
    say(&process, &"early line\n".repeat(1000));
    let news = caller.json(WAIT, SHORT).await;
    let omitted = news["output"]["omitted_bytes"].as_u64().unwrap();
    assert!(omitted > 10_000, "{omitted}");
    say(&process, "late\n");
    exit(process);
    let ended = caller.json(WAIT, ONE).await;
    assert_eq!(ended["output"]["text"], "late\n", "the rest of the end was shown");
    let mut text = String::new();
    loop {
        let read = caller.json(READ, ONE).await;
        text.push_str(read["text"].as_str().unwrap());
        if read["eof"] == true {
            break;
        }
    }
    assert_eq!(text, "early line\n".repeat(1000) + "late\n");
}

#[tokio::test(start_paused = true)]
async fn a_read_without_a_cursor_goes_on_where_the_last_one_has_stopped() {
    let caller = caller();
    let process = caller.process();
    say(&process, "one\n");
    let first = caller.json(READ, ONE).await;
    assert_eq!((&first["text"], first.get("cursor")), (&json!("one\n"), None));
    let idle = caller.json(READ, ONE).await;
    assert_eq!((&idle["text"], &idle["cursor"]), (&json!(""), &json!(4)));
    say(&process, "two\n");
    let lost = caller.in_vain(READ, ONE).await;
    assert_eq!(lost["text"], "two\n");
    assert_eq!(caller.json(READ, ONE).await, lost);
    let whole = caller.json(READ, r#"{"task_id":1,"cursor":0}"#).await;
    assert_eq!(whole["text"], "one\ntwo\n");
    assert_eq!(caller.anew().json(READ, ONE).await["text"], "one\ntwo\n");
}

#[tokio::test(start_paused = true)]
async fn one_stream_is_read_from_its_beginning() {
    let caller = caller();
    let process = caller.process();
    say(&process, "out\n");
    process.context().log().write(Stream::Stderr, b"err\n");
    caller.json(READ, ONE).await;
    let args = r#"{"task_id":1,"stream":"stderr"}"#;
    for _ in 0..2 {
        assert_eq!(caller.json(READ, args).await["text"], "err\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_wait_for_an_outcome_refers_to_the_first() {
    let caller = caller();
    caller.completed("3 crates");
    assert_eq!(caller.json(WAIT, ONE).await["output"], "3 crates");
    let again = caller.json(WAIT, ONE).await;
    assert_eq!((&again["output"], &again["already_delivered"]), (&json!(""), &json!(true)));
    assert_eq!((&again["omitted_bytes"], &again["next_cursor"]), (&json!(8), &json!(0)));
    let read = caller.json(READ, r#"{"task_id":1,"cursor":0}"#).await;
    assert_eq!(read["text"], "3 crates");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_of_a_turn_that_fails_is_shown_whole_again() {
    let caller = caller();
    caller.completed("3 crates");
    let lost = caller.in_vain(WAIT, ONE).await;
    assert_eq!(lost["output"], "3 crates");
    assert_eq!(caller.json(WAIT, ONE).await, lost);
    assert_eq!(caller.drained(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_drained_elsewhere_is_shown_by_a_wait() {
    let caller = caller();
    caller.completed("3 crates");
    assert_eq!(caller.drained(), [1]);
    let waited = caller.json(WAIT, ONE).await;
    assert_eq!(
        (&waited["output"], &waited["already_delivered"]),
        (&json!("3 crates"), &json!(true))
    );
}

/// However many tasks there are, what is remembered of them stays bounded: the oldest is told again.
#[tokio::test(start_paused = true)]
async fn of_many_tasks_the_newest_are_remembered() {
    let caller = caller();
    let tasks: Vec<_> = (0..1025).map(|_| caller.agent("a", "p").1).collect();
    for number in 1..=tasks.len() {
        let args = format!(r#"{{"task_id":{number},"timeout_secs":1}}"#);
        assert_eq!(caller.json(WAIT, &args).await.get("note"), None);
    }
    assert_eq!(caller.json(WAIT, SHORT).await.get("note"), None, "forgotten");
    let last = caller.json(WAIT, r#"{"task_id":1025,"timeout_secs":1}"#).await;
    assert!(last.get("note").is_some());
}
