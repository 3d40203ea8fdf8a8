//! Commands that are typed while a run goes on.

use std::io::{self, IsTerminal, Read};
use std::str::FromStr;

use tokio::sync::mpsc;

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
pub(crate) struct Lines(mpsc::Receiver<String>);

/// Lines that wait until they are heeded. Whoever writes more has to wait.
const MAX_WAITING: usize = 16;

/// Longest line, in bytes; what is longer is cut into such pieces.
const LONGEST: usize = 64 << 10;

impl Lines {
    /// Reads if somebody types, or if it is wanted. It is a thread of its own that reads: it cannot be
    /// interrupted, and ends with the program.
    pub(crate) fn new(wanted: bool) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        if wanted || io::stdin().is_terminal() {
            std::thread::spawn(move || read(&sender));
        }
        Self(receiver)
    }

    /// Returns the next line; never when there is none any more.
    pub(crate) async fn next(&mut self) -> String {
        match self.0.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

fn read(lines: &mpsc::Sender<String>) {
    let mut stdin = io::stdin().lock();
    let is_terminal = stdin.is_terminal();
    let mut begun = Vec::new();
    let mut bytes = [0; 8192];
    loop {
        if is_terminal {
            foreground::wait();
        }
        let count = match stdin.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        for byte in &bytes[..count] {
            if *byte != b'\n' {
                begun.push(*byte);
            }
            if *byte == b'\n' || begun.len() >= LONGEST {
                let line = String::from_utf8_lossy(&begun).into_owned();
                begun.clear();
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
        }
    }
}

/// A program in the background that reads from its terminal is stopped as a whole by the kernel:
/// `bg run survey &` may not try.
#[cfg(unix)]
mod foreground {
    use std::io;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::getpgrp;
    use rustix::termios::tcgetpgrp;

    /// How often a program in the background looks whether it is in front again.
    const LOOK: Duration = Duration::from_millis(200);

    /// Returns when there is something to read and we may.
    pub(super) fn wait() {
        let stdin = io::stdin();
        loop {
            let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            // Whatever cannot be found out, the read finds out.
            let in_front = tcgetpgrp(&stdin).map_or(true, |group| group == getpgrp());
            if ready.is_ok() && in_front {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(not(unix))]
mod foreground {
    pub(super) fn wait() {}
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
