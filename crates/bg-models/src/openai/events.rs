//! The events of a stream, whatever the pieces in which its bytes come.
//!
//! `eventsource-stream` does the parsing. It gets one whole line at a time: it keeps what is no line
//! yet without a bound, and looks through all of it again for each piece.

use bytes::{Bytes, BytesMut};
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::stream::{Stream, StreamExt, try_unfold};
use reqwest::Response;

use crate::fault::Fault;

/// Most bytes of one event, and of a body that is no stream: as many as an answer may have.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 20;

/// Most bytes of a stream. A token comes in some 250 bytes, so this is a million of them.
const MAX_STREAM_BYTES: usize = 256 << 20;

/// Returns the data of each event.
pub(crate) fn events(response: Response) -> impl Stream<Item = Result<String, Fault>> {
    let lines = Lines { response, buffer: BytesMut::new(), scanned: 0, event: 0, stream: 0 };
    let lines = try_unfold(lines, |mut lines| async {
        Ok::<_, Fault>(lines.next().await?.map(|line| (line, lines)))
    });
    lines.eventsource().map(|event| match event {
        Ok(event) => Ok(event.data),
        Err(EventStreamError::Transport(fault)) => Err(fault),
        Err(error) => Err(Fault::Malformed { problem: error.to_string() }),
    })
}

/// The lines of a body, each with its line feed.
struct Lines {
    response: Response,
    buffer: BytesMut,
    /// How much of the buffer holds no line feed.
    scanned: usize,
    /// Bytes of the event so far.
    event: usize,
    /// Bytes of the stream so far.
    stream: usize,
}

impl Lines {
    /// The next one; `None` at the end of the body. What has no line feed there is no event either.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
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
            b"\n" | b"\r\n" => 0,
            [b':', ..] => self.event,
            line => self.event + line.len(),
        };
    }
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
pub(crate) async fn beginning(
    response: &mut Response,
    limit: usize,
) -> Result<(Vec<u8>, bool), Fault> {
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
