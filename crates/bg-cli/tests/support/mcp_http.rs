//! A client of `bg mcp --http`, on plain TCP: what it sends is what a test says.

#![allow(clippy::needless_pass_by_value, reason = "tests write `json!` in place")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::Folder;
use super::mcp::{LATEST, answer_of, meta};

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server on any free port, with these tokens in its environment.
    pub(crate) fn start(folder: &Folder, tokens: &[(&str, &str)], more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bg"));
        command.args(["mcp", "--http", "127.0.0.1:0", "--path"]).arg(folder.path()).args(more);
        for (variable, token) in tokens {
            command.args(["--token-env", variable]).env(variable, token);
        }
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("bg starts");
        let mut line = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        errors.read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("bg: listening on http://").expect("an address");
        let address = address.strip_suffix("/mcp").expect("the path");
        let address = address.parse().expect("an address");
        // Whatever else it says is shown with the test.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut errors, &mut std::io::stderr());
        });
        Self { child, address }
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address, headers: Vec::new(), with_tasks: false }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who calls, each time on a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
    pub(crate) with_tasks: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bearing(self, token: &str) -> Self {
        self.with("Authorization", format!("Bearer {token}"))
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn send(&self, verb: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let mut head = format!("{verb} /mcp HTTP/1.1\r\nConnection: close\r\n");
        let given = |name: &str| self.headers.iter().any(|(other, _)| *other == name);
        let own = [
            ("Host", self.address.to_string()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", body.len().to_string()),
        ];
        let own = own.iter().filter(|(name, _)| !given(name));
        for (name, value) in own.chain(&self.headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // It may answer before it has read everything, and go.
        let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
        stream
    }

    pub(crate) fn exchange(&self, verb: &str, body: &str) -> Reply {
        reply(self.send(verb, body))
    }

    /// A request of the latest protocol.
    pub(crate) fn request(&self, method: &str, mut params: Value) -> (Self, String) {
        let mut all = meta(self.with_tasks);
        if let Some(own) = params.get("_meta").and_then(Value::as_object) {
            all.as_object_mut().expect("an object").extend(own.clone());
        }
        params["_meta"] = all;
        let mut client =
            self.clone().with("MCP-Protocol-Version", LATEST).with("Mcp-Method", method);
        if let Some(name) = params["name"].as_str().or(params["taskId"].as_str()) {
            client = client.with("Mcp-Name", name);
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        (client, body.to_string())
    }

    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let (client, body) = self.request(method, params);
        client.exchange("POST", &body).message()
    }

    /// Calls a tool that works.
    #[track_caller]
    pub(crate) fn does(&self, tool: &str, args: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": args}));
        let (answer, is_error) = answer_of(&answer["result"]);
        assert!(!is_error, "{tool}: {answer}");
        answer
    }
}

pub(crate) fn reply(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    // What was sent and not read makes the end a rude one.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let head = head.to_ascii_lowercase();
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { dechunked(rest) } else { rest.to_owned() };
    Reply { status: status.unwrap_or_else(|| panic!("no status in {text:?}")), head, body }
}

fn dechunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// All messages, of a stream or of one answer.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let lines = self.body.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
        lines.filter_map(|line| serde_json::from_str(line.trim()).ok()).collect()
    }

    #[track_caller]
    pub(crate) fn message(&self) -> Value {
        self.messages().pop().unwrap_or_else(|| panic!("no message in {self:?}"))
    }
}
