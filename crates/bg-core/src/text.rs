//! Cutting text to a size, at the border of a grapheme.

use std::fmt::Write;

use unicode_segmentation::GraphemeCursor;

/// Returns the longest prefix of at most `max_bytes` bytes that ends between two graphemes.
///
/// Looks at the text near the cut only, so the cost does not grow with the text. Empty when
/// not even the first grapheme fits.
///
/// # Examples
///
/// ```
/// use bg_core::text::prefix;
///
/// assert_eq!(prefix("hello", 3), "hel");
/// // An e with a combining accent is one grapheme of three bytes.
/// assert_eq!(prefix("e\u{301}x", 2), "");
/// ```
pub fn prefix(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let mut start = max_bytes;
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut cursor = GraphemeCursor::new(start, text.len(), true);
    let cut = match cursor.is_boundary(text, 0) {
        Ok(true) => start,
        // The whole text is one chunk, so the cursor never asks for another one.
        _ => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0),
    };
    &text[..cut]
}

/// Returns a text cut to `max_bytes` bytes that says how many more there were. Like [`cut`], and copies
/// no more than it returns.
///
/// # Examples
///
/// ```
/// assert_eq!(bg_core::text::excerpt("0123456789", 4), "0123... (+6 more bytes)");
/// ```
pub fn excerpt(text: &str, max_bytes: usize) -> String {
    let kept = prefix(text, max_bytes);
    match text.len() - kept.len() {
        0 => kept.to_owned(),
        omitted => format!("{kept}... (+{omitted} more bytes)"),
    }
}

/// Cuts a text to `max_bytes` bytes and says how many more there were: `abc... (+12 more bytes)`.
///
/// The mark comes on top of `max_bytes`. A text that fits is returned as it is.
///
/// # Examples
///
/// ```
/// use bg_core::text::cut;
///
/// assert_eq!(cut("short".to_owned(), 80), "short");
/// assert_eq!(cut("0123456789".to_owned(), 4), "0123... (+6 more bytes)");
/// ```
pub fn cut(mut text: String, max_bytes: usize) -> String {
    let kept = prefix(&text, max_bytes).len();
    let omitted = text.len() - kept;
    if omitted > 0 {
        text.truncate(kept);
        // Writing into a string does not fail.
        let _ = write!(text, "... (+{omitted} more bytes)");
        text.shrink_to_fit();
    }
    text
}
