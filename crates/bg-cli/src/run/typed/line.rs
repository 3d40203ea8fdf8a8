//! A line that is being typed.

/// Longest line, in bytes; what is longer is cut into such pieces.
const LONGEST: usize = 64 << 10;

/// Puts bytes together to a line.
#[derive(Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
    /// Whether we are what takes back what was mistyped, in place of the terminal.
    is_edited: bool,
    escape: Escape,
}

/// Where in the sequence of a key that is no letter the next byte is.
#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    Outside,
    Begun,
    /// Until a byte that ends it.
    Inside,
}

/// What a byte made of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Became {
    Longer,
    Complete(String),
}

impl Line {
    pub(super) fn edited() -> Self {
        Self { is_edited: true, ..Self::default() }
    }

    /// What is there of it so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) fn push(&mut self, byte: u8) -> Became {
        let ends = byte == b'\n' || (self.is_edited && byte == b'\r');
        if !ends {
            self.add(byte);
        }
        if !ends && self.bytes.len() < LONGEST {
            return Became::Longer;
        }
        let line = self.text();
        self.bytes.clear();
        Became::Complete(line)
    }

    fn add(&mut self, byte: u8) {
        if self.is_edited && self.is_key(byte) {
            return;
        }
        match byte {
            // Backspace, as terminals send it.
            0x7f | 0x08 if self.is_edited => self.erase_letter(),
            // Ctrl-U and Ctrl-W, as terminals have them when they edit.
            0x15 if self.is_edited => self.bytes.clear(),
            0x17 if self.is_edited => self.erase_word(),
            0..0x20 if self.is_edited && byte != b'\t' => {}
            _ => self.bytes.push(byte),
        }
    }

    /// Whether the byte belongs to a key that is no letter: an arrow, for example.
    fn is_key(&mut self, byte: u8) -> bool {
        let was = self.escape;
        self.escape = match (was, byte) {
            (_, 0x1b) => Escape::Begun,
            (Escape::Begun, b'[' | b'O') | (Escape::Inside, 0x20..0x40) => Escape::Inside,
            _ => Escape::Outside,
        };
        byte == 0x1b || !matches!(was, Escape::Outside)
    }

    fn erase_letter(&mut self) {
        // The bytes of a letter behind its first one begin with 10.
        while self.bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
    }

    fn erase_word(&mut self) {
        let text = self.text();
        let kept = text.trim_end().rfind(char::is_whitespace).map_or("", |at| &text[..=at]);
        self.bytes = kept.as_bytes().to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(line: &mut Line, bytes: &[u8]) -> Vec<String> {
        let became = bytes.iter().map(|byte| line.push(*byte));
        let complete = became.filter_map(|became| match became {
            Became::Complete(line) => Some(line),
            Became::Longer => None,
        });
        complete.collect()
    }

    #[test]
    fn what_is_mistyped_can_be_taken_back() {
        let mut line = Line::edited();
        assert_eq!(type_in(&mut line, "/stöp\x7f\x7fop 3\r".as_bytes()), ["/stop 3"]);
        assert_eq!(type_in(&mut line, b"/quit\x15/status\n\x7f\x7f"), ["/status"]);
        assert!(type_in(&mut line, b"/steer 3 use more  words \x17").is_empty());
        assert_eq!(line.text(), "/steer 3 use more  ");
        assert_eq!(type_in(&mut line, b"\x17\x17\x17\x17\x17/x\n"), ["/x"]);
    }

    #[test]
    fn keys_that_are_no_letters_are_no_text() {
        let mut line = Line::edited();
        let keys = b"\x1b[A\x1b[1;5C/\x1bOPq\x01u\x1b[3~it\x04\n";
        assert_eq!(type_in(&mut line, keys), ["/quit"]);
    }

    #[test]
    fn a_pipe_is_taken_as_it_is() {
        let mut line = Line::default();
        assert_eq!(type_in(&mut line, b"/steer 3 \x1b[A\x7f\r\nx"), ["/steer 3 \x1b[A\x7f\r"]);
        assert_eq!(line.text(), "x");
        let long = type_in(&mut Line::default(), &vec![b'y'; LONGEST + 1]);
        assert_eq!(long, ["y".repeat(LONGEST)]);
    }
}
