//! A model server that says what a test has written down, and counts what it asks for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Says a text, for so many tokens in and out.
    Say(&'static str, u64, u64),
    /// Calls a tool with these arguments, for so many tokens in and out.
    Call(&'static str, &'static str, u64, u64),
    /// Repeats the last message that it was sent, for so many tokens in and out.
    Echo(u64, u64),
    /// Has no time now; in a moment.
    Busy,
    /// Knows no such key, and repeats it.
    WrongKey,
    /// Says nothing and keeps the connection.
    Hang,
}

/// Picks the reply to a request. `nth` counts from 0.
type Script = dyn Fn(usize, &Value) -> Reply + Send + Sync;

pub(crate) struct Server {
    pub(crate) base_url: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    pub(crate) fn new(script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let requests: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (script, noted): (Arc<Script>, _) = (Arc::new(script), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, noted) = (script.clone(), noted.clone());
                std::thread::spawn(move || serve(&stream, &noted, &*script));
            }
        });
        Self { base_url, requests }
    }

    /// The heads and bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: &TcpStream, noted: &Mutex<Vec<(String, Value)>>, script: &Script) {
    let Some((head, body)) = receive(stream) else { return };
    let key = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let key = key.unwrap_or_default().to_owned();
    let nth = {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push((head, body.clone()));
        noted.len() - 1
    };
    let usage = |input, output| (json!(input), json!(output));
    let (delta, finish, (input, output)) = match script(nth, &body) {
        Reply::Say(text, input, output) => (json!({"content": text}), "stop", usage(input, output)),
        Reply::Echo(input, output) => {
            let last = body["messages"].as_array().and_then(|all| all.last());
            let text = last.map(|message| message["content"].clone()).unwrap_or_default();
            let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
            (json!({"content": text}), "stop", usage(input, output))
        }
        Reply::Call(name, args, input, output) => {
            let function = json!({"name": name, "arguments": args});
            let call = json!({"index": 0, "id": format!("call-{nth}"), "type": "function", "function": function});
            (json!({"tool_calls": [call]}), "tool_calls", usage(input, output))
        }
        Reply::Busy => {
            return send(stream, "429 Too Many Requests\r\nretry-after: 0", "{}");
        }
        Reply::WrongKey => {
            let error = json!({"error": {"message": format!("wrong key: {key}")}});
            return send(stream, "401 Unauthorized", &error.to_string());
        }
        Reply::Hang => {
            let mut stream = stream;
            let _ = stream.read(&mut [0]);
            return;
        }
    };
    let chunks = [
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}),
        json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}}),
    ];
    let events = chunks.map(|chunk| format!("data: {chunk}\n\n")).concat();
    let events = format!("{events}data: [DONE]\n\n");
    send(stream, "200 OK\r\ncontent-type: text/event-stream", &events);
}

/// Receives a head and the body that it announces.
fn receive(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

fn send(mut stream: &TcpStream, head: &str, body: &str) {
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    // A client that is stopped goes away.
    let _ = stream.write_all(answer.as_bytes());
}

/// What the last message of a request says.
pub(crate) fn last_text(body: &Value) -> String {
    let last = body["messages"].as_array().and_then(|all| all.last());
    last.map(|message| message["content"].to_string()).unwrap_or_default()
}
