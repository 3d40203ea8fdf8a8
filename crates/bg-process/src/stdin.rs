//! Writing to the standard input of a process.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::input::{Piece, Source};

/// Writes to the standard input of one process; see
/// [`Processes::spawn_with_stdin`](crate::Processes::spawn_with_stdin).
///
/// What is accepted is written in order, as fast as the process reads. At most
/// [`CAPACITY`](Self::CAPACITY) bytes wait for that; a writer waits for room. When the writer is
/// dropped, the process reads the end of input after everything that was accepted.
///
/// A process that ends, or closes its input, without reading everything is no error of the task; the
/// writer is told with [`StdinError::Closed`].
pub struct StdinWriter {
    sender: UnboundedSender<Piece>,
    room: Arc<Semaphore>,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StdinError {
    /// The process has ended or has closed its input.
    #[error("the process does not read any more")]
    Closed,
    /// More at once than may wait.
    #[error("at most {} bytes at once can be written", StdinWriter::CAPACITY)]
    TooLarge,
}

impl StdinWriter {
    /// Most bytes that wait to be read by the process, and most of one write.
    pub const CAPACITY: usize = 1 << 20;

    pub(crate) fn new() -> (Self, Source) {
        let (sender, pieces) = unbounded_channel();
        let room = Arc::new(Semaphore::new(Self::CAPACITY));
        (Self { sender, room: room.clone() }, Source::Writer { pieces, room })
    }

    /// Has bytes written, as soon as there is room for all of them.
    ///
    /// # Errors
    ///
    /// [`StdinError`]; then none of the bytes was accepted.
    ///
    /// # Cancel safety
    ///
    /// Safe: when the future is dropped before it has completed, none of the bytes is written.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Registry;
    /// use bg_process::{ProcessSpec, Processes};
    ///
    /// # #[cfg(unix)]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, stdin) = Processes::new(&root).spawn_with_stdin(ProcessSpec::new("cat"))?;
    /// stdin.write("hello\n").await?;
    /// stdin.close();
    /// root.wait([id]).await?;
    /// assert_eq!(root.log(id)?.ok_or("no log")?.read(0, 100, None).bytes, b"hello\n");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub async fn write(&self, bytes: impl Into<Vec<u8>>) -> Result<(), StdinError> {
        let bytes = bytes.into();
        let size = u32::try_from(bytes.len()).ok().filter(|&size| size as usize <= Self::CAPACITY);
        let size = size.ok_or(StdinError::TooLarge)?;
        let room = self.room.clone().acquire_many_owned(size);
        let room = room.await.map_err(|_| StdinError::Closed)?;
        self.sender.send((bytes, Some(room))).map_err(|_| StdinError::Closed)
    }

    /// Ends the input: the process reads what was accepted, and then the end.
    pub fn close(self) {}
}

impl fmt::Debug for StdinWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.room.available_permits();
        f.debug_struct("StdinWriter").field("room", &room).finish_non_exhaustive()
    }
}
