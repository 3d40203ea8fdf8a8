//! The id of a request that is not parsed: too long, or not valid.
//!
//! A client that is told which of its calls was refused does not wait for an answer. The scan takes
//! bytes as they come and keeps a few of them.

use rmcp::model::RequestId;

/// Longest id, and longest key, that is looked at.
const MAX_BYTES: usize = 128;

/// Looks for `"id"` among the keys of the outermost object.
#[derive(Debug, Default)]
pub(crate) struct IdScan {
    depth: usize,
    string: Option<Escape>,
    is_value: bool,
    /// The key, or the value behind it, as it is written.
    token: Vec<u8>,
    is_id: bool,
    found: Option<RequestId>,
    answers: bool,
}

/// Whether the next sign of a string means itself.
#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    Open,
}

impl IdScan {
    /// Looks at all of a line.
    pub(crate) fn of(line: &[u8]) -> Self {
        let mut scan = Self::default();
        scan.feed(line);
        scan
    }

    /// Looks at the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.next(byte);
        }
    }

    /// Returns the id, if there was one and it can be one. An answer has the id of a request of
    /// ours, and no answer is to be given to it.
    pub(crate) fn request(&self) -> Option<RequestId> {
        self.found.clone().filter(|_| !self.answers)
    }

    fn next(&mut self, byte: u8) {
        if let Some(escape) = &self.string {
            self.string = match (escape, byte) {
                (Escape::None, b'"') => None,
                (Escape::None, b'\\') => Some(Escape::Open),
                _ => Some(Escape::None),
            };
            return self.keep(byte);
        }
        match byte {
            b'"' => self.string = Some(Escape::None),
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_of_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => return self.end_of_key(),
            b',' if self.depth == 1 => return self.end_of_value(),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.keep(byte);
        }
    }

    fn keep(&mut self, byte: u8) {
        let opens = byte == b'{' && self.token.is_empty() && !self.is_value;
        // One byte more than there may be: what is longer is no id.
        if self.depth == 1 && !opens && self.token.len() <= MAX_BYTES {
            self.token.push(byte);
        }
    }

    fn end_of_key(&mut self) {
        self.is_id = self.token == b"\"id\"";
        self.answers |= self.token == b"\"result\"" || self.token == b"\"error\"";
        self.is_value = true;
        self.token.clear();
    }

    fn end_of_value(&mut self) {
        if self.is_id && self.token.len() <= MAX_BYTES {
            self.found = serde_json::from_slice(&self.token).ok();
        }
        self.is_id = false;
        self.is_value = false;
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::RequestId;

    use super::*;

    #[track_caller]
    fn check(line: &str, id: Option<RequestId>) {
        let whole = IdScan::of(line.as_bytes());
        let mut piecewise = IdScan::default();
        line.as_bytes().chunks(1).for_each(|byte| piecewise.feed(byte));
        assert_eq!((whole.request(), piecewise.request()), (id.clone(), id), "{line}");
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        let seven = Some(RequestId::Number(7));
        check(r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#, seven.clone());
        check(r#" { "params" : {"id":1,"a":["id",{"id":2}]} , "id" : 7 }"#, seven.clone());
        check(r#"{"id":7"#, None);
        check(r#"{"id":7,"params":{"text":"\"},\"id\":8, "#, seven.clone());
        check(r#"{"params":{"a":"\ud800"},"id":7}"#, seven);
        check(r#"{"id":"a\"b"}"#, Some(RequestId::String("a\"b".into())));
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        check("", None);
        check("id", None);
        check(r#"{"id":{"id":7}}"#, None);
        check(r#"{"id":null}"#, None);
        check(r#"{"x":"id","y":7}"#, None);
        check(r#"{"id":7,"result":{}}"#, None);
        check(r#"{"error":{},"id":7}"#, None);
        check(&format!(r#"{{"id":"{}"}}"#, "x".repeat(200)), None);
        check(&"[".repeat(1000), None);
    }
}
