//! Lines that are too long to be searched in bounded memory.

use std::cell::RefCell;
use std::io::{self, Read};

use super::text::line_ends;

/// Longer lines are not searched.
pub(super) const LINE_MAX: usize = 8 * 1024 * 1024;

/// A reader whose lines are at most [`LINE_MAX`] bytes: it passes on the start of a longer one and
/// notes its number, before it passes on the line's end, so before anyone can see the whole line.
pub(super) struct ShortLines<'a, R> {
    inner: R,
    line: u64,
    /// Bytes of this line that came by.
    seen: usize,
    long: &'a RefCell<Vec<u64>>,
}

impl<'a, R: Read> ShortLines<'a, R> {
    pub(super) fn new(inner: R, long: &'a RefCell<Vec<u64>>) -> Self {
        ShortLines { inner, line: 1, seen: 0, long }
    }

    /// Removes what is too much from `bytes` and returns how much is left at its front.
    fn shorten(&mut self, bytes: &mut [u8]) -> usize {
        let mut kept = 0;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if byte == b'\n' {
                (self.line, self.seen) = (self.line + 1, 0);
            } else if self.seen < LINE_MAX {
                self.seen += 1;
            } else {
                self.note();
                continue;
            }
            bytes[kept] = byte;
            kept += 1;
        }
        kept
    }

    fn note(&mut self) {
        let mut long = self.long.borrow_mut();
        if long.last() != Some(&self.line) {
            long.push(self.line);
        }
    }

    /// Counts lines where none can be too long.
    fn pass(&mut self, bytes: &[u8]) {
        self.line += line_ends(bytes);
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => self.seen = bytes.len() - end - 1,
            None => self.seen += bytes.len(),
        }
    }
}

impl<R: Read> Read for ShortLines<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let filled = self.inner.read(buf)?;
            let bytes = &mut buf[..filled];
            if self.seen + filled <= LINE_MAX {
                self.pass(bytes);
                return Ok(filled);
            }
            let kept = self.shorten(bytes);
            // Nothing left is not the end of the file.
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}
