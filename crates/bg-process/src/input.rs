//! What a process reads, on its way into the pipe.
//!
//! # Invariants
//!
//! 1. At most one piece has left its source and is not in the pipe yet: what a process has not read
//!    waits where it was sent, within the caps of that place.
//! 2. A start that failed has read nothing. Where that is told later, what was written is known until
//!    more was written than a pipe holds, which is not before somebody reads.

use std::sync::Arc;
use std::time::Duration;

use bg_core::{Mailbox, Message};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Ctrl-D: the message that ends the input.
pub(crate) const END_OF_INPUT: &str = "\u{4}";

/// What a pipe holds that nobody has asked to hold more.
const PIPE_BYTES: usize = 64 << 10;

/// How soon after the end of its pipe it is told that a start has failed.
const START_FAILS: Duration = Duration::from_millis(250);

/// Bytes that are written together, and the room that they take until then.
pub(crate) type Piece = (Vec<u8>, Option<OwnedSemaphorePermit>);

/// Where the input of a process comes from.
pub(crate) enum Source {
    /// There is no more than what was there first.
    Nothing,
    /// A [`StdinWriter`](crate::StdinWriter).
    Writer { pieces: UnboundedReceiver<Piece>, room: Arc<Semaphore> },
    /// What is sent to the task.
    Mailbox(Mailbox),
}

impl Source {
    /// `None` at the end of the input. Cancel safe.
    async fn next(&mut self) -> Option<Piece> {
        match self {
            Self::Nothing => None,
            Self::Writer { pieces, .. } => pieces.recv().await,
            Self::Mailbox(mailbox) => Some((bytes_of(mailbox.recv().await?)?, None)),
        }
    }

    /// Says that nobody reads any more: to who waits for room, and to who sends.
    fn close(&self) {
        match self {
            Self::Nothing => {}
            Self::Writer { room, .. } => room.close(),
            Self::Mailbox(mailbox) => mailbox.close(),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is written for a message; `None` if it is the end of the input.
fn bytes_of(message: Message) -> Option<Vec<u8>> {
    let line = match message {
        Message::Bytes(bytes) => return Some(bytes),
        Message::Text(text) if text == END_OF_INPUT => return None,
        Message::Text(text) => text,
        Message::Data(data) => data.to_string(),
        other => {
            tracing::warn!(?other, "a message that cannot be written");
            return Some(Vec::new());
        }
    };
    // A program that is talked to reads lines.
    let end = if line.ends_with('\n') { "" } else { "\n" };
    Some((line + end).into_bytes())
}

/// The host's end of a child's standard input.
pub(crate) trait InputEnd: AsyncWrite + Unpin {
    /// Completes when nobody can read any more, where the system tells without a write.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

#[cfg(unix)]
impl InputEnd for tokio::net::unix::pipe::Sender {
    async fn closed(&self) {
        // What else wakes it is an end of the runtime, with which everything ends.
        let _ = self.ready(tokio::io::Interest::ERROR).await;
    }
}

#[cfg(not(unix))]
impl InputEnd for tokio::process::ChildStdin {
    async fn closed(&self) {
        std::future::pending().await
    }
}

/// What is to be written to the standard input of a process.
pub(crate) struct Pending {
    source: Source,
    /// The piece that is being written, and how much of it was.
    piece: Option<(Piece, usize)>,
    /// What was written so far, as long as that may have been to nobody (I2).
    unconfirmed: Option<Vec<u8>>,
}

enum Fed {
    Some,
    /// The input has ended.
    All,
    /// Nobody reads it.
    Broken,
}

impl Pending {
    pub(crate) fn new(first: Option<Vec<u8>>, source: Source) -> Self {
        let piece = first.map(|bytes| ((bytes, None), 0));
        Self { source, piece, unconfirmed: Some(Vec::new()) }
    }

    /// Says that the start has not failed.
    pub(crate) fn started(&mut self) {
        self.unconfirmed = None;
    }

    /// Begins again, after a start that failed.
    pub(crate) fn again(&mut self) {
        let Some(mut bytes) = self.unconfirmed.replace(Vec::new()) else { return };
        let (rest, room) = match self.piece.take() {
            Some(((rest, room), written)) => (rest[written..].to_vec(), room),
            None => (Vec::new(), None),
        };
        bytes.extend(rest);
        self.piece = Some(((bytes, room), 0));
    }

    /// Writes until the end of the input, or until the process reads no more. Then `pipe` is closed.
    /// Cancel safe: what was written of a piece is known.
    pub(crate) async fn feed<W: InputEnd>(&mut self, pipe: &mut Option<W>) {
        while let Some(open) = pipe {
            match self.feed_some(open).await {
                Fed::Some => {}
                Fed::All => *pipe = None,
                Fed::Broken => {
                    if self.unconfirmed.is_some() {
                        // If the start has failed, the next one finds its source open.
                        sleep(START_FAILS).await;
                    }
                    *pipe = None;
                    self.source.close();
                }
            }
        }
    }

    /// Says that nobody reads any more.
    pub(crate) fn close(&self) {
        self.source.close();
    }

    async fn feed_some<W: InputEnd>(&mut self, pipe: &mut W) -> Fed {
        if self.piece.is_none() {
            let next = tokio::select! {
                biased;
                () = pipe.closed() => return Fed::Broken,
                next = self.source.next() => next,
            };
            let Some(next) = next else { return Fed::All };
            self.piece = Some((next, 0));
        }
        match self.write_some(pipe).await {
            Some(()) => Fed::Some,
            None => Fed::Broken,
        }
    }

    /// `None` when nobody reads, which is the process's own affair.
    async fn write_some<W: InputEnd>(&mut self, pipe: &mut W) -> Option<()> {
        let ((bytes, _), written) = self.piece.as_mut()?;
        if *written < bytes.len() {
            let count = pipe.write(&bytes[*written..]).await.ok()?;
            remember(&mut self.unconfirmed, &bytes[*written..*written + count]);
            *written += count;
        }
        if *written == bytes.len() {
            // Its room is free again.
            self.piece = None;
        }
        Some(())
    }
}

/// Remembers what was written until it is more than what could have been left in a pipe.
fn remember(unconfirmed: &mut Option<Vec<u8>>, written: &[u8]) {
    if let Some(kept) = unconfirmed.as_mut().filter(|kept| kept.len() + written.len() <= PIPE_BYTES)
    {
        kept.extend_from_slice(written);
    } else {
        *unconfirmed = None;
    }
}
