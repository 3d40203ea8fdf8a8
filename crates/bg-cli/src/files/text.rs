//! A file as a stream of bytes that ends early when the caller wants to stop.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

/// As git decides: a NUL byte this early makes a file binary.
const SNIFFED: u64 = 8000;
const CHUNK: usize = 64 * 1024;

/// The content of a text file from its start.
pub(super) struct Text<'a> {
    bytes: Chain<Cursor<Vec<u8>>, File>,
    stop: &'a dyn Fn() -> bool,
}

/// Opens a regular file; `None` if it is binary.
pub(super) fn open<'a>(path: &Path, stop: &'a dyn Fn() -> bool) -> io::Result<Option<Text<'a>>> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(SNIFFED).read_to_end(&mut head)?;
    let is_binary = head.contains(&0);
    Ok((!is_binary).then(|| Text { bytes: Cursor::new(head).chain(file), stop }))
}

impl Read for Text<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Which error is no matter: who called asks `stop` again.
        if (self.stop)() { Err(io::Error::other("stopped")) } else { self.bytes.read(buf) }
    }
}

impl Text<'_> {
    pub(super) fn each_chunk(self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(CHUNK, self);
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(());
            }
            take(chunk);
            let taken = chunk.len();
            reader.consume(taken);
        }
    }

    /// A last line without a line end counts.
    pub(super) fn count_lines(self) -> io::Result<u64> {
        let (mut lines, mut open_line) = (0, false);
        self.each_chunk(|chunk| {
            lines += line_ends(chunk);
            open_line = chunk.last() != Some(&b'\n');
        })?;
        Ok(lines + u64::from(open_line))
    }
}

pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}
