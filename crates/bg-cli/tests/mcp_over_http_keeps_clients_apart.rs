//! `bg mcp --http`: who may call, what each sees, and when it ends.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::net::Shutdown;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::mcp_http::{Server, reply};
use support::{Folder, processes_with, until};

const SOON: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);
const ONE: &str = "one-0123456789abcdef";
const TWO: &str = "two-0123456789abcdef";

fn mark_of(folder: &Folder) -> String {
    format!("http-{}", folder.path().file_name().unwrap().to_str().unwrap())
}

#[test]
fn a_command_lives_its_whole_life_over_many_connections() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let client = server.client();
    assert_eq!(client.ask("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len(), 8);
    let command = "echo begun; read line; echo got $line";
    client.does("Bash", json!({"command": command, "background": true, "interactive": true}));
    assert_eq!(client.does("ListBackgroundTasks", json!({}))[0]["task_id"], "process:1");
    let params = json!({
        "name": "WaitTask", "arguments": {"task_id": 1, "timeout_secs": 1}, "_meta": {"progressToken": "p"},
    });
    let (request, body) = client.request("tools/call", params);
    let reply = request.exchange("POST", &body);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let messages = reply.messages();
    assert_eq!(messages[0]["params"]["progressToken"], "p", "{messages:?}");
    client.does("SendToTask", json!({"task_id": 1, "message": "it"}));
    let waited = client.does("WaitTask", json!({"task_id": 1}));
    assert_eq!(waited["status"], "exited", "{waited}");
    let read = |cursor: u64| client.does("ReadTaskOutput", json!({"task_id": 1, "cursor": cursor}));
    assert_eq!(
        (&read(0)["text"], &read(6)["text"]),
        (&json!("begun\ngot it\n"), &json!("got it\n"))
    );
    assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
}

#[test]
fn a_session_of_an_older_protocol_finds_the_same_root() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    server.client().does("Bash", json!({"command": "sleep 1000", "background": true}));
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let opened = server.client().exchange("POST", &initialize.to_string());
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let client =
        server.client().with("Mcp-Session-Id", session).with("MCP-Protocol-Version", "2025-06-18");
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(client.exchange("POST", &initialized.to_string()).status, 202);
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "ListBackgroundTasks", "arguments": {}}});
    let listed = client.exchange("POST", &call.to_string()).message();
    assert!(
        listed["result"]["content"][0]["text"].as_str().unwrap().contains("process:1"),
        "{listed}"
    );
    let closed = client.exchange("DELETE", "");
    assert!(closed.status < 300, "{closed:?}");
    assert_eq!(client.exchange("POST", &call.to_string()).status, 404);
    let shown = server.client().does("InspectTask", json!({"task_id": 1}));
    assert_eq!(shown["status"], "running", "the end of a session has ended its task");
}

#[test]
fn two_clients_never_see_each_other() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[("BG_ONE", ONE), ("BG_TWO", TWO)], &[]);
    let (mut one, mut two) = (server.client().bearing(ONE), server.client().bearing(TWO));
    one.does("Bash", json!({"command": "echo secret; sleep 1000", "background": true}));
    for (tool, args) in [
        ("InspectTask", json!({"task_id": 1})),
        ("ReadTaskOutput", json!({"task_id": "process:1"})),
        ("WaitTask", json!({"task_id": 1})),
        ("CancelTask", json!({"task_id": 1})),
        ("SendToTask", json!({"task_id": 1, "message": "x"})),
    ] {
        let answer = two.ask("tools/call", json!({"name": tool, "arguments": args}));
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("no background task with id"), "{tool}: {answer}");
    }
    assert_eq!(two.does("ListBackgroundTasks", json!({})), json!([]));
    two.does("Bash", json!({"command": "true", "background": true}));
    assert_eq!(one.does("ListBackgroundTasks", json!({})).as_array().unwrap().len(), 1);
    // A wait with progress hears of its own task only.
    let params = json!({
        "name": "WaitTask", "arguments": {"task_id": 1}, "_meta": {"progressToken": "p"},
    });
    let (request, body) = two.request("tools/call", params);
    assert!(!request.exchange("POST", &body).body.contains("secret"));
    // Nor do ids of the extension say anything to another one.
    (one.with_tasks, two.with_tasks) = (true, true);
    let call = json!({"name": "Bash", "arguments": {"command": "sleep 1000", "timeout_secs": 600}});
    let task = one.ask("tools/call", call);
    let id = json!({"taskId": task["result"]["taskId"].as_str().unwrap()});
    assert_eq!(two.ask("tasks/get", id.clone())["error"]["code"], -32602);
    assert_eq!(one.ask("tasks/get", id)["result"]["status"], "working");
}

