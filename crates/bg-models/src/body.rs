//! Bodies of answers, read with a bound.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::retry_after::retry_after;
use crate::server_error::ServerError;

/// Most bytes that text, thoughts and arguments of one answer may have together: more than the
/// largest windows hold.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Most bytes of one event, and of a body that is no stream: as many as an answer may have.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Most bytes of a stream. A token comes in some 250 bytes, so this is a million of them.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// The lines of a body, each with its line feed, whatever the pieces in which its bytes come.
pub(crate) struct Lines {
    response: Response,
    buffer: BytesMut,
    /// How much of the buffer holds no line feed.
    scanned: usize,
    /// Bytes of the event so far.
    event: usize,
    /// Bytes of the stream so far.
    stream: usize,
    /// Whether each line is an event.
    is_records: bool,
}

impl Lines {
    /// Those of events, which end with an empty line.
    pub(crate) fn of_events(response: Response) -> Self {
        Self::new(response, false)
    }

    /// Those of which each is an event of its own.
    #[cfg(feature = "genai")]
    pub(crate) fn of_records(response: Response) -> Self {
        Self::new(response, true)
    }

    fn new(response: Response, is_records: bool) -> Self {
        Self { response, buffer: BytesMut::new(), scanned: 0, event: 0, stream: 0, is_records }
    }

    /// The next one; `None` at the end of the body. What has no line feed there is no event either.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(line) = self.take() {
                self.count(&line);
                return Ok(Some(line));
            }
            // Looked at once a piece, whose size the HTTP client bounds.
            within("an event", self.event + self.buffer.len(), MAX_EVENT_BYTES)?;
            let Some(piece) = self.response.chunk().await? else { return Ok(None) };
            self.buffer.extend_from_slice(&piece);
            self.stream += piece.len();
            within("the stream", self.stream, MAX_STREAM_BYTES)?;
        }
    }

    /// Returns whether the last line ended an event, or was part of none.
    #[cfg(feature = "genai")]
    pub(crate) fn is_between_events(&self) -> bool {
        self.event == 0
    }

    fn take(&mut self) -> Option<Bytes> {
        let fresh = &self.buffer[self.scanned..];
        let Some(end) = fresh.iter().position(|b| *b == b'\n') else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + end + 1);
        self.scanned = 0;
        Some(line.freeze())
    }

    /// An empty line ends an event; comments are part of none.
    fn count(&mut self, line: &[u8]) {
        self.event = match line {
            _ if self.is_records => 0,
            b"\n" | b"\r\n" => 0,
            [b':', ..] => self.event,
            line => self.event + line.len(),
        };
    }
}

/// How much of an error is read: what is shown of it is far less.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Reads an answer that has the status of an error, for as long as that. What cannot be read of it
/// does not matter beside the status.
pub(crate) async fn refusal(mut response: Response, patience: Duration) -> ServerError {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = match timeout(patience, beginning(&mut response, MAX_ERROR_BYTES)).await {
        Ok(Ok((body, _))) => body,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    ServerError::of_status(status, &body, retry_after)
}

pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no media type").trim()
}

fn within(what: &'static str, bytes: usize, limit: usize) -> Result<(), Fault> {
    if bytes > limit { Err(Fault::TooLarge { what, limit }) } else { Ok(()) }
}

/// Reads a body that is no stream.
///
/// # Errors
///
/// [`Fault::TooLarge`], before more than the limit is kept.
pub(crate) async fn body(response: &mut Response) -> Result<Vec<u8>, Fault> {
    let (body, is_whole) = beginning(response, MAX_EVENT_BYTES).await?;
    if is_whole {
        return Ok(body);
    }
    Err(Fault::TooLarge { what: "the answer", limit: MAX_EVENT_BYTES })
}

/// Reads the beginning of a body, and says whether that was all.
async fn beginning(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), Fault> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}
