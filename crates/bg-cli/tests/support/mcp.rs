//! A client of `bg mcp` that speaks raw JSON-RPC, over the pipes of a child.

#![allow(clippy::needless_pass_by_value, reason = "tests write `json!` in place")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Folder, until};

const SOON: Duration = Duration::from_secs(20);

/// The protocol without a handshake.
pub(crate) const LATEST: &str = "2026-07-28";
const TASKS: &str = "io.modelcontextprotocol/tasks";

pub(crate) struct Client {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What came while something else was waited for.
    waiting: VecDeque<Value>,
    meta: Option<Value>,
    next: i64,
}

/// What every request of the latest protocol carries.
pub(crate) fn meta(with_tasks: bool) -> Value {
    let extensions = if with_tasks { json!({ TASKS: {} }) } else { json!({}) };
    json!({
        "io.modelcontextprotocol/protocolVersion": LATEST,
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
    })
}

impl Client {
    /// Starts a server in a folder; nothing is said yet.
    pub(crate) fn start(folder: &Folder, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bg"));
        command.args(["mcp", "--path"]).arg(folder.path()).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("bg starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, output, waiting: VecDeque::new(), meta: None, next: 1 }
    }

    /// Speaks the latest protocol.
    pub(crate) fn latest(folder: &Folder, with_tasks: bool) -> Self {
        Self::latest_with(folder, with_tasks, &[])
    }

    /// The same, with a server that was started with more options.
    pub(crate) fn latest_with(folder: &Folder, with_tasks: bool, more: &[&str]) -> Self {
        let mut client = Self::start(folder, more);
        client.meta = Some(meta(with_tasks));
        client
    }

    /// Speaks a protocol with a handshake.
    pub(crate) fn handshaken(folder: &Folder, more: &[&str]) -> Self {
        let mut client = Self::start(folder, more);
        let params = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "raw", "version": "1"},
        });
        let answer = client.ask("initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        client.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.say_line(&message.to_string());
    }

    pub(crate) fn say_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("an open pipe");
        input.write_all(line.as_bytes()).expect("it reads");
        input.write_all(b"\n").expect("it reads");
    }

    /// Sends a request; returns its id.
    pub(crate) fn send(&mut self, method: &str, mut params: Value) -> i64 {
        let id = self.next;
        self.next += 1;
        if let Some(meta) = &self.meta {
            let mut all = meta.clone();
            if let Some(own) = params.get("_meta").and_then(Value::as_object) {
                all.as_object_mut().expect("an object").extend(own.clone());
            }
            params["_meta"] = all;
        }
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The next message, whatever it is.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("it writes text");
        assert!(read > 0, "the server has gone");
        serde_json::from_str(&line).expect("a message a line")
    }

    /// The next message that is like this.
    pub(crate) fn hear_one(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(at).expect("it is there");
        }
        loop {
            let message = self.hear();
            if is_it(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    /// Whether something like this has come, and was not asked for.
    pub(crate) fn has_heard(&self, is_it: impl Fn(&Value) -> bool) -> bool {
        self.waiting.iter().any(is_it)
    }

    pub(crate) fn answer(&mut self, id: i64) -> Value {
        self.hear_one(|message| message["id"] == id && message.get("method").is_none())
    }

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// Sends a call of a tool; returns its id.
    pub(crate) fn send_call(&mut self, tool: &str, args: Value) -> i64 {
        self.send("tools/call", json!({"name": tool, "arguments": args}))
    }

    /// Calls a tool; returns its answer as JSON, and whether it is an error.
    pub(crate) fn call(&mut self, tool: &str, args: Value) -> (Value, bool) {
        let id = self.send_call(tool, args);
        answer_of(&self.answer(id)["result"])
    }

    /// Calls a tool that works.
    #[track_caller]
    pub(crate) fn does(&mut self, tool: &str, args: Value) -> Value {
        let (answer, is_error) = self.call(tool, args);
        assert!(!is_error, "{tool}: {answer}");
        answer
    }

    pub(crate) fn cancel(&mut self, id: i64) {
        let params = json!({"requestId": id, "reason": "enough"});
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    }

    /// Takes the way to the server, for another thread.
    pub(crate) fn split(&mut self) -> Input {
        Input(self.input.take().expect("an open pipe"))
    }

    /// Ends the connection, and waits for the server's own end.
    pub(crate) fn leave(mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().expect("it ends").code()
    }
}

/// The way to a server.
pub(crate) struct Input(ChildStdin);

impl Input {
    /// Says lines, and ends the connection.
    pub(crate) fn say_all(&mut self, lines: &str) {
        self.0.write_all(lines.as_bytes()).expect("it reads");
    }
}

/// A call that is answered with a task.
pub(crate) struct Long {
    pub(crate) id: String,
    pub(crate) task: Value,
}

impl Long {
    /// A command that waits for a line, called in the foreground.
    #[track_caller]
    pub(crate) fn start(client: &mut Client, command: &str) -> Self {
        let args = json!({"command": command, "timeout_secs": 600, "interactive": true});
        let call = json!({"name": "Bash", "arguments": args});
        Self::of(&client.ask("tools/call", call))
    }

    /// The task that such a call was answered with.
    #[track_caller]
    pub(crate) fn of(answer: &Value) -> Self {
        let task = answer["result"].clone();
        assert_eq!(
            (&task["resultType"], &task["status"]),
            (&json!("task"), &json!("working")),
            "{answer}"
        );
        Self { id: task["taskId"].as_str().expect("an id").to_owned(), task }
    }

    pub(crate) fn get(&self, client: &mut Client) -> Value {
        client.ask("tasks/get", json!({"taskId": self.id}))
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&self, client: &mut Client, status: &str) -> Value {
        let mut answer = Value::Null;
        until(status, SOON, || {
            answer = self.get(client);
            answer["result"]["status"] != "working"
        });
        assert_eq!(answer["result"]["status"], status, "{answer}");
        answer["result"].clone()
    }
}

/// The text of a result, as JSON if it is that.
#[track_caller]
pub(crate) fn answer_of(result: &Value) -> (Value, bool) {
    let text = result["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("no text in {result}"));
    let answer = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    (answer, result["isError"] == true)
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
