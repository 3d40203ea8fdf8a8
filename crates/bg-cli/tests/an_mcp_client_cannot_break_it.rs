//! What a client of `bg mcp` may send, and what becomes of it.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::mcp::{Client, meta};
use support::{Folder, until};

const SOON: Duration = Duration::from_secs(20);

/// The highest size that the server's memory had, in KiB.
fn peak(client: &Client) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", client.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn fifty_megabytes_of_arguments_are_refused_and_cost_nothing() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &[]);
    client.does("ListBackgroundTasks", json!({}));
    let before = peak(&client);
    let text = "x".repeat(50 << 20);
    // The id in front, and behind.
    client.say_line(&format!(
        r#"{{"jsonrpc":"2.0","id":"front","method":"tools/call","params":{{"name":"Bash","arguments":{{"command":"{text}"}}}}}}"#
    ));
    client.say_line(&format!(
        r#"{{"method":"tools/call","params":{{"name":"Bash","arguments":{{"command":"{text}"}}}},"jsonrpc":"2.0","id":"behind"}}"#
    ));
    for id in ["front", "behind"] {
        let refused = client.hear();
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(id), &json!(-32600)),
            "{refused}"
        );
        assert!(refused["error"]["message"].as_str().unwrap().contains("too long"));
    }
    assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
    assert!(peak(&client) < before + (12 << 10), "{before} KiB, then {} KiB", peak(&client));
    // What a line may have and a tool does not take is the tool's own error.
    let (answer, is_error) = client.call("Bash", json!({"command": "x".repeat(2 << 20)}));
    assert!(is_error && answer.as_str().unwrap().contains("too long"), "{answer}");
}

#[test]
fn ten_thousand_calls_in_one_go_are_answered_once_each() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &[]);
    let sender = {
        let mut lines = String::new();
        for id in 1000..11_000 {
            let params = json!({"name": "ListBackgroundTasks", "arguments": {}});
            let call =
                json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
            lines.push_str(&format!("{call}\n"));
        }
        lines
    };
    let mut answers = vec![0; 10_000];
    std::thread::scope(|scope| {
        let mut input = client.split();
        scope.spawn(move || input.say_all(&sender));
        for _ in 0..10_000 {
            let answer = client.hear();
            assert_eq!(answer["result"]["content"][0]["text"], "[]", "{answer}");
            answers[usize::try_from(answer["id"].as_u64().unwrap() - 1000).unwrap()] += 1;
        }
    });
    assert!(answers.iter().all(|&times| times == 1));
    assert!(peak(&client) < 64 << 10, "{} KiB", peak(&client));
}

#[track_caller]
fn check(client: &mut Client, line: &str, id: impl Into<Value>, code: i64) {
    client.say_line(line);
    let answer = client.hear();
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&id.into(), &json!(code)),
        "{line}: {answer}"
    );
}

#[test]
fn what_is_no_request_is_answered_and_forgotten() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &[]);
    check(&mut client, "no JSON", Value::Null, -32700);
    check(&mut client, "\u{feff}{", Value::Null, -32700);
    check(
        &mut client,
        r#"{"jsonrpc":"2.0","id":71,"method":"tools/call","params":{"name":"Bash","arguments":{"command":"\ud800"}}}"#,
        json!(71),
        -32700,
    );
    check(
        &mut client,
        &format!(
            r#"{{"jsonrpc":"2.0","id":72,"method":"x","params":{}{}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        ),
        json!(72),
        -32700,
    );
    check(
        &mut client,
        r#"{"jsonrpc":"2.0","id":73,"method":"tools/call","params":{"name":7}}"#,
        json!(73),
        -32602,
    );
    check(
        &mut client,
        r#"{"jsonrpc":"2.0","id":74,"method":"tools/call","params":{"name":"Bash","arguments":"text"}}"#,
        json!(74),
        -32602,
    );
    check(
        &mut client,
        r#"{"jsonrpc":"2.0","id":75,"method":"tasks/list","params":{}}"#,
        json!(75),
        -32601,
    );
    check(&mut client, "[]", Value::Null, -32600);
    // Nothing is said to these.
    client.say_line("");
    client.say_line(r#"{"jsonrpc":"2.0","method":"notifications/unknown"}"#);
    client.say_line(r#"{"jsonrpc":"2.0","id":1,"result":{"nobody":"asked"}}"#);
    client.say_line(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":999}}"#,
    );
    assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
}

#[test]
fn an_id_in_use_is_refused_and_one_that_was_answered_is_free() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &[]);
    client.does("Bash", json!({"command": "read line", "background": true, "interactive": true}));
    let wait = json!({"name": "WaitTask", "arguments": {"task_id": 1}});
    let call = |params: &Value| json!({"jsonrpc": "2.0", "id": 500, "method": "tools/call", "params": params});
    client.say(&call(&wait));
    client.say(&call(&wait));
    let refused = client.hear();
    assert!(refused["id"].is_null(), "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("500 is in use"), "{refused}");
    client.does("SendToTask", json!({"task_id": 1, "message": "end"}));
    assert_eq!(client.answer(500)["result"]["isError"], false);
    client.say(&call(&json!({"name": "ListBackgroundTasks", "arguments": {}})));
    assert_eq!(client.answer(500)["result"]["content"][0]["text"], "[]");
}

#[test]
fn a_protocol_that_nobody_knows_is_refused_with_those_that_are_known() {
    let folder = Folder::new();
    let mut client = Client::start(&folder, &[]);
    let mut unknown = meta(false);
    unknown["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
    client.say(
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": unknown}}),
    );
    let refused = client.hear();
    assert_eq!(refused["error"]["code"], -32022, "{refused}");
    // An old handshake with such a version is answered with one that is known.
    let params = json!({"protocolVersion": "2031-01-01", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let answer = client.ask("initialize", params);
    assert!(answer["result"]["protocolVersion"].as_str().unwrap() < "2026-07-28", "{answer}");
}

#[test]
fn more_waits_than_there_are_places_are_refused_and_a_cancellation_is_heard() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &[]);
    client.does("Bash", json!({"command": "read line", "background": true, "interactive": true}));
    let wait = json!({"task_id": 1, "timeout_secs": 300});
    let first = client.send_call("WaitTask", wait.clone());
    let all: Vec<i64> = (0..300).map(|_| client.send_call("WaitTask", wait.clone())).collect();
    let refused = client.answer(all[299]);
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    client.cancel(first);
    client.does("SendToTask", json!({"task_id": 1, "message": "end"}));
    assert_eq!(client.answer(all[0])["result"]["isError"], false);
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_its_server() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, false);
    // More than a pipe holds.
    for _ in 0..100 {
        client.send("tools/list", json!({}));
    }
    drop(client.split());
    until("it ends", SOON, || client.child.try_wait().unwrap().is_some());
}

#[test]
fn what_was_asked_before_the_end_is_answered_after_it() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, false);
    let ids: Vec<i64> = (0..100).map(|_| client.send("tools/list", json!({}))).collect();
    drop(client.split());
    for id in ids {
        assert!(client.answer(id)["result"]["tools"].is_array());
    }
    until("it ends", SOON, || client.child.try_wait().unwrap().is_some());
}
