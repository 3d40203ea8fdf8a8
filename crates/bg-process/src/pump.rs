//! From a child's pipes into its output log.

use bg_core::{OutputLog, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads both pipes of a child until their ends. Memory stays within the log's caps and two
/// buffers, whatever the child writes.
///
/// The kernel writes straight into the buffer that the log keeps: what streams through is not
/// copied again.
pub(crate) struct Pump<Out, Err> {
    log: OutputLog,
    out: Pipe<Out>,
    err: Pipe<Err>,
}

struct Pipe<R> {
    stream: Stream,
    reader: Option<R>,
    /// Empty between two reads.
    buffer: Vec<u8>,
    /// How much is asked for at a time.
    size: usize,
}

/// What is asked for at a time of a child that has not written as much at once yet: most never do,
/// and what all the pipes of a user may hold is limited.
const FIRST_BYTES: usize = 4096;

/// The end of a pipe that a child writes to.
pub(crate) trait PipeEnd: AsyncRead + Unpin {
    /// Lets the kernel hold more of what is written, where it can: fewer switches between the child
    /// and us. It may refuse; nothing depends on it.
    fn grow(&self);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl<R: AsyncRead + Unpin + std::os::fd::AsFd> PipeEnd for R {
    fn grow(&self) {
        /// What an unprivileged process may ask for unless it was configured otherwise.
        const PIPE_BYTES: usize = 1 << 20;
        if let Err(error) = rustix::pipe::fcntl_setpipe_size(self, PIPE_BYTES) {
            tracing::trace!(%error, "a pipe keeps its size");
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl<R: AsyncRead + Unpin> PipeEnd for R {
    fn grow(&self) {}
}

impl<Out: PipeEnd, Err: PipeEnd> Pump<Out, Err> {
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

impl<R: PipeEnd> Pipe<R> {
    fn new(stream: Stream, reader: Option<R>) -> Self {
        Self { stream, reader, buffer: Vec::new(), size: FIRST_BYTES }
    }

    async fn copy(&mut self, log: &OutputLog) {
        while let Some(reader) = &mut self.reader {
            // Only here does it have a size: a pipe that nobody reads costs none.
            self.buffer.reserve_exact(self.size);
            match reader.read_buf(&mut self.buffer).await {
                Ok(0) => self.end(),
                Ok(count) => {
                    if count == FIRST_BYTES && self.size == FIRST_BYTES {
                        self.size = OutputLog::BUFFER_BYTES;
                        reader.grow();
                    }
                    self.buffer = log.write_owned(self.stream, std::mem::take(&mut self.buffer));
                }
                Err(error) => {
                    tracing::debug!(%error, "a pipe broke");
                    self.end();
                }
            }
        }
    }

    fn end(&mut self) {
        self.reader = None;
        self.buffer = Vec::new();
    }
}
