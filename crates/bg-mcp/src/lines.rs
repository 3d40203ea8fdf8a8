//! A connection of lines: a message of JSON-RPC each, over any pair of streams.
//!
//! Compared with rmcp's own transport of lines: a line that is too long, or that is no message, is
//! answered (with the id of its call where it has one), so that nobody waits for what was refused;
//! so many requests are under way at most, and then nothing is read until one of them is
//! answered; what an answer delivers is acknowledged when it was written.
//!
//! # Invariants
//!
//! - L1: a request is in `under_way` from when it was read until its answer is to be written or it was
//!   cancelled. rmcp sends no answer to what was cancelled. It has its place until the answer was written.
//! - L2: `receive` may be dropped at any await: what was read by then is kept.
//!
//! # Lock order
//!
//! `under_way` is a leaf: deliveries are ended after the unlock. The writer's lock is held over a
//! write, and nothing else is locked meanwhile.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::Delivery;
use crate::id_scan::IdScan;
use crate::limits::{LAST_READ, MAX_CALLS, MAX_MESSAGE_BYTES};
use crate::refused::{Refused, not_a_message};
use crate::subscription;

/// How long a request waits for a place before it is refused: long enough for one that comes with
/// thousands of others, and short enough that a cancellation behind it is still heard.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same once a request was refused: a call that was cancelled leaves its place in a moment.
const LITTLE_PATIENCE: Duration = Duration::from_millis(10);

/// The server's side of a connection.
pub(crate) struct Lines<R, W> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// Of the rest of a line that is too long.
    skipped: Option<IdScan>,
    /// A request that waits for a place, and until when.
    waiting: Option<(ClientJsonRpcMessage, RequestId, Instant)>,
    /// No place has become free in the patience of a request: the next ones have little.
    is_full: bool,
    /// Something that opens a conversation was read.
    is_open: bool,
    places: Arc<Semaphore>,
    /// A refusal that is being written. Nothing is read before it was.
    refusing: Option<JoinHandle<io::Result<()>>>,
    under_way: Arc<Mutex<HashMap<RequestId, Delivery>>>,
    writer: Arc<tokio::sync::Mutex<Option<W>>>,
    /// Fires when the client has gone.
    gone: CancellationToken,
}

