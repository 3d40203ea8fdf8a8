//! From a child's pipes into its output log.

use bg_core::{OutputLog, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes read at a time, per pipe.
const BUFFER_BYTES: usize = 64 << 10;

/// Reads both pipes of a child until their ends. Memory stays within the log's caps and two
/// buffers, whatever the child writes.
pub(crate) struct Pump<Out, Err> {
    log: OutputLog,
    out: Pipe<Out>,
    err: Pipe<Err>,
}

struct Pipe<R> {
    stream: Stream,
    reader: Option<R>,
    buffer: Vec<u8>,
}

impl<Out: AsyncRead + Unpin, Err: AsyncRead + Unpin> Pump<Out, Err> {
    pub(crate) fn new(log: OutputLog, out: Option<Out>, err: Option<Err>) -> Self {
        let (out, err) = (Pipe::new(Stream::Stdout, out), Pipe::new(Stream::Stderr, err));
        Self { log, out, err }
    }

    /// Completes when both pipes have ended. Cancel safe: what was read is in the log.
    pub(crate) async fn until_eof(&mut self) {
        tokio::join!(self.out.copy(&self.log), self.err.copy(&self.log));
    }

    /// Reads for as long as `other` takes.
    pub(crate) async fn during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let endless = async {
            self.until_eof().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            done = other => done,
            () = endless => unreachable!("a pending future does not complete"),
        }
    }
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(stream: Stream, reader: Option<R>) -> Self {
        Self { stream, reader, buffer: vec![0; BUFFER_BYTES] }
    }

    async fn copy(&mut self, log: &OutputLog) {
        while let Some(reader) = &mut self.reader {
            match reader.read(&mut self.buffer).await {
                Ok(0) => self.reader = None,
                Ok(n) => log.write(self.stream, &self.buffer[..n]),
                Err(error) => {
                    tracing::debug!(%error, "a pipe broke");
                    self.reader = None;
                }
            }
        }
    }
}
