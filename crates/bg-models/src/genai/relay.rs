//! Stands between `genai` and the vendor, on this machine.
//!
//! `genai` keeps what it reads without a bound, shows what a server sends in its logs, and makes one
//! error of most that can go wrong. So it is given the address of this relay, which passes one
//! request on with the HTTP client of this crate, and its answer event by event.
//!
//! - It sees the key, and `genai` does not: that has a word in its place.
//! - What it passes back is bounded, and the key is taken out of it.
//! - An answer that is an error, or no stream, is not passed back: it is a fault.
//! - The word is not to be guessed, and stands in the address too: whoever else connects is not served.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::body::{Lines, body as whole, media_type, refusal};
use crate::deadlines::Deadlines;
use crate::fault::Fault;
use crate::key::{Key, scrub};
use crate::server_error::ServerError;

/// Most bytes of the head of a request: `genai` writes a few hundred.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long is listened to somebody who may not know the word: `genai` says it at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the vendor gets of the headers that `genai` writes is the rest.
const OURS: &[&str] = &["host", "content-length", "connection", "accept-encoding", "user-agent"];

pub(super) struct Relay {
    listener: TcpListener,
    word: String,
}

/// With whom a relay speaks.
pub(super) struct Vendor<'a> {
    pub(super) client: &'a Client,
    pub(super) base: &'a Url,
    pub(super) key: Option<&'a Key>,
    pub(super) deadlines: Deadlines,
}

/// What `genai` asks.
struct Asked {
    stream: TcpStream,
    url: Url,
    headers: HeaderMap,
    body: BytesMut,
}

impl Relay {
    pub(super) async fn open() -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(local)?;
        Ok(Self { listener, word: word() })
    }

    /// What stands in the place of the key.
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// The address by which a vendor is reached through it.
    pub(super) fn base(&self, vendor: &Url) -> Result<String, Fault> {
        let address = self.listener.local_addr().map_err(local)?;
        Ok(format!("http://{address}/{}{}", self.word, vendor.path()))
    }

    /// Passes one request on, and its answer back.
    ///
    /// # Cancel safety
    ///
    /// Both connections are closed when it is dropped.
    pub(super) async fn serve(self, vendor: Vendor<'_>, until: Instant) -> Result<(), Fault> {
        let Asked { mut stream, url, headers, body } = self.asked(&vendor).await?;
        let request = vendor.client.post(url).headers(headers).body(body.freeze());
        let sent = timeout_at(until, request.send()).await;
        let response = sent.map_err(|_| vendor.deadlines.no_first_token())??;
        if !response.status().is_success() {
            return Err(Fault::Server(refusal(response, vendor.deadlines.silence).await));
        }
        let lines = lines(response, &mut stream).await?;
        pass(lines, vendor.key, &mut stream).await
    }

    /// Waits for who knows the word.
    async fn asked(&self, vendor: &Vendor<'_>) -> Result<Asked, Fault> {
        loop {
            let (stream, _) = self.listener.accept().await.map_err(local)?;
            if let Ok(Some(asked)) = timeout(PATIENCE, self.read(stream, vendor)).await {
                return Ok(asked);
            }
        }
    }

    async fn read(&self, mut stream: TcpStream, vendor: &Vendor<'_>) -> Option<Asked> {
        let mut buffer = BytesMut::new();
        let end = head_end(&mut stream, &mut buffer).await?;
        let head = buffer.split_to(end);
        let head = String::from_utf8_lossy(&head).into_owned();
        let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
        let url = self.url(line, vendor.base)?;
        let length = field(fields, CONTENT_LENGTH.as_str())?.parse().ok()?;
        while buffer.len() < length {
            read(&mut stream, &mut buffer).await?;
        }
        let headers = self.headers(fields, vendor.key);
        Some(Asked { stream, url, headers, body: buffer })
    }

    /// Where the vendor has what a request line asks for; `None` if that has not the word.
    fn url(&self, line: &str, base: &Url) -> Option<Url> {
        let target = line.split(' ').nth(1)?;
        let target = target.strip_prefix('/')?.strip_prefix(self.word.as_str())?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut url = base.clone();
        url.set_path(path);
        url.set_query(query);
        Some(url)
    }

    fn headers(&self, fields: &str, key: Option<&Key>) -> HeaderMap {
        let fields = fields.lines().filter_map(|line| line.split_once(':'));
        fields.filter_map(|(name, value)| self.header(name, value.trim(), key)).collect()
    }

    fn header(
        &self,
        name: &str,
        value: &str,
        key: Option<&Key>,
    ) -> Option<(HeaderName, HeaderValue)> {
        let name = name.parse::<HeaderName>().ok().filter(|name| !OURS.contains(&name.as_str()))?;
        let value = match (value.contains(&self.word), key) {
            (false, _) => HeaderValue::from_str(value).ok()?,
            (true, Some(key)) => key.in_place_of(&self.word, value)?,
            (true, None) => return None,
        };
        Some((name, value))
    }
}

