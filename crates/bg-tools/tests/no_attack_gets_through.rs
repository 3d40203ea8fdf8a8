//! A corpus of hostile texts, wherever a model or a task can put one: as an id, as a name, as a key,
//! as an output.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::support;

use bg_core::{Output, Registry, Stream, Task};
use bg_tools::format_outcome;
use serde_json::{Value, json};
use support::attacks::attacks;
use support::{Caller, caller, check_error, is_foul};

const WITH_ID: [&str; 3] = ["CancelTask", "ReadTaskOutput", "WaitTask"];
const TOO_LONG: usize = 1 << 20;

/// Checks an error, and that nothing in it is invisible.
#[track_caller]
fn check(error: &str) {
    check_error(error);
    let hidden = |c: char| {
        matches!(c, '\u{AD}' | '\u{34F}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}')
    };
    assert_eq!(error.chars().find(|&c| hidden(c)), None, "{error:?}");
}

/// A text that is meant to be read as an id, and the number in it: `kind:N` or `N`.
fn own_form(text: &str) -> Option<u64> {
    let text = text.trim();
    let (kind, digits) = text.split_once(':').unwrap_or(("task", text));
    let word = kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let number = digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok());
    number.flatten().filter(|&number| word && text.len() <= 32 && number > 0)
}

fn caller_with_tasks() -> Caller {
    let caller = caller();
    caller.completed("x");
    let (_, completer) = caller.root.register(Task::process("sh", "x")).unwrap();
    completer.complete(Ok(Output::text("y")));
    caller
}

#[test]
fn there_are_many_different_ones() {
    let attacks = attacks();
    assert!(attacks.len() >= 500, "{}", attacks.len());
    let own = attacks.iter().filter(|text| own_form(text).is_some()).count();
    assert!(own < 100, "{own} of {} are no attacks", attacks.len());
}

#[tokio::test(start_paused = true)]
async fn none_is_an_id_but_our_own_form() {
    let caller = caller_with_tasks();
    for tool in WITH_ID {
        for attack in attacks() {
            let args = json!({"task_id": attack}).to_string();
            let wire = caller.wire(tool, &args).await;
            let shown: String = attack.chars().take(100).collect();
            if wire.success {
                let answer: Value = serde_json::from_str(&wire.output).unwrap();
                let number = own_form(&attack).expect(&shown);
                let id = answer["task_id"].as_str().unwrap();
                assert!([(1, "agent:1"), (2, "process:2")].contains(&(number, id)), "{shown:?}");
                continue;
            }
            check(&wire.output);
            assert!(wire.output.is_ascii(), "{}", wire.output);
            let named = ["a task id is \"kind:N\"", "no background task with id ", tool];
            assert!(named.iter().any(|begin| wire.output.starts_with(begin)), "{}", wire.output);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn none_gets_through_as_a_name_or_a_word() {
    let caller = caller_with_tasks();
    for attack in attacks().into_iter().filter(|attack| attack.len() < TOO_LONG) {
        let key = json!(attack).to_string();
        let calls = [
            (attack.as_str(), "{}".to_owned()),
            ("ListBackgroundTasks", format!("{{{key}:1}}")),
            ("ListBackgroundTasks", format!("{{{key}:1,{key}:2}}")),
            ("ListBackgroundTasks", key.clone()),
            ("ListBackgroundTasks", format!("{{}}{attack}x")),
            ("WaitTask", format!(r#"{{"task_id":1,{key}:{key}}}"#)),
            ("ReadTaskOutput", format!(r#"{{"task_id":1,"stream":{key}}}"#)),
            ("ReadTaskOutput", format!(r#"{{"task_id":[{key}]}}"#)),
        ];
        for (tool, args) in calls {
            // An object in a string is an object.
            if tool == "ListBackgroundTasks" && args == r#""{}""# {
                continue;
            }
            check(&caller.error(tool, &args).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn none_is_more_than_a_field_of_an_answer() {
    for attack in attacks() {
        let caller = caller();
        let (_, completer) = caller.agent(&attack, &attack);
        completer.context().log().write(Stream::Stdout, attack.as_bytes());
        let list = caller.answer("ListBackgroundTasks", "{}").await;
        assert_eq!(list.chars().find(|&c| is_foul(c)), None, "{list:?}");
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["task_id"], "agent:1");
        completer.complete(Ok(Output::text(attack.as_str())));
        let read = caller.json("ReadTaskOutput", r#"{"task_id":1}"#).await;
        assert_eq!(read["task_id"], "agent:1");
        let waited = caller.json("WaitTask", r#"{"task_id":1}"#).await;
        assert_eq!(
            (&waited["task_id"], &waited["status"]),
            (&json!("agent:1"), &json!("completed"))
        );
        let output = waited["output"].as_str().unwrap();
        assert!(attack.starts_with(output));
        let omitted = waited["omitted_bytes"].as_u64().unwrap_or(0);
        assert_eq!(output.len() as u64 + omitted, attack.len() as u64);
    }
}

#[test]
fn none_leaves_its_envelope() {
    for attack in attacks() {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (_, completer) = root.register(Task::agent(attack.clone(), "p")).unwrap();
        completer.complete(Ok(Output::text(attack.as_str())));
        let text = format_outcome(&root.inbox().drain().next().unwrap());
        let (header, rest) = text.split_once('\n').unwrap();
        assert!(
            header.starts_with("[background task agent:1 \"") && header.ends_with(": completed]")
        );
        assert_eq!(header.chars().find(|&c| is_foul(c)), None, "{header:?}");
        if attack.is_empty() {
            assert_eq!(rest, "");
            continue;
        }
        let fence = rest.split('\n').next().unwrap();
        assert!(fence.len() >= 4 && fence.chars().all(|c| c == '~'), "{header}");
        assert_eq!(text.matches(fence).count(), 2, "{header}");
        assert!(text.ends_with(&format!("\n{fence}\n")), "{header}");
    }
}
