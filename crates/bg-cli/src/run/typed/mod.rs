//! Commands that are typed while a run goes on.

mod line;
pub(crate) mod terminal;

use std::io::{self, IsTerminal, Read};
use std::str::FromStr;

use line::{Became, Line};
use tokio::sync::{mpsc, watch};

/// A command, whose task is named as it is printed, or by its number alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Status,
    Steer { task: String, text: String },
    Stop { task: String },
    Cancel { task: String },
    Quit,
}

/// This is no command; the message is all the help that there is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "commands: /status, /steer N TEXT, /stop N, /cancel N (ends a session too), /quit; N is the number of a task"
)]
pub(crate) struct TypedError;

impl FromStr for Typed {
    type Err = TypedError;

    fn from_str(line: &str) -> Result<Self, TypedError> {
        let (word, rest) = split(line);
        let (task, text) = split(rest);
        let (task, text) = (task.to_owned(), text.to_owned());
        match (word, task.is_empty(), text.is_empty()) {
            ("/status", true, _) => Ok(Self::Status),
            ("/quit", true, _) => Ok(Self::Quit),
            ("/stop", false, true) => Ok(Self::Stop { task }),
            ("/cancel", false, true) => Ok(Self::Cancel { task }),
            ("/steer", false, false) => Ok(Self::Steer { task, text }),
            _ => Err(TypedError),
        }
    }
}

/// The first word of a line and what is behind it.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// Lines of the standard input, as they come.
pub(crate) struct Lines {
    complete: mpsc::Receiver<String>,
    /// What is there of the next one.
    begun: watch::Receiver<String>,
}

/// Lines that wait until they are heeded. Whoever writes more has to wait.
const MAX_WAITING: usize = 16;

/// What was typed.
pub(crate) enum Input {
    Line(String),
    /// A line has changed that is not complete yet.
    Begun,
}

/// Where lines go as they are read.
struct Heard {
    complete: mpsc::Sender<String>,
    begun: watch::Sender<String>,
    /// Whether what is typed is shown by us, and not by the terminal.
    is_shown: bool,
}

impl Lines {
    /// Reads if somebody types, or if it is wanted. It is a thread of its own that reads: it cannot be
    /// interrupted, and ends with the program. With `is_shown` the terminal is told not to show what
    /// is typed.
    pub(crate) fn new(wanted: bool, is_shown: bool) -> Self {
        let ((complete, lines), (begun, typing)) =
            (mpsc::channel(MAX_WAITING), watch::channel(String::new()));
        if wanted || io::stdin().is_terminal() {
            let is_shown = is_shown && io::stdin().is_terminal();
            std::thread::spawn(move || read(&Heard { complete, begun, is_shown }));
        }
        Self { complete: lines, begun: typing }
    }

    /// Returns what is typed next; never when nobody types any more.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub(crate) async fn next(&mut self) -> Input {
        tokio::select! {
            Some(line) = self.complete.recv() => Input::Line(line),
            Ok(()) = self.begun.changed() => Input::Begun,
            else => std::future::pending().await,
        }
    }

    /// What is there of the next line.
    pub(crate) fn begun(&mut self) -> String {
        self.begun.borrow_and_update().clone()
    }
}

fn read(heard: &Heard) {
    let mut stdin = io::stdin().lock();
    let is_terminal = stdin.is_terminal();
    let mut line = if heard.is_shown { Line::edited() } else { Line::default() };
    let mut bytes = [0; 8192];
    loop {
        if heard.is_shown {
            terminal::take_over();
        }
        if is_terminal {
            terminal::wait();
        }
        let count = match stdin.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        for byte in &bytes[..count] {
            if let Became::Complete(line) = line.push(*byte)
                && heard.complete.blocking_send(line).is_err()
            {
                return;
            }
        }
        if heard.is_shown {
            heard.begun.send_replace(line.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Typed, TypedError> {
        line.parse()
    }

    #[test]
    fn a_command_has_what_it_needs_and_no_more() {
        let task = || "3".to_owned();
        let text = "use  fewer words".to_owned();
        assert_eq!(
            typed(" /steer 3   use  fewer words\r"),
            Ok(Typed::Steer { task: task(), text })
        );
        assert_eq!(typed("/stop\t3"), Ok(Typed::Stop { task: task() }));
        assert_eq!(typed("/cancel 3 "), Ok(Typed::Cancel { task: task() }));
        assert_eq!((typed("/status"), typed("/quit")), (Ok(Typed::Status), Ok(Typed::Quit)));
        let wrong =
            ["status", "/steer 3", "/steer", "/stop", "/stop 3 4", "/quit now", "/x", "hello"];
        for line in wrong {
            assert_eq!(typed(line), Err(TypedError), "{line}");
        }
    }
}