/// A word of 128 bits that the system's random numbers decide.
fn word() -> String {
    let half = || RandomState::new().hash_one(0);
    format!("bg-{:016x}{:016x}", half(), half())
}

/// What goes wrong between two ends on this machine.
fn local(error: std::io::Error) -> Fault {
    Fault::Connect { source: error.into() }
}

/// Reads until the end of a head, and says where that is; `None` if there is none.
async fn head_end(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<usize> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Some(end + 4);
        }
        if buffer.len() >= MAX_HEAD_BYTES {
            return None;
        }
        read(stream, buffer).await?;
    }
}

/// Reads some more; `None` if there is no more.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<()> {
    stream.read_buf(buffer).await.ok().filter(|count| *count > 0).map(drop)
}

fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let fields = fields.lines().filter_map(|line| line.split_once(':'));
    let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim())
}

/// Begins to pass an answer back, if it is a stream of text: of events, or of lines of JSON.
async fn lines(response: Response, stream: &mut TcpStream) -> Result<Lines, Fault> {
    let kind = media_type(response.headers()).to_owned();
    let plain = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_events = plain == "text/event-stream";
    let is_lines = plain != "application/json" && plain.ends_with("json");
    if !is_events && !is_lines {
        return Err(not_a_stream(response, kind).await);
    }
    let head = format!("HTTP/1.1 200 OK\r\n{CONTENT_TYPE}: {plain}\r\nconnection: close\r\n\r\n");
    // Whether `genai` still listens is noticed with the answer.
    let _ = stream.write_all(head.as_bytes()).await;
    Ok(if is_events { Lines::of_events(response) } else { Lines::of_records(response) })
}

/// Passes an answer back until it ends, or until `genai` has had enough. An event goes as a whole:
/// `genai` looks through all that it has of one for each piece, and takes the half of one that comes
/// last for an event.
async fn pass(mut lines: Lines, key: Option<&Key>, stream: &mut TcpStream) -> Result<(), Fault> {
    let mut event = Vec::new();
    while let Some(line) = lines.next().await? {
        event.extend_from_slice(&line);
        if !lines.is_between_events() {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut event));
        let mut text = text.map_err(|error| Fault::Malformed { problem: error.to_string() })?;
        scrub(key, &mut text);
        if stream.write_all(text.as_bytes()).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// An answer in one piece: an error that stands in its place, or another kind of server.
async fn not_a_stream(mut response: Response, kind: String) -> Fault {
    let bytes = match whole(&mut response).await {
        Ok(bytes) => bytes,
        Err(fault) => return fault,
    };
    let error = serde_json::from_slice(&bytes).ok().as_ref().and_then(ServerError::find);
    let problem = "it is no stream".to_owned();
    error.map_or(Fault::NotAChat { kind, problem }, Fault::Server)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(request: &'static str) -> Option<Asked> {
        let relay =
            Relay { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), word: "w".into() };
        let mut near = TcpStream::connect(relay.listener.local_addr().unwrap()).await.unwrap();
        near.write_all(request.as_bytes()).await.unwrap();
        drop(near);
        let base = Url::parse("https://h:1/v1/").unwrap();
        let client = Client::new();
        let deadlines = Deadlines::DEFAULT;
        let vendor = Vendor { client: &client, base: &base, key: None, deadlines };
        let (stream, _) = relay.listener.accept().await.unwrap();
        relay.read(stream, &vendor).await
    }

    #[tokio::test]
    async fn who_knows_the_word_is_served_and_the_word_goes_no_further() {
        let request = "POST /w/v1/messages?alt=sse HTTP/1.1\r\nHost: x\r\nx-api-key: w\r\n\
                       x-version: 1\r\ncontent-length: 2\r\n\r\nhi";
        let asked = asked(request).await.unwrap();
        assert_eq!(asked.url.as_str(), "https://h:1/v1/messages?alt=sse");
        assert_eq!(&asked.body[..], b"hi");
        let names: Vec<_> = asked.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-version"]);
    }

    #[tokio::test]
    async fn who_does_not_know_the_word_is_not_served() {
        for request in
            ["POST /v1/messages HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "", "\r\n\r\n"]
        {
            assert!(asked(request).await.is_none(), "{request:?}");
        }
    }

    #[test]
    fn words_are_not_twice_the_same() {
        assert_ne!(word(), word());
        assert_eq!(word().len(), 35);
    }
}
