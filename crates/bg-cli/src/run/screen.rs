//! Printing, to a reader that may go away.

use std::io::{self, Write};

use indicatif::MultiProgress;

use crate::secret::Secret;

/// Where lines go.
///
/// A reader that has gone away (`bg run survey | head`) is no reason to stop what runs: the rest is
/// not printed. Any other error is kept, since a run whose report was lost has not gone well.
pub(crate) struct Screen {
    out: Box<dyn Write>,
    broken: Option<io::Error>,
    secret: Secret,
    /// Live lines, above which it is printed.
    above: Option<MultiProgress>,
}

impl Screen {
    pub(crate) fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    pub(crate) fn stderr() -> Self {
        Self::new(Box::new(io::stderr()))
    }

    fn new(out: Box<dyn Write>) -> Self {
        Self { out, broken: None, secret: Secret::default(), above: None }
    }

    /// Prints above live lines.
    pub(crate) fn above(self, lines: MultiProgress) -> Self {
        Self { above: Some(lines), ..self }
    }

    /// Keeps a secret out of what is printed.
    pub(crate) fn hiding(self, secret: Secret) -> Self {
        Self { secret, ..self }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    pub(crate) fn text(&mut self, text: &str) {
        if self.broken.is_none() {
            let text = self.secret.hidden_in(text);
            let out = &mut self.out;
            let mut write = || out.write_all(text.as_bytes()).and_then(|()| out.flush());
            let written = match &self.above {
                Some(lines) => lines.suspend(&mut write),
                None => write(),
            };
            self.broken = written.err();
        }
    }

    /// Returns why not everything was printed, unless the reader has gone away.
    pub(crate) fn error(self) -> Option<io::Error> {
        self.broken.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

/// Makes foreign text harmless on a terminal: control characters other than line ends and tabs are
/// shown as escapes, so that no output moves the cursor or changes the window.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\n' && c != '\t') || is_bidi_control(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The same for text that has one line to itself: a line end in it would forge the next one.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', "\\t")
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Writes a time as humans read it: `40 ms`, `1.4 s`, `2 min 5 s`.
pub(crate) fn time(elapsed: std::time::Duration) -> String {
    match elapsed.as_secs() {
        0 => format!("{} ms", elapsed.as_millis()),
        secs if secs >= 60 => format!("{} min {} s", secs / 60, secs % 60),
        _ => format!("{:.1} s", elapsed.as_secs_f64()),
    }
}

/// Counts things in words: `1 task`, `2 tasks`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}
