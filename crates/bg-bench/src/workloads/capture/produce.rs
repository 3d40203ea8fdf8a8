//! The process whose output is captured.

use std::io::stdout;

use rustix::io::write;

/// The hidden argument before a shape and a number of bytes.
pub(crate) const PRODUCE: &str = "--produce";

/// Bytes of a write.
const BLOCK: usize = 64 << 10;

/// Bytes of a line with its end.
const LINE: usize = 80;

/// What the output looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Lines of 80 bytes.
    Lines,
    /// One line without an end.
    Endless,
}

impl Shape {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Lines, Self::Endless].into_iter().find(|shape| shape.as_str() == word)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Endless => "endless",
        }
    }

    /// The arguments for this program to write so many bytes.
    pub(crate) fn args(self, bytes: usize) -> [String; 3] {
        [PRODUCE.to_owned(), self.as_str().to_owned(), bytes.to_string()]
    }

    /// Writes so many bytes to standard output.
    pub(crate) fn produce(self, bytes: usize) {
        let text = self.text();
        let mut written = 0;
        while written < bytes {
            let from = written % LINE;
            let block = &text[from..from + BLOCK.min(bytes - written)];
            written += write(stdout(), block).expect("somebody reads");
        }
    }

    /// A block from any place in a line on.
    fn text(self) -> Vec<u8> {
        let mut text = vec![b'x'; BLOCK + LINE];
        if self == Self::Lines {
            text.iter_mut().skip(LINE - 1).step_by(LINE).for_each(|byte| *byte = b'\n');
        }
        text
    }
}
