//! Where live lines are drawn.

use std::fmt;
use std::io::{self, IsTerminal};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

/// How often a second lines are drawn at most.
const MAX_HZ: u8 = 20;

#[derive(Clone, Copy)]
pub(crate) enum Place {
    Stdout,
    Stderr,
}

impl Place {
    /// Whether there is a terminal that can move its cursor.
    pub(super) fn is_live(self) -> bool {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        };
        is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    pub(super) fn target(self) -> ProgressDrawTarget {
        let terminal = match self {
            Self::Stdout => Term::buffered_stdout(),
            Self::Stderr => Term::buffered_stderr(),
        };
        ProgressDrawTarget::term_like_with_hz(Box::new(MayBeGone(terminal)), MAX_HZ)
    }
}

/// A terminal that may go away at any time, as with a connection that breaks. The one who draws panics
/// when it cannot, and there are processes to be stopped.
struct MayBeGone(Term);

impl fmt::Debug for MayBeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayBeGone").finish_non_exhaustive()
    }
}

/// What could not be drawn is lost.
fn lenient(drawn: io::Result<()>) -> io::Result<()> {
    drawn.or(Ok(()))
}

impl TermLike for MayBeGone {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        lenient(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        lenient(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        lenient(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        lenient(self.0.move_cursor_left(n))
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        lenient(self.0.write_line(s))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        lenient(self.0.write_str(s))
    }

    fn clear_line(&self) -> io::Result<()> {
        lenient(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        lenient(self.0.flush())
    }
}
