//! What a caller says about a task when it starts one, and what a list shows of it.

use std::borrow::Cow;
use std::time::Duration;

use crate::id::Kind;
use crate::mailbox::{MailboxCaps, MailboxSpec};
use crate::status::{Phase, Status};
use crate::text;
use crate::words::Text;

/// Says what a task is: its kind, a label for humans, what it was asked, how it is stopped.
///
/// The prompt is kept whole, however long it is: it is what the task works on. A long one is kept
/// once, whoever lists it. Texts are static or owned: a `String` is kept as it is.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use bg_core::{Kind, Task};
///
/// let task = Task::agent("explore", "find all tests")
///     .grace(Duration::from_secs(2))
///     .deadline(Duration::from_secs(600));
/// assert_eq!((task.kind(), task.label()), (Kind::AGENT, "explore"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a task does nothing until it is given to `Scope::spawn` or `Scope::register`"]
pub struct Task {
    kind: Kind,
    pub(crate) text: Text,
    pub(crate) grace: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) foreground: bool,
    pub(crate) mailbox: Option<Box<MailboxSpec>>,
}

impl Task {
    /// How long a stopped task that asked for its token may go on before it is aborted.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

    /// Longest label that is kept, in bytes; of a longer one the rest is counted.
    pub const MAX_LABEL_BYTES: usize = 160;

    /// Describes a task of kind [`Kind::TASK`].
    pub fn new(label: impl Into<Cow<'static, str>>, prompt: impl Into<Cow<'static, str>>) -> Self {
        Self::of_kind(Kind::TASK, label, prompt)
    }

    /// Describes a run of a sub-agent.
    pub fn agent(
        label: impl Into<Cow<'static, str>>,
        prompt: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of_kind(Kind::AGENT, label, prompt)
    }

    /// Describes a child process by its command.
    pub fn process(
        label: impl Into<Cow<'static, str>>,
        command: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of_kind(Kind::PROCESS, label, command)
    }

    /// Describes a task of the given kind.
    pub fn of_kind(
        kind: Kind,
        label: impl Into<Cow<'static, str>>,
        prompt: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut label = label.into();
        if label.len() > Self::MAX_LABEL_BYTES {
            label = text::cut(label.into_owned(), Self::MAX_LABEL_BYTES).into();
        }
        let text = Text::new(label, prompt.into());
        let grace = Self::DEFAULT_GRACE;
        Self { kind, text, grace, deadline: None, foreground: false, mailbox: None }
    }

    /// Sets how long it may go on after a stop before it is aborted.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long it may take from its spawn on, time in the queue included; past this it is
    /// stopped with [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Makes it a task that somebody waits for, like a tool call: it takes no slot, no list shows
    /// it, and its outcome is not in the inbox but [claimed by id](crate::Scope::claim), or
    /// awaited through [`Scope::foreground`](crate::Scope::foreground).
    /// [`Scope::detach`](crate::Scope::detach) makes an ordinary task of it.
    pub fn foreground(mut self) -> Self {
        self.foreground = true;
        self
    }

    /// Gives it a [`Mailbox`](crate::Mailbox) from its spawn on: a message is accepted before the
    /// task has asked for it with [`TaskContext::mailbox`](crate::TaskContext::mailbox), while it
    /// waits for a slot too.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{MailboxCaps, Message, Registry, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let task = Task::agent("write", "a report").mailbox(MailboxCaps::default());
    /// let (id, completer) = root.register(task)?;
    /// root.send(id, "use fewer words")?;
    /// let mailbox = completer.context().mailbox();
    /// assert_eq!(mailbox.try_recv(), Some(Message::from("use fewer words")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mailbox(mut self, caps: MailboxCaps) -> Self {
        self.mailbox.get_or_insert_default().caps = caps;
        self
    }

    /// Gives it a [`mailbox`](Self::mailbox) that closes with a message that is this text: the
    /// message is received, and what is sent after it is refused with
    /// [`SendError::Closed`](crate::SendError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Registry, SendError, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, _completer) = root.register(Task::new("calc", "").last_message("quit"))?;
    /// root.send(id, "quit")?;
    /// assert_eq!(root.send(id, "1 + 1"), Err(SendError::Closed(id)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last_message(mut self, text: &'static str) -> Self {
        self.mailbox.get_or_insert_default().last = Some(text);
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the label as it is kept.
    pub fn label(&self) -> &str {
        self.text.label()
    }

    /// Returns the prompt.
    pub fn prompt(&self) -> &str {
        self.text.prompt()
    }
}

/// What a list shows of a task: live, or ended and not delivered yet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The id.
    pub id: crate::TaskId,
    pub(crate) text: Text,
    /// What it is doing.
    pub status: Status,
    /// What it is doing right now, while it runs.
    pub phase: Phase,
    /// Time since spawn, until its end.
    pub age: Duration,
    /// Its latest trace line.
    pub last_trace: Option<String>,
    /// Bytes that it has written to its output log.
    pub output_bytes: u64,
    /// How a process exited, once it has.
    pub exit: Option<crate::Exit>,
    /// Why there is no complete output, once the task has ended without one.
    pub reason: Option<String>,
}

impl Snapshot {
    /// Returns the short name that the task was given.
    pub fn label(&self) -> &str {
        self.text.label()
    }

    /// Returns what it was asked to do.
    pub fn prompt(&self) -> &str {
        self.text.prompt()
    }
}
