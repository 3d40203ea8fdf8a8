//! What to run, and how.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bg_core::LogCaps;

use crate::error::{ProcessError, check_directory};
use crate::receipt::Containment;

/// Describes a child process.
///
/// Arguments reach the program as they are; a shell runs only when it is asked for with
/// [`shell`](Self::shell). Standard input is empty unless it is given with [`input`](Self::input) or
/// [`interactive`](Self::interactive): a child that reads it gets the end of input, not a hang. A
/// program that opens the terminal by itself is not kept from it.
///
/// # Examples
///
/// ```
/// use bg_process::ProcessSpec;
///
/// let spec = ProcessSpec::new("cargo").arg("test").cwd("/tmp").env("CI", "true");
/// assert_eq!(spec.command_line(), "cargo test");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a spec does nothing until it is given to `Processes::spawn`"]
pub struct ProcessSpec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) script: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) inherit: Inherit,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) grace: Duration,
    pub(crate) drain: Duration,
    pub(crate) caps: LogCaps,
    pub(crate) foreground: bool,
    pub(crate) input: Option<Vec<u8>>,
    pub(crate) interactive: bool,
    pub(crate) containment: Option<Containment>,
}

/// Which of the host's variables a child sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inherit {
    /// All of them.
    #[default]
    All,
    /// Those on the list.
    Only(Vec<OsString>),
    /// None: it sees what is set with [`ProcessSpec::env`], and the mark of its task.
    Nothing,
}

impl ProcessSpec {
    /// From SIGTERM to SIGKILL.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// How long the output of an exited process may still come in while another process holds its
    /// end of the pipe.
    pub const DEFAULT_DRAIN: Duration = Duration::from_millis(500);

    /// Describes a program, found on the host's `PATH` unless it is a path itself.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            script: None,
            label: None,
            foreground: false,
            input: None,
            interactive: false,
            containment: None,
            cwd: None,
            inherit: Inherit::All,
            env: Vec::new(),
            grace: Self::DEFAULT_GRACE,
            drain: Self::DEFAULT_DRAIN,
            caps: LogCaps::default(),
        }
    }

    /// Describes a command for the system's shell.
    pub fn shell(command: impl Into<String>) -> Self {
        let command = command.into();
        let (shell, flag) = if cfg!(windows) { ("cmd.exe", "/C") } else { ("/bin/sh", "-c") };
        let mut spec = Self::new(shell).arg(flag).arg(&command);
        spec.script = Some(command);
        spec
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives it a name for humans; its command line otherwise.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Makes it a task that somebody waits for; see
    /// [`Task::foreground`](bg_core::Task::foreground).
    pub fn foreground(mut self) -> Self {
        self.foreground = true;
        self
    }

    /// Gives it this to read on its standard input, and then the end of input unless it is
    /// [`interactive`](Self::interactive) or [has a writer](crate::Processes::spawn_with_stdin).
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::Registry;
    /// use bg_process::{ProcessSpec, Processes};
    ///
    /// # #[cfg(unix)]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let id = Processes::new(&root).spawn(ProcessSpec::new("sort").input("b\na\n"))?;
    /// root.wait([id]).await?;
    /// assert_eq!(root.log(id)?.ok_or("no log")?.read(0, 100, None).bytes, b"a\nb\n");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Keeps its standard input open, for what is sent to the task with
    /// [`Scope::send`](bg_core::Scope::send), from the spawn on and in the order in which it was
    /// accepted. A text is written as a line: with a line end if it has none. Data are written as a
    /// line of JSON, bytes as they are.
    ///
    /// A text that is only Ctrl-D (`"\u{4}"`) ends the input. After it, and once the process is seen to
    /// have closed its input, a message is refused with
    /// [`SendError::Closed`](bg_core::SendError::Closed). While the process does not read, up to 1,024
    /// messages of up to 1 MiB together wait, and further ones are refused with
    /// [`SendError::Full`](bg_core::SendError::Full). Of what was accepted and not written when the task
    /// ended, [`Finished::unread`](bg_core::Finished::unread) has the number, without the message that
    /// was being written.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Registry, SendError};
    /// use bg_process::{ProcessSpec, Processes};
    ///
    /// # #[cfg(unix)]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let id = Processes::new(&root).spawn(ProcessSpec::new("cat").interactive())?;
    /// root.send(id, "hello")?;
    /// root.send(id, "\u{4}")?;
    /// assert_eq!(root.send(id, "too late"), Err(SendError::Closed(id)));
    /// root.wait([id]).await?;
    /// assert_eq!(root.log(id)?.ok_or("no log")?.read(0, 100, None).bytes, b"hello\n");
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))]
    /// # fn main() {}
    /// ```
    pub fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Sets the working directory.
    pub fn cwd(mut self, path: impl AsRef<Path>) -> Self {
        self.cwd = Some(path.as_ref().to_owned());
        self
    }

    /// Says which of the host's variables it sees; all by default.
    pub fn inherit(mut self, inherit: Inherit) -> Self {
        self.inherit = inherit;
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets how long it may go on after SIGTERM.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long output is awaited after the exit.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Sets how much of the output stays in memory.
    pub fn caps(mut self, caps: LogCaps) -> Self {
        self.caps = caps;
        self
    }

    /// Returns the command as a human writes it: the shell's script, or the words, quoted where they
    /// need it.
    pub fn command_line(&self) -> String {
        if let Some(script) = &self.script {
            return script.clone();
        }
        let words = std::iter::once(&self.program).chain(&self.args);
        words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// Checks what can be checked before anything is started.
    pub(crate) fn check(&self) -> Result<(), ProcessError> {
        if self.program.is_empty() {
            return Err(ProcessError::Empty);
        }
        let nul = |what| ProcessError::NulByte { what };
        let has_nul = |text: &OsString| text.as_encoded_bytes().contains(&0);
        if has_nul(&self.program) || self.args.iter().any(has_nul) {
            return Err(nul("an argument"));
        }
        if self.env.iter().any(|(name, value)| has_nul(name) || has_nul(value)) {
            return Err(nul("a variable"));
        }
        match &self.cwd {
            Some(path) if has_nul(&path.as_os_str().to_owned()) => Err(nul("the directory")),
            Some(path) => check_directory(path),
            None => Ok(()),
        }
    }

    /// Finds the program. This is done with the host's `PATH`, before the child's variables are set:
    /// a bare name together with a changed `PATH` would make the standard library fork, which costs
    /// the more the larger the host is.
    pub(crate) fn resolve(&self) -> Result<PathBuf, ProcessError> {
        let not_found = |_| ProcessError::NotFound { program: PathBuf::from(&self.program) };
        // Absolute: a relative result would be looked up from the child's directory.
        let here = std::path::absolute(self.cwd.as_deref().unwrap_or(Path::new(".")));
        let here = here.unwrap_or_else(|_| PathBuf::from("."));
        which::which_in(&self.program, std::env::var_os("PATH"), here).map_err(not_found)
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
