//! Whatever a model writes as a task id is read as the grammar says, or refused with it (R11).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bg_core::{
    Kind, MAX_ID_BYTES, MAX_KIND_BYTES, ParseIdError, Registry, ResolveError, Scope, Task,
};
use bg_core::{TaskError, TaskId, TaskRef};
use proptest::prelude::*;

/// The grammar, said in another way than the code does.
fn grammar(text: &str) -> Option<(Option<String>, u64)> {
    let text = text.trim();
    let (word, digits) = match text.find(':') {
        Some(at) => (Some(text[..at].to_ascii_lowercase()), &text[at + 1..]),
        None => (None, text),
    };
    let is_word = |word: &String| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        (1..=MAX_KIND_BYTES).contains(&word.len())
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(inner)
    };
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let number = digits.trim_start_matches('0').parse().ok().filter(|_| is_number)?;
    let fits = text.len() <= MAX_ID_BYTES && word.as_ref().is_none_or(is_word);
    fits.then_some((word, number))
}

/// Anything, and what looks nearly like an id.
fn written() -> impl Strategy<Value = String> {
    let near = "[ \\t\u{a0}]{0,2}[a-zA-Z0-9_:\u{212a}-]{0,13}:?[+-]?[0-9]{0,21}[ \\n:]{0,2}";
    prop_oneof![any::<String>(), near]
}

#[track_caller]
fn check_message(error: &ParseIdError) {
    let message = error.to_string();
    assert!(message.len() <= 512, "{} bytes", message.len());
    assert!(message.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{message}");
    assert!(message.contains("\"kind:N\" or \"N\""), "{message}");
}

fn scope() -> (Registry, Scope) {
    let registry = Registry::builder().kind(Kind::new("browser")).build();
    let root = registry.root_scope();
    (registry, root)
}

proptest! {
    #[test]
    fn what_is_read_is_what_the_grammar_says(text in written()) {
        let read = text.parse::<TaskRef>();
        let parts = |r: &TaskRef| (r.kind().map(|kind| kind.as_str().to_owned()), r.number());
        prop_assert_eq!(read.as_ref().ok().map(parts), grammar(&text));
        if let Err(error) = read {
            check_message(&error);
        }
    }

    #[test]
    fn an_id_survives_being_written_and_read(word in "[a-z][a-z0-9_-]{0,10}", n in 1..=u64::MAX) {
        let text = format!("{word}:{n}");
        let id: TaskId = text.parse().unwrap();
        prop_assert_eq!(id.to_string(), &text[..]);
        prop_assert!(text.len() <= MAX_ID_BYTES);
        prop_assert_eq!(text.to_ascii_uppercase().parse::<TaskId>().unwrap(), id);
        let json = serde_json::to_value(id).unwrap();
        prop_assert_eq!(&json, &text);
        prop_assert_eq!(serde_json::from_value::<TaskId>(json).unwrap(), id);
        prop_assert_eq!((TaskRef::from(id).kind(), TaskRef::from(id).number()), (Some(id.kind()), n));
    }

    #[test]
    fn a_kind_is_what_can_be_written_before_a_number(word in "[a-zA-Z0-9_:. -]{0,13}") {
        let kind = Kind::try_new(&word);
        let lower = word == word.to_ascii_lowercase() && word == word.trim();
        let id = format!("{word}:1").parse::<TaskId>();
        prop_assert_eq!(kind.is_ok(), lower && id.is_ok());
        prop_assert!(kind.is_err() || kind.unwrap().as_str() == word);
    }

    #[test]
    fn anything_resolves_to_a_task_of_the_callers_or_to_an_error(text in written()) {
        let (_registry, root) = scope();
        let (id, _completer) = root.register(Task::agent("one", "")).unwrap();
        match root.resolve(&text) {
            Ok(found) => prop_assert!(found == id && grammar(&text).unwrap().1 == 1),
            Err(ResolveError::Malformed(error)) => check_message(&error),
            Err(error) => prop_assert!(error.to_string().len() < 80, "{}", error),
        }
    }
}

#[track_caller]
fn check_malformed(root: &Scope, text: &str) {
    match root.resolve(text) {
        Err(ResolveError::Malformed(error)) => check_message(&error),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn ids_made_to_attack_are_malformed() {
    let (_registry, root) = scope();
    let _completers: Vec<_> = (0..9).map(|_| root.register(Task::agent("", "")).unwrap()).collect();
    let long = [&"0".repeat(MAX_ID_BYTES)[..], "1"].concat();
    for text in [
        "",
        " ",
        ":",
        "mcp:1",
        "agent:",
        "agent:abc",
        "agent:0",
        "agent:00",
        "agent:-1",
        "agent:+1",
        "agent: 1",
        "agent :1",
        "agent:1:1",
        "agent::1",
        ":1",
        "agent:1 2",
        "agent:1\0",
        "\0",
        "agent:1e3",
        "agent:0x1",
        "agent:1.0",
        "agent:1_0",
        "process:-1",
        "-1",
        "+1",
        "0",
        "agent:18446744073709551616",
        "99999999999999999999999",
        "agent/1",
        "agent:\u{ff11}",
        "\u{661}",
        "agent:\u{202e}1",
        "ag\u{435}nt:1",
        "\u{212a}ind:1",
        "agents:1",
        "1agent:1",
        "\u{1F468}\u{200D}\u{1F469}",
        "$(reboot)",
        "{\"task_id\":1}",
        "averylongkind:1",
        &long,
        &"9".repeat(1_000_000),
        &"e\u{301}".repeat(100_000),
        &"\u{7}".repeat(1_000),
    ] {
        check_malformed(&root, text);
    }
}

#[test]
fn a_text_that_means_a_task_resolves_to_its_canonical_id() {
    let (_registry, root) = scope();
    let task = |kind| Task::of_kind(kind, "", "");
    let (agent, _agent) = root.register(task(Kind::AGENT)).unwrap();
    let (browser, _browser) = root.register(task(Kind::new("browser"))).unwrap();
    for text in ["1", " 1 ", "agent:1", "AGENT:1", "\tAgent:1\r\n", "agent:001", "\u{2003}1"] {
        assert_eq!(root.resolve(text), Ok(agent), "{text:?}");
    }
    assert_eq!(root.resolve("Browser:2").unwrap().to_string(), "browser:2");
    assert_eq!(root.resolve("2"), Ok(browser));
}

#[test]
fn a_right_number_under_a_wrong_kind_is_not_found() {
    let (_registry, root) = scope();
    let _one = root.register(Task::agent("", "")).unwrap();
    for text in ["process:1", "3", "agent:18446744073709551615", "browser:1"] {
        match root.resolve(text) {
            Err(ResolveError::Task(TaskError::NotFound(shown))) => {
                assert_eq!(shown.to_string(), text);
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn ids_sort_by_number() {
    let mut ids: Vec<TaskId> =
        ["task:10", "agent:9", "process:2", "agent:1"].map(|text| text.parse().unwrap()).to_vec();
    ids.sort_unstable();
    assert_eq!(format!("{ids:?}"), "[agent:1, process:2, agent:9, task:10]");
}
