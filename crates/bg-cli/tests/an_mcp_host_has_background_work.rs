//! `bg mcp` over standard input and output, spoken to in raw JSON-RPC.
#![cfg(all(target_os = "linux", feature = "mcp"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod support;

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::mcp::{Client, LATEST, answer_of};
use support::{Folder, processes_with, until};

const SOON: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

fn mark_of(folder: &Folder) -> String {
    format!("mcp-{}", folder.path().file_name().unwrap().to_str().unwrap())
}

#[test]
fn a_command_lives_its_whole_life() {
    let folder = Folder::new();
    for mut client in [Client::handshaken(&folder, &[]), Client::latest(&folder, false)] {
        let command = "echo ready; while read line; do echo got $line; done";
        let started = client
            .does("Bash", json!({"command": command, "background": true, "interactive": true}));
        assert_eq!(started["task_id"], "process:1", "{started}");
        let listed = client.does("ListBackgroundTasks", json!({}));
        assert_eq!(
            (listed[0]["task_id"].as_str(), listed[0]["status"].as_str()),
            (Some("process:1"), Some("running"))
        );
        client.does("SendToTask", json!({"task_id": 1, "message": "a line"}));
        let mut text = String::new();
        until("it has answered", SOON, || {
            let read = client.does("ReadTaskOutput", json!({"task_id": 1, "cursor": 0}));
            text = read["text"].as_str().unwrap().to_owned();
            text.contains("got a line")
        });
        assert_eq!(text, "ready\ngot a line\n");
        let rest = client.does("ReadTaskOutput", json!({"task_id": 1, "cursor": 6}));
        assert_eq!(rest["text"], "got a line\n", "{rest}");
        let stopped = client.does("CancelTask", json!({"task_id": "process:1"}));
        assert_eq!((&stopped["cancelled"], &stopped["status"]), (&json!(true), &json!("killed")));
        assert_eq!(stopped["receipt"]["survivors"].as_array().map_or(0, Vec::len), 0, "{stopped}");
        let waited = client.does("WaitTask", json!({"task_id": 1}));
        assert_eq!(waited["status"], "killed", "{waited}");
        assert_eq!(client.does("ListBackgroundTasks", json!({})), json!([]));
        assert_eq!(client.leave(), Some(0));
    }
}

