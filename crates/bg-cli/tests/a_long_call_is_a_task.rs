//! The Tasks extension over `bg mcp`: a call that is long is answered with a task.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use support::mcp::{Client, Long, answer_of};
use support::{Folder, processes_with, until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_long_call_lives_its_whole_life_as_a_task() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let long = Long::start(&mut client, "echo begun; read line; echo got $line");
    assert_eq!(
        (&long.task["ttlMs"], &long.task["pollIntervalMs"]),
        (&json!(3_600_000), &json!(1000))
    );
    assert!(long.task["createdAt"].as_str().unwrap().ends_with('Z'), "{}", long.task);
    let mut working = Value::Null;
    until("it says what it does", SOON, || {
        working = long.get(&mut client);
        let message = working["result"]["statusMessage"].as_str().unwrap_or_default();
        message == "process:1: running, 6 bytes of output"
    });
    assert_eq!(working["result"]["status"], "working");
    // What asks for nothing takes no input.
    let update = json!({"taskId": long.id, "inputResponses": {}});
    assert_eq!(client.ask("tasks/update", update)["result"]["resultType"], "complete");
    client.does("SendToTask", json!({"task_id": 1, "message": "a line"}));
    let ended = long.ended(&mut client, "completed");
    let (answer, is_error) = answer_of(&ended["result"]);
    assert!(!is_error);
    assert_eq!(
        (&answer["status"], &answer["output"]["text"]),
        (&json!("exited"), &json!("begun\ngot a line\n"))
    );
    // It was read, and can be read again; and it was delivered.
    assert_eq!(long.get(&mut client)["result"]["result"], ended["result"]);
    assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
}

#[test]
fn a_task_that_is_cancelled_ends_with_its_command() {
    let folder = Folder::new();
    let mark = format!("task-{}", folder.path().file_name().unwrap().to_str().unwrap());
    let mut client = Client::latest(&folder, true);
    let long = Long::start(&mut client, &format!(": {mark}; sleep 1000; :"));
    assert!(!processes_with(&mark).is_empty());
    let cancelled = client.ask("tasks/cancel", json!({"taskId": long.id}));
    assert_eq!(cancelled["result"]["resultType"], "complete", "{cancelled}");
    long.ended(&mut client, "cancelled");
    until("the command ends", SOON, || processes_with(&mark).is_empty());
}

#[test]
fn a_quick_call_and_a_client_without_the_extension_get_plain_answers() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    assert_eq!(client.does("Bash", json!({"command": "echo hi"}))["output"]["text"], "hi\n");
    let mut client = Client::latest(&folder, false);
    let call = json!({"command": "sleep 1.2; echo slow"});
    assert_eq!(client.does("Bash", call)["output"]["text"], "slow\n");
    let refused = client.ask("tasks/get", json!({"taskId": "x"}));
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
}

#[test]
fn ids_cannot_be_guessed_and_are_their_clients_own() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let mut other = Client::latest(&folder, true);
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let long = Long::start(&mut client, "read line");
        assert!(long.id.len() == 32 && long.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
            let params = |id: &str| json!({"taskId": id, "inputResponses": {}});
            let foreign = other.ask(method, params(&long.id));
            let unknown = other.ask(method, params(&"0".repeat(32)));
            assert_eq!(foreign["error"]["code"], -32602, "{foreign}");
            assert_eq!(foreign["error"], unknown["error"]);
        }
        assert_eq!(long.get(&mut client)["result"]["status"], "working");
        ids.insert(long.id);
    }
    assert_eq!(ids.len(), 3);
    for method in ["tasks/list", "tasks/result"] {
        assert_eq!(client.ask(method, json!({"taskId": "x"}))["error"]["code"], -32601);
    }
}

#[test]
fn a_long_call_that_fails_is_an_answer_that_says_so() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, true);
    let (answer, is_error) = client.call("WaitTask", json!({"task_id": 7}));
    assert!(
        is_error && answer.as_str().unwrap().contains("no background task with id"),
        "{answer}"
    );
}

#[test]
fn a_task_whose_time_is_over_is_gone_and_what_it_waited_for_is_stopped() {
    let folder = Folder::new();
    let mut client = Client::latest_with(&folder, true, &["--task-ttl", "2"]);
    let mark = format!("ttl-{}", folder.path().file_name().unwrap().to_str().unwrap());
    let long = Long::start(&mut client, &format!("read line; echo {mark}"));
    assert_eq!(long.task["ttlMs"], json!(2000));
    assert!(!processes_with(&mark).is_empty());
    let mut answer = Value::Null;
    until("its time is over", SOON, || {
        answer = long.get(&mut client);
        !answer["error"].is_null()
    });
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    until("the command is stopped", SOON, || processes_with(&mark).is_empty());
    // It is as if it had not been: no other way leads to it.
    let cancel = client.ask("tasks/cancel", json!({"taskId": long.id}));
    assert_eq!(cancel["error"]["code"], -32602, "{cancel}");
}

#[test]
fn a_task_whose_time_is_over_is_stopped_though_nobody_asks() {
    let folder = Folder::new();
    let mut client = Client::latest_with(&folder, true, &["--task-ttl", "2"]);
    let mark = format!("unasked-{}", folder.path().file_name().unwrap().to_str().unwrap());
    Long::start(&mut client, &format!("read line; echo {mark}"));
    assert!(!processes_with(&mark).is_empty());
    until("the command is stopped", SOON, || processes_with(&mark).is_empty());
}

#[test]
fn a_result_that_nobody_reads_stays_until_its_time_is_over() {
    let folder = Folder::new();
    let mut client = Client::latest_with(&folder, true, &["--task-ttl", "6"]);
    let long = Long::start(&mut client, "read line; echo got $line");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    let first = long.ended(&mut client, "completed");
    assert_eq!(long.ended(&mut client, "completed"), first, "it can be read again");
    until("its time is over", SOON, || !long.get(&mut client)["error"].is_null());
}
