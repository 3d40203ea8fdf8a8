//! A server that sends exactly what a test says, byte for byte, and notes what it receives.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::needless_pass_by_value, reason = "so that `json!` stands in a call as it is")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bg_models::{Fault, OpenAiBuilder, OpenAiCompatible};
use bg_sessions::{Message, Model, ModelError, ModelReply, ModelRequest, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the server does on a connection, one after the other. It closes the connection at the end.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Receives a request.
    Read,
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends these bytes so many times; stops early when the client has gone.
    Repeat(Vec<u8>, usize),
    /// Does nothing for a while.
    Pause(Duration),
    /// Waits until the client closes, and says so.
    AwaitClose,
    /// Breaks the connection off.
    Reset,
}

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<usize>>,
    closed: mpsc::UnboundedReceiver<Instant>,
}

#[derive(Clone)]
struct Notes {
    requests: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<usize>>,
    closed: mpsc::UnboundedSender<Instant>,
}

impl Server {
    /// Plays a script for each connection, the last one for every further connection.
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, closed) = mpsc::unbounded_channel();
        let (requests, sent) = (Arc::default(), Arc::default());
        let notes =
            Notes { requests: Arc::clone(&requests), sent: Arc::clone(&sent), closed: sender };
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            let mut script = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                script = scripts.next().unwrap_or(script);
                tokio::spawn(play(stream, script.clone(), notes.clone()));
            }
        });
        Self { address, requests, sent, closed }
    }

    /// Answers each request with these bytes, on a connection of its own.
    pub(crate) async fn answering(answers: Vec<Vec<u8>>) -> Self {
        let script = |answer| vec![Step::Read, Step::Send(answer)];
        Self::start(answers.into_iter().map(script).collect()).await
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn builder(&self) -> OpenAiBuilder {
        OpenAiCompatible::builder(self.url(), "tiny")
    }

    pub(crate) fn model(&self) -> OpenAiCompatible {
        self.builder().build().unwrap()
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The bodies of the requests so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        let body = |request: &String| {
            serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        self.requests().iter().map(body).collect()
    }

    /// How many bytes were sent by `Repeat`.
    pub(crate) fn sent(&self) -> usize {
        *self.sent.lock().unwrap()
    }

    /// When the client closed a connection that waits for that.
    pub(crate) async fn closed(&mut self) -> Instant {
        let closed = tokio::time::timeout(Duration::from_secs(10), self.closed.recv()).await;
        closed.expect("the client keeps the connection").unwrap()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn has_received(&self, count: usize) {
        while self.requests().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn play(mut stream: TcpStream, script: Vec<Step>, notes: Notes) {
    stream.set_nodelay(true).unwrap();
    for step in script {
        let goes_on = match step {
            Step::Read => read(&mut stream, &notes).await,
            Step::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Step::Repeat(bytes, times) => repeat(&mut stream, &bytes, times, &notes).await,
            Step::Pause(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Step::AwaitClose => {
                await_close(&mut stream).await;
                notes.closed.send(Instant::now()).is_ok()
            }
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

async fn repeat(stream: &mut TcpStream, bytes: &[u8], times: usize, notes: &Notes) -> bool {
    for _ in 0..times {
        if stream.write_all(bytes).await.is_err() {
            return false;
        }
        *notes.sent.lock().unwrap() += bytes.len();
    }
    true
}

async fn await_close(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {}
}

/// Receives a head and the body that it announces.
async fn read(stream: &mut TcpStream, notes: &Notes) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    notes.requests.lock().unwrap().push(String::from_utf8(request).unwrap());
    true
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or_default()
}

/// An answer with a head, a body, and the end of the connection as the body's end.
pub(crate) fn http(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let headers = headers.iter().copied().chain([length.as_str()]).collect::<Vec<_>>().join("\r\n");
    format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}").into_bytes()
}

pub(crate) fn ok_json(body: &Value) -> Vec<u8> {
    http("200 OK", &["content-type: application/json"], &body.to_string())
}

/// The head of a stream whose body is sent in pieces, each of which the client sees as one.
pub(crate) const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                                      transfer-encoding: chunked\r\n\r\n";

pub(crate) const LAST_PIECE: &str = "0\r\n\r\n";

pub(crate) fn piece(bytes: &[u8]) -> Vec<u8> {
    let mut piece = format!("{:x}\r\n", bytes.len()).into_bytes();
    piece.extend_from_slice(bytes);
    piece.extend_from_slice(b"\r\n");
    piece
}

/// A stream in these pieces, with its end.
pub(crate) fn stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut answer = STREAM_HEAD.as_bytes().to_vec();
    answer.extend(pieces.into_iter().filter(|piece| !piece.is_empty()).flat_map(piece));
    answer.extend_from_slice(LAST_PIECE.as_bytes());
    answer
}

/// The head of a stream and these events, without an end.
pub(crate) fn beginning(events: &[Value]) -> Vec<u8> {
    let mut answer = STREAM_HEAD.as_bytes().to_vec();
    answer.extend(events.iter().flat_map(|one| piece(event(one).as_bytes())));
    answer
}

pub(crate) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

pub(crate) fn events(all: &[Value]) -> String {
    all.iter().map(event).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// A whole stream of these events.
pub(crate) fn streamed(all: &[Value]) -> Vec<u8> {
    stream([events(all).as_bytes()])
}

pub(crate) fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

pub(crate) fn say(text: &str) -> Value {
    delta(json!({"content": text}))
}

pub(crate) fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

pub(crate) fn usage(input: u64, output: u64, cached: u64) -> Value {
    let details = json!({"cached_tokens": cached});
    json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output,
        "total_tokens": input + output, "prompt_tokens_details": details}})
}

pub(crate) fn request() -> ModelRequest {
    ModelRequest::new(vec![Message::user(vec![Part::text("hi")])])
}

pub(crate) async fn ask(model: &impl Model) -> Result<ModelReply, ModelError> {
    let reply = model.complete(request(), CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(60), reply).await.expect("no answer for a minute")
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &ModelError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

pub(crate) fn fault(error: &ModelError) -> &Fault {
    let source = std::error::Error::source(error).expect("an error has a source");
    source.downcast_ref().expect("the source is a fault")
}