#[test]
fn discovery_and_the_list_tell_what_there_is() {
    let folder = Folder::new();
    let mut client = Client::latest(&folder, false);
    let found = client.ask("server/discover", json!({}));
    let versions = found["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(LATEST)), "{found}");
    let tools = client.ask("tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let all = [
        "Bash",
        "CancelTask",
        "InspectTask",
        "ListBackgroundTasks",
        "ReadTaskOutput",
        "SendToTask",
        "WaitTask",
        "WaitTasks",
    ];
    assert_eq!(names, all);
    let hints =
        |name: &str| &tools.iter().find(|tool| tool["name"] == name).unwrap()["annotations"];
    assert_eq!(hints("ListBackgroundTasks")["readOnlyHint"], true);
    assert_eq!(
        (&hints("Bash")["readOnlyHint"], &hints("Bash")["destructiveHint"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(hints("CancelTask")["idempotentHint"], true);
}

#[test]
fn a_tool_that_is_not_allowed_is_not_there() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &["--allow", "Bash,WaitTask"]);
    let tools = client.ask("tools/list", json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 2);
    for name in ["CancelTask", "nonsense", "a\u{202e}b"] {
        let refused = client.ask("tools/call", json!({"name": name, "arguments": {}}));
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        let problem = refused["error"]["message"].as_str().unwrap();
        assert!(problem.contains("the tools are: Bash, WaitTask"), "{problem}");
        assert!(!problem.contains('\u{202e}'));
    }
    let mut wrong = support::bg(&["mcp", "--allow", "bash"]);
    let output = wrong.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(support::stderr(&output).contains("there is no tool \"bash\""));
}

#[test]
fn a_wait_tells_what_happens_meanwhile() {
    let folder = Folder::new();
    for mut client in [Client::handshaken(&folder, &[]), Client::latest(&folder, false)] {
        // Silent until it is told to go on: what it writes would be news too.
        let command = "read line; echo one; echo two";
        client.does("Bash", json!({"command": command, "background": true, "interactive": true}));
        let call = json!({
            "name": "WaitTask",
            "arguments": {"task_id": "process:1"},
            "_meta": {"progressToken": "mine"},
        });
        let id = client.send("tools/call", call);
        let progress = |message: &Value| message["method"] == "notifications/progress";
        let first = client.hear_one(progress);
        assert_eq!(
            (&first["params"]["progressToken"], first["params"]["progress"].as_f64()),
            (&json!("mine"), Some(1.0))
        );
        let text = first["params"]["message"].as_str().unwrap();
        assert!(text.starts_with("process:1: running"), "{text}");
        client.does("SendToTask", json!({"task_id": 1, "message": "go on"}));
        let answer = client.answer(id);
        let (answer, is_error) = answer_of(&answer["result"]);
        assert!(!is_error && answer["status"] == "exited", "{answer}");
        assert_eq!(answer["output"]["text"], "one\ntwo\n");
    }
}

#[test]
fn a_cancelled_request_ends_the_wait_and_nothing_else() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    for mut client in [Client::handshaken(&folder, &[]), Client::latest(&folder, false)] {
        client.does("Bash", json!({"command": format!(": {mark}; read line"), "background": true, "interactive": true}));
        let wait = client.send("tools/call", json!({
            "name": "WaitTask", "arguments": {"task_id": 1, "timeout_secs": 300}, "_meta": {"progressToken": 1},
        }));
        client.hear_one(|message| message["method"] == "notifications/progress");
        client.cancel(wait);
        // A command in the foreground: nobody waits for it any more, and it goes on.
        let command = client.send("tools/call", json!({
            "name": "Bash",
            "arguments": {"command": format!(": {mark} foreground; sleep 1000; :"), "timeout_secs": 600},
            "_meta": {"progressToken": 2},
        }));
        until("it runs", SOON, || !processes_with(&format!("{mark} foreground")).is_empty());
        client.cancel(command);
        until("the command is listed", SOON, || {
            let listed = client.does("ListBackgroundTasks", json!({}));
            listed.as_array().unwrap().iter().any(|task| task["task_id"] == "process:2")
        });
        for task in [1, 2] {
            let shown = client.does("InspectTask", json!({"task_id": task}));
            assert_eq!(shown["status"], "running", "{shown}");
        }
        client.does("SendToTask", json!({"task_id": 1, "message": "end"}));
        assert_eq!(client.does("WaitTask", json!({"task_id": 1}))["status"], "exited");
        client.does("CancelTask", json!({"task_id": 2}));
        assert_eq!(client.leave(), Some(0));
    }
}

#[test]
fn the_end_of_the_client_leaves_no_process() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    let mut client = Client::handshaken(&folder, &[]);
    client.does("Bash", json!({"command": format!(": {mark}; sleep 1000; :"), "background": true}));
    client.does("Bash", json!({"command": format!("setsid sh -c ': {mark}; sleep 1000; :' & : {mark}; wait"), "background": true}));
    client.send_call(
        "Bash",
        json!({"command": format!(": {mark}; sleep 1000; :"), "timeout_secs": 600}),
    );
    client.send_call("WaitTask", json!({"task_id": 1, "timeout_secs": 300}));
    until("all run", SOON, || processes_with(&mark).len() == 4);
    assert_eq!(client.leave(), Some(0));
    until("nothing is left", SECOND, || processes_with(&mark).is_empty());
}

#[test]
fn what_runs_may_finish_when_the_client_has_gone() {
    let folder = Folder::new();
    let mut client = Client::handshaken(&folder, &["--on-disconnect", "finish"]);
    let command = "until [ -e go ]; do sleep 0.01; done; echo done > result";
    client.does("Bash", json!({"command": command, "background": true}));
    let leaving = std::thread::spawn(move || client.leave());
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(leaving.join().unwrap(), Some(0));
    assert_eq!(std::fs::read_to_string(folder.path().join("result")).unwrap(), "done\n");
}

#[test]
fn a_killed_server_leaves_no_process() {
    let folder = Folder::new();
    let mark = mark_of(&folder);
    let mut client = Client::handshaken(&folder, &[]);
    let deaf = format!("trap '' TERM HUP; : {mark}; while :; do sleep 0.05; done");
    client.does("Bash", json!({"command": deaf, "background": true}));
    let daemon =
        format!("setsid env -i sh -c ': {mark}; sleep 1000; :' > /dev/null 2>&1 & : {mark}; wait");
    client.does("Bash", json!({"command": daemon, "background": true}));
    until("all run", SOON, || processes_with(&mark).len() == 3);
    client.child.kill().unwrap();
    client.child.wait().unwrap();
    until("nothing is left", SECOND, || processes_with(&mark).is_empty());
}

#[test]
fn an_interrupt_stops_everything_with_grace() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = Folder::new();
        let mut client = Client::handshaken(&folder, &[]);
        let heeds = "trap 'touch heeded; exit' TERM; touch ready; while :; do sleep 0.05; done";
        client.does("Bash", json!({"command": heeds, "background": true}));
        until("it is ready", SOON, || folder.path().join("ready").exists());
        kill_process(Pid::from_raw(client.child.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(client.child.wait().unwrap().code(), Some(130));
        assert!(folder.path().join("heeded").exists(), "it got no grace");
    }
}
