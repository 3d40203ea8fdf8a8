//! Mailboxes: messages to a running task.
//!
//! # Invariants
//!
//! 1. `bytes` is the sum of what the queued messages weigh.
//! 2. Once closed, nothing is added: a sender learns of it, so no message is lost in silence. What
//!    was queued then is counted as unread.
//!
//! # Lock order
//!
//! The lock of a mailbox is a leaf under the registry's: nothing is called while it is held.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::effects::shielded;
use crate::error::SendError;
use crate::id::TaskId;
use crate::sync::{Arc, Mutex};
use crate::wakers::Wakers;

/// A message to a running task: guidance to an agent, bytes to a process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// Words.
    Text(String),
    /// Bytes, for example for the standard input of a process.
    Bytes(Vec<u8>),
    /// Data in a form that sender and task agree on.
    Data(serde_json::Value),
}

impl Message {
    /// The bytes that it counts for.
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Data(data) => crate::output::weight_of(data),
        }
    }

    fn is_text(&self, other: &str) -> bool {
        matches!(self, Self::Text(text) if text == other)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// How much a mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxCaps {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of them together.
    pub bytes: usize,
}

impl Default for MailboxCaps {
    /// 64 messages, 1 MiB.
    fn default() -> Self {
        Self { messages: 64, bytes: 1 << 20 }
    }
}

/// What a task's description says of its mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailboxSpec {
    pub(crate) caps: MailboxCaps,
    /// The text after which it is closed.
    pub(crate) last: Option<&'static str>,
}

/// The messages that were sent to a task; see [`TaskContext::mailbox`](crate::TaskContext::mailbox).
///
/// A handle; clones share one queue, and each message is received once. It is closed when the task
/// ends, or [earlier](Self::close); what was not received by the end is counted in
/// [`Finished::unread`](crate::Finished::unread).
///
/// # Examples
///
/// ```
/// use bg_core::{Message, Output, Registry, Task};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (id, completer) = root.register(Task::agent("write", "a report"))?;
/// let mailbox = completer.context().mailbox();
/// root.send(id, "use fewer words")?;
/// assert_eq!(mailbox.recv().await, Some(Message::Text("use fewer words".to_owned())));
/// completer.complete(Ok(Output::default()));
/// assert!(root.send(id, "too late").is_err());
/// assert_eq!(mailbox.recv().await, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Mailbox(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    spec: MailboxSpec,
    messages: VecDeque<Message>,
    bytes: usize,
    closed: bool,
    wakers: Wakers,
}

impl Mailbox {
    pub(crate) fn new(caps: MailboxCaps) -> Self {
        Self::of(MailboxSpec { caps, last: None })
    }

    pub(crate) fn of(spec: MailboxSpec) -> Self {
        let (messages, wakers) = (VecDeque::new(), Wakers::default());
        Self(Arc::new(Mutex::new(Queue { spec, messages, bytes: 0, closed: false, wakers })))
    }

    /// The mailbox of a task that has ended.
    pub(crate) fn closed() -> Self {
        let mailbox = Self::new(MailboxCaps::default());
        mailbox.0.lock().closed = true;
        mailbox
    }

    /// Receives the oldest message, if there is one now.
    pub fn try_recv(&self) -> Option<Message> {
        self.0.lock().pop()
    }

    /// Waits for a message and receives it; `None` once the mailbox is closed and none is left.
    pub fn recv(&self) -> Recv {
        Recv { mailbox: self.clone(), waiting: None }
    }

    /// Takes no more messages: whoever sends one is refused with
    /// [`SendError::Closed`](crate::SendError::Closed). What was accepted before can still be
    /// received.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Message, Registry, SendError, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, completer) = root.register(Task::agent("write", "a report"))?;
    /// let mailbox = completer.context().mailbox();
    /// root.send(id, "use fewer words")?;
    /// mailbox.close();
    /// assert_eq!(root.send(id, "and shorter ones"), Err(SendError::Closed(id)));
    /// assert_eq!(mailbox.try_recv(), Some(Message::from("use fewer words")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        let (_, wakers) = self.shut();
        wakers.for_each(|waker| shielded(|| waker.wake()));
    }

    /// Takes no more messages if none is waiting to be received, and returns whether it does so: who
    /// ends after this has received all that was accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::{Message, Registry, SendError, Task};
    ///
    /// let registry = Registry::new();
    /// let root = registry.root_scope();
    /// let (id, completer) = root.register(Task::agent("write", "a report"))?;
    /// let mailbox = completer.context().mailbox();
    /// root.send(id, "use fewer words")?;
    /// assert!(!mailbox.close_if_empty());
    /// assert_eq!(mailbox.try_recv(), Some(Message::from("use fewer words")));
    /// assert!(mailbox.close_if_empty());
    /// assert_eq!(root.send(id, "and shorter ones"), Err(SendError::Closed(id)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_if_empty(&self) -> bool {
        let mut queue = self.0.lock();
        if !queue.messages.is_empty() {
            return false;
        }
        queue.closed = true;
        let wakers = queue.wakers.take();
        drop(queue);
        wakers.for_each(|waker| shielded(|| waker.wake()));
        true
    }

    pub(crate) fn send(&self, id: TaskId, message: Message) -> Result<(), SendError> {
        let mut queue = self.0.lock();
        queue.push(id, message)?;
        let wakers = queue.wakers.take();
        drop(queue);
        wakers.for_each(|waker| shielded(|| waker.wake()));
        Ok(())
    }

    /// Takes no more messages; returns how many were not received, and whom to wake.
    pub(crate) fn shut(&self) -> (usize, impl Iterator<Item = Waker> + use<>) {
        let mut queue = self.0.lock();
        queue.closed = true;
        (queue.messages.len(), queue.wakers.take())
    }
}

/// Waits for a message; see [`Mailbox::recv`].
///
/// # Cancel safety
///
/// Safe: a message is received only in the poll that returns it.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Recv {
    mailbox: Mailbox,
    waiting: Option<u64>,
}

impl Future for Recv {
    type Output = Option<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        // Cloned before the lock, and dropped after it: a waker is foreign code.
        let mut spare = Some(cx.waker().clone());
        let this = &mut *self;
        let mut queue = this.mailbox.0.lock();
        let found = queue.pop();
        let pending = found.is_none() && !queue.closed;
        if pending {
            spare = spare.and_then(|waker| queue.wakers.keep(&mut this.waiting, waker));
        }
        drop(queue);
        drop(spare);
        if pending { Poll::Pending } else { Poll::Ready(found) }
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        let waker = self.mailbox.0.lock().wakers.remove(self.waiting);
        drop(waker);
    }
}

impl Queue {
    fn push(&mut self, id: TaskId, message: Message) -> Result<(), SendError> {
        if self.closed {
            // Whether it has ended, and how, is not known here, and is said by the caller.
            return Err(SendError::Closed(id));
        }
        let (messages, bytes) = (self.messages.len(), self.bytes);
        let weight = message.weight();
        let caps = self.spec.caps;
        if messages >= caps.messages || weight > caps.bytes.saturating_sub(bytes) {
            return Err(SendError::Full { id, messages, bytes });
        }
        self.bytes += weight;
        self.closed = self.spec.last.is_some_and(|last| message.is_text(last));
        self.messages.push_back(message);
        Ok(())
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }
}