/// What was read.
enum Read {
    Line,
    TooLong(IdScan),
    End,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(crate) fn new(reader: R, writer: W, gone: CancellationToken) -> Self {
        let writer = Arc::new(tokio::sync::Mutex::new(Some(writer)));
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            skipped: None,
            waiting: None,
            is_full: false,
            is_open: false,
            places: Arc::new(Semaphore::new(MAX_CALLS)),
            refusing: None,
            under_way: Arc::default(),
            writer,
            gone,
        }
    }

    async fn read_line(&mut self) -> io::Result<Read> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(Read::End);
            }
            // No await until these are consumed.
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            let taken = piece.len() + usize::from(end.is_some());
            match &mut self.skipped {
                Some(scan) => scan.feed(piece),
                None if self.line.len() + piece.len() > MAX_MESSAGE_BYTES => {
                    let mut scan = IdScan::of(&self.line);
                    scan.feed(piece);
                    self.skipped = Some(scan);
                    self.line = Vec::new();
                }
                None => self.line.extend_from_slice(piece),
            }
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(self.skipped.take().map_or(Read::Line, Read::TooLong));
            }
        }
    }

    /// Takes the line as a message; what is none is answered, or ignored.
    fn message(&mut self) -> Result<Option<ClientJsonRpcMessage>, Refused> {
        let line = mem::take(&mut self.line);
        let text = line.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice(text) {
            Ok(message) => Ok(Some(subscription::as_written(message, text))),
            Err(error) => not_a_message(text, &error).map_or(Ok(None), Err),
        }
    }

    /// Lets a message in, or keeps it until there is a place for it.
    fn admit(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> Result<Option<ClientJsonRpcMessage>, Refused> {
        let id = match &message {
            ClientJsonRpcMessage::Request(request) => request.id.clone(),
            // Nothing is there yet that it could be about, and rmcp would give up.
            _ if !self.is_open => return Ok(None),
            ClientJsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                {
                    self.cancelled(cancelled.params.request_id.as_ref());
                }
                return Ok(Some(message));
            }
            _ => return Ok(Some(message)),
        };
        self.is_open = true;
        if self.under_way.lock().contains_key(&id) {
            // Without the id: with it, this would be the answer to the first call.
            return Err(Refused::id_in_use(&id));
        }
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            self.is_full = false;
            return Ok(Some(self.enter(message, id, place)));
        }
        let patience = if self.is_full { LITTLE_PATIENCE } else { PATIENCE };
        self.waiting = Some((message, id, Instant::now() + patience));
        Ok(None)
    }

    fn enter(
        &mut self,
        mut message: ClientJsonRpcMessage,
        id: RequestId,
        place: OwnedSemaphorePermit,
    ) -> ClientJsonRpcMessage {
        let delivery = Delivery::new(Some(place));
        message.insert_extension(delivery.clone());
        self.under_way.lock().insert(id, delivery);
        message
    }

    /// Lets in the request that waits, or refuses it when its patience is over.
    async fn admit_waiting(&mut self) -> Result<Option<ClientJsonRpcMessage>, Refused> {
        let Some((_, _, until)) = &self.waiting else { return Ok(None) };
        let place = self.places.clone().acquire_owned();
        let place = tokio::time::timeout_at(*until, place).await;
        let Some((message, id, _)) = self.waiting.take() else { return Ok(None) };
        if let Ok(Ok(place)) = place {
            return Ok(Some(self.enter(message, id, place)));
        }
        self.is_full = true;
        Err(Refused::too_many(id))
    }

    /// A request that was cancelled gets no answer.
    fn cancelled(&self, id: Option<&RequestId>) {
        let delivery = id.and_then(|id| self.under_way.lock().remove(id));
        if let Some(delivery) = delivery {
            delivery.lost();
        }
    }

    async fn take(&mut self) -> io::Result<Option<Result<Option<ClientJsonRpcMessage>, Refused>>> {
        if self.waiting.is_some() {
            return Ok(Some(self.admit_waiting().await));
        }
        Ok(Some(match self.read_line().await? {
            Read::End => return Ok(None),
            Read::TooLong(scan) => Err(Refused::too_long(scan.request())),
            Read::Line => match self.message() {
                Ok(Some(message)) => self.admit(message),
                other => other,
            },
        }))
    }

    /// Reads the next message; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<ClientJsonRpcMessage>> {
        loop {
            if let Some(refusing) = &mut self.refusing {
                let written = refusing.await;
                self.refusing = None;
                written.map_err(io::Error::other)??;
            }
            match self.take().await? {
                None => return Ok(None),
                Some(Ok(Some(message))) => return Ok(Some(message)),
                Some(Ok(None)) => {}
                // A task of its own: `receive` is dropped whenever there is an answer to be sent.
                Some(Err(refused)) => {
                    let (writer, gone) = (self.writer.clone(), self.gone.clone());
                    let written = write(writer, gone, &refused.into_message(), None);
                    self.refusing = Some(tokio::spawn(written));
                }
            }
        }
    }
}

/// Writes a message; an error is the end of the connection.
fn write<W: AsyncWrite + Send + Unpin + 'static>(
    writer: Arc<tokio::sync::Mutex<Option<W>>>,
    gone: CancellationToken,
    message: &ServerJsonRpcMessage,
    delivery: Option<Delivery>,
) -> impl Future<Output = io::Result<()>> + Send + use<W> {
    let text = serde_json::to_vec(message);
    async move {
        let text = text.map_err(io::Error::other)?;
        let mut place = writer.lock().await;
        let writer = place.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let written = async {
            writer.write_all(&text).await?;
            // Before its line ends: the client's next request finds that it was delivered.
            if let Some(delivery) = delivery {
                delivery.done();
            }
            writer.write_all(b"\n").await?;
            writer.flush().await
        };
        // Whoever says nothing more may still read. One that does not is not waited for.
        let nobody_reads = async {
            gone.cancelled().await;
            tokio::time::sleep(LAST_READ).await;
        };
        let written = tokio::select! {
            written = written => written,
            () = nobody_reads => Err(io::ErrorKind::TimedOut.into()),
        };
        if written.is_err() {
            // Those behind it would wait as long.
            *place = None;
            gone.cancel();
        }
        written
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let id = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let delivery = id.and_then(|id| self.under_way.lock().remove(&id));
        write(self.writer.clone(), self.gone.clone(), &message, delivery)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let gone = self.gone.clone();
        let next = tokio::select! {
            next = self.next() => next,
            () = gone.cancelled() => Ok(None),
        };
        if let Ok(Some(message)) = next {
            return Some(message);
        }
        // An error is an end too: nothing more comes from there.
        self.gone.cancel();
        None
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.writer.lock().await.take());
        let lost = mem::take(&mut *self.under_way.lock());
        lost.values().for_each(Delivery::lost);
        Ok(())
    }
}
