//! What was written for a terminal, as text for a model.
//!
//! Escape sequences (colours, cursor movements, titles, links) say nothing to a model and cost it
//! tokens: they are left out. So is what a carriage return wrote over: of a progress bar that was
//! drawn a thousand times, a piece shows the last state. Everything else stays, tabs among it.
//!
//! What is no sequence is shown: a string that has no end within its line or within
//! `MAX_ESCAPE_BYTES` loses its escape sign only, so a stray sign hides no more than that. What has
//! begun as a sequence when the output ends is not shown.

/// Longest escape sequence: links and titles are long, and who reads must not wait for ever.
pub(crate) const MAX_ESCAPE_BYTES: usize = 4096;

const ESCAPE: u8 = 0x1B;

/// What begins with an escape sign.
#[derive(Debug, PartialEq, Eq)]
enum Sequence {
    /// A sequence of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Unfinished,
    /// Just the sign.
    Stray,
}

impl Sequence {
    fn of(bytes: &[u8]) -> Self {
        let near = &bytes[..bytes.len().min(MAX_ESCAPE_BYTES)];
        match Self::parse(near) {
            Self::Unfinished if near.len() == MAX_ESCAPE_BYTES => Self::Stray,
            parsed => parsed,
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        match bytes.get(1) {
            None => Self::Unfinished,
            Some(b'[') => Self::behind(bytes, 2, |byte| matches!(byte, 0x20..=0x3F), 0x40),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => Self::string(bytes),
            Some(_) => Self::behind(bytes, 1, |byte| matches!(byte, 0x20..=0x2F), 0x30),
        }
    }

    /// A sequence that ends with the first byte from an index on that is not `inner`; if it is
    /// none that ends one (`least` up to `~`), there is no sequence.
    fn behind(bytes: &[u8], from: usize, inner: fn(u8) -> bool, least: u8) -> Self {
        let Some(more) = bytes[from..].iter().position(|&byte| !inner(byte)) else {
            return Self::Unfinished;
        };
        let end = from + more;
        if (least..=b'~').contains(&bytes[end]) { Self::Whole(end + 1) } else { Self::Stray }
    }

    /// A title, a link and the like: up to BEL, `ESC \`, CAN or SUB.
    fn string(bytes: &[u8]) -> Self {
        let ends = |&byte: &u8| matches!(byte, 0x07 | 0x18 | 0x1A | ESCAPE | b'\n');
        let Some(more) = bytes[2..].iter().position(ends) else { return Self::Unfinished };
        let last = 2 + more;
        match (bytes[last], bytes.get(last + 1)) {
            (ESCAPE, None) => Self::Unfinished,
            (ESCAPE, Some(b'\\')) => Self::Whole(last + 2),
            (ESCAPE | b'\n', _) => Self::Stray,
            _ => Self::Whole(last + 1),
        }
    }
}

/// A part of what was written.
enum Part<'a> {
    Text(&'a [u8]),
    /// Bytes that are not shown.
    Hidden(usize),
    /// The beginning of a sequence, up to the end.
    Unfinished(usize),
}

/// Cuts bytes into text and escape sequences.
fn parts(bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let plain = rest.iter().position(|&byte| byte == ESCAPE).unwrap_or(rest.len());
        let (part, len) = match plain {
            0 if rest.is_empty() => return None,
            0 => match Sequence::of(rest) {
                Sequence::Whole(len) => (Part::Hidden(len), len),
                Sequence::Stray => (Part::Hidden(1), 1),
                Sequence::Unfinished => (Part::Unfinished(rest.len()), rest.len()),
            },
            _ => (Part::Text(&rest[..plain]), plain),
        };
        rest = &rest[len..];
        Some(part)
    })
}

/// Text for a model, and how many bytes of it were not UTF-8: each run of them shows as U+FFFD.
pub(crate) fn shown(bytes: &[u8]) -> (String, u64) {
    let (mut text, mut invalid) = (String::with_capacity(bytes.len()), 0);
    // One by one: what stands on both sides of a sequence is not one letter.
    for part in parts(bytes) {
        if let Part::Text(bytes) = part {
            invalid += push_lossy(&mut text, bytes);
        }
    }
    (without_overwritten(text), invalid)
}

fn push_lossy(text: &mut String, bytes: &[u8]) -> u64 {
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            invalid += chunk.invalid().len() as u64;
        }
    }
    invalid
}

/// Keeps of each line what was written last.
fn without_overwritten(text: String) -> String {
    if !text.contains('\r') {
        return text;
    }
    let last_state = |line: &str| {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line).to_owned()
    };
    text.split('\n').map(last_state).collect::<Vec<_>>().join("\n")
}

/// Returns whether the first line of a piece writes over what stood in that line before it.
pub(crate) fn overwrites(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let last = line.iter().rposition(|&byte| byte != b'\r');
    // Returns at its end write over nothing, unless there is nothing else.
    last.map_or(end.is_none() && !line.is_empty(), |last| line[..last].contains(&b'\r'))
}

/// Returns how many bytes at the end cannot be shown before more is there: the beginning of a
/// letter or of a sequence, or a carriage return that may belong to a line end.
pub(crate) fn unfinished(bytes: &[u8]) -> usize {
    match parts(bytes).last() {
        Some(Part::Unfinished(len)) => len,
        Some(Part::Text(text)) if text.ends_with(b"\r") => 1,
        Some(Part::Text(text)) => unfinished_letter(text),
        Some(Part::Hidden(_)) | None => 0,
    }
}

/// Returns how many bytes at the end begin a letter that is not complete.
fn unfinished_letter(bytes: &[u8]) -> usize {
    let begins_letter = |tail: &[u8]| {
        std::str::from_utf8(tail)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    let longest = bytes.len().min(3);
    (1..=longest).find(|&n| begins_letter(&bytes[bytes.len() - n..])).unwrap_or(0)
}

/// Returns where text can begin at this index or behind it: not inside of a sequence or a letter.
pub(crate) fn whole_from(bytes: &[u8], index: usize) -> usize {
    let mut at = 0;
    for part in parts(bytes) {
        at += match part {
            Part::Text(text) if at + text.len() > index => {
                let inside = index.saturating_sub(at);
                return at + inside + rest_of_letter(&text[inside..]);
            }
            Part::Text(text) => text.len(),
            Part::Hidden(len) | Part::Unfinished(len) => len,
        };
        if at >= index {
            return at;
        }
    }
    at
}

/// Returns how many bytes at the beginning are the end of a letter that began before them.
fn rest_of_letter(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count()
}