#[test]
fn whoever_has_no_known_token_is_told_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[("BG_ONE", ONE)], &[]);
    let (client, body) = server.client().request("tools/list", json!({}));
    for client in [
        client.clone(),
        client.clone().bearing("wrong-0123456789abc"),
        client.clone().bearing(&ONE[..ONE.len() - 1]),
        client.clone().bearing(&format!("{ONE}0")),
        client.clone().with("Authorization", format!("Basic {ONE}")),
    ] {
        let reply = client.exchange("POST", &body);
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (401, Some("bearer")),
            "{reply:?}"
        );
    }
    assert_eq!(client.bearing(ONE).exchange("POST", &body).status, 200);
    // What a client runs does not find the token where everybody looks.
    let shown = server.client().bearing(ONE).does("Bash", json!({"command": "env"}));
    assert!(!shown.to_string().contains(ONE), "{shown}");
}

#[test]
fn a_page_that_is_not_allowed_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &["--allow-origin", "http://localhost:6274"]);
    let (client, body) = server.client().request("tools/list", json!({}));
    let status =
        |name, value: &str| client.clone().with(name, value).exchange("POST", &body).status;
    assert_eq!(status("Host", "evil.example"), 403);
    assert_eq!(status("Host", &format!("evil.example:{}", server.address.port())), 403);
    assert_eq!(status("Host", &format!("localhost:{}", server.address.port())), 200);
    assert_eq!(status("Origin", "http://evil.example"), 403);
    assert_eq!(status("Origin", "null"), 403);
    assert_eq!(status("Origin", "http://localhost:6274"), 200);
}

#[test]
fn nobody_listens_to_others_without_a_token() {
    let refuses = |args: &[&str], words: &str| {
        let output = support::bg(args).env("BG_SHORT", "short").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = support::stderr(&output);
        assert!(said.contains(words), "{said}");
    };
    refuses(&["mcp", "--http", "0.0.0.0:0"], "clients need a token");
    refuses(&["mcp", "--http", "[::]:0"], "clients need a token");
    refuses(
        &["mcp", "--http", "127.0.0.1:0", "--token-env", "BG_NOT_SET"],
        "BG_NOT_SET holds no token",
    );
    refuses(&["mcp", "--http", "127.0.0.1:0", "--token-env", "BG_SHORT"], "at least 16");
    refuses(&["mcp", "--model", "openai:x", "--base-url", "http://127.0.0.1:1"], "add --plan");
}

#[test]
fn a_client_that_goes_away_ends_nothing() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    let server = Server::start(&folder, &[], &[]);
    let command = json!({"command": format!(": {mark}; sleep 1000; :"), "timeout_secs": 600});
    let (client, body) =
        server.client().request("tools/call", json!({"name": "Bash", "arguments": command}));
    let stream = client.send("POST", &body);
    until("it runs", SOON, || processes_with(&mark).len() == 1);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    until("it is in the background", SOON, || {
        !server.client().does("ListBackgroundTasks", json!({})).as_array().unwrap().is_empty()
    });
    assert!(!processes_with(&mark).is_empty());
}

#[test]
fn an_idle_root_is_closed_and_the_next_one_begins_anew() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    let server = Server::start(&folder, &[], &["--idle", "1"]);
    let command = json!({"command": format!(": {mark}; sleep 1000; :"), "background": true});
    server.client().does("Bash", command.clone());
    until("it runs", SOON, || processes_with(&mark).len() == 1);
    until("nothing is left", SOON, || processes_with(&mark).is_empty());
    assert_eq!(server.client().does("ListBackgroundTasks", json!({})), json!([]));
    assert_eq!(server.client().does("Bash", command)["task_id"], "process:1");
}

#[test]
fn an_interrupt_closes_every_root() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    let mut server = Server::start(&folder, &[("BG_ONE", ONE), ("BG_TWO", TWO)], &[]);
    for token in [ONE, TWO] {
        let command = json!({"command": format!(": {mark}; sleep 1000; :"), "background": true});
        server.client().bearing(token).does("Bash", command);
    }
    until("both run", SOON, || processes_with(&mark).len() == 2);
    kill_process(Pid::from_raw(server.child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(130));
    until("nothing is left", SECOND, || processes_with(&mark).is_empty());
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let slow = server.client().with("Content-Length", "1000");
    // Somebody else is served meanwhile.
    let began = slow.send("POST", "{");
    assert_eq!(server.client().does("ListBackgroundTasks", json!({})), json!([]));
    assert_eq!(reply(began).status, 408);
}

#[test]
fn a_request_that_is_too_large_or_unknown_is_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[], &[]);
    let text = "x".repeat(50 << 20);
    let call = json!({"name": "Bash", "arguments": {"command": text}});
    let (client, body) = server.client().request("tools/call", call);
    assert_eq!(client.exchange("POST", &body).status, 413);
    let (client, body) = server.client().request("tools/list", json!({}));
    let unknown = client.with("MCP-Protocol-Version", "2031-01-01");
    assert_eq!(unknown.exchange("POST", &body.replace("2026-07-28", "2031-01-01")).status, 400);
    assert_eq!(server.client().exchange("POST", "no JSON").status / 100, 4);
    assert_eq!(server.client().exchange("PUT", "{}").status, 405);
    assert_eq!(server.client().does("ListBackgroundTasks", json!({})), json!([]));
}
