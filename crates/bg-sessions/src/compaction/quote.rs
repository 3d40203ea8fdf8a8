//! Foreign text that cannot be taken for ours.

/// Writes a text so that each of its lines begins with `> `. None of them can be one of our marks
/// then, or the head of an outcome, whatever the text imitates.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 16 + 4);
    for line in text.replace("\r\n", "\n").split(is_line_end) {
        quoted.push_str("> ");
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Writes a text word for word between two fences, each longer than any run of its sign in the text.
pub(super) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '~').map(str::len).max().unwrap_or(0);
    let fence = "~".repeat((longest + 1).max(4));
    format!("{fence}\n{text}\n{fence}\n")
}
