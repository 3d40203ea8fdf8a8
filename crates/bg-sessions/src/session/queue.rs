//! The prompts that wait for a session.
//!
//! # Invariants
//!
//! 1. A place is reserved before anybody is told that a prompt is accepted, so an accepted prompt is in
//!    the queue. Nobody waits for a place: a full queue refuses.
//! 2. The queue is closed only when it is empty and no place is reserved, or with what is in it given
//!    back. So nothing that was accepted is left in it.
//!
//! # Lock order
//!
//! The lock is a leaf: nothing is called while it is held. Models try its orders: `tests/shuttle.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::Mutex;

/// Most prompts that wait.
pub(crate) const MAX_PROMPTS: usize = 64;

/// Most bytes of them together.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// A queue of prompts of a kind. Beyond its caps it refuses.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    /// Told when there is something new to see.
    changed: Notify,
    caps: Caps,
}

/// How much a queue takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) prompts: usize,
    pub(crate) bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { prompts: MAX_PROMPTS, bytes: MAX_BYTES }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    prompts: VecDeque<(T, usize)>,
    reserved: usize,
    /// Of both.
    bytes: usize,
    closed: bool,
}

/// Why a queue takes no prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full { prompts: usize, bytes: usize },
    Closed,
}

/// A place in a queue; given back when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub(crate) struct Place<T> {
    queue: Arc<Queue<T>>,
    bytes: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(caps: Caps) -> Self {
        let prompts = VecDeque::new();
        let waiting = Waiting { prompts, reserved: 0, bytes: 0, closed: false };
        Self { waiting: Mutex::new(waiting), changed: Notify::new(), caps }
    }

    /// Reserves a place for a prompt of so many bytes (I1).
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Place<T>, Refusal> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Refusal::Closed);
        }
        let prompts = waiting.prompts.len() + waiting.reserved;
        if prompts >= self.caps.prompts || bytes > self.caps.bytes.saturating_sub(waiting.bytes) {
            return Err(Refusal::Full { prompts, bytes: waiting.bytes });
        }
        waiting.reserved += 1;
        waiting.bytes += bytes;
        Ok(Place { queue: self.clone(), bytes })
    }

    /// Takes the oldest prompt, if it has no more bytes than that, or whatever it has.
    pub(crate) fn take(&self, most_bytes: Option<usize>) -> Option<T> {
        let mut waiting = self.waiting.lock();
        let (_, bytes) = waiting.prompts.front()?;
        if most_bytes.is_some_and(|most| *bytes > most) {
            return None;
        }
        let (prompt, bytes) = waiting.prompts.pop_front()?;
        waiting.bytes -= bytes;
        Some(prompt)
    }

    /// Counts the prompts that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().prompts.len()
    }

    /// Waits until something has changed since the last look. For one who looks, alone.
    ///
    /// # Cancel safety
    ///
    /// Safe: what has changed is seen at the next look.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Has whoever waits look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.waiting.lock().closed
    }

    /// Takes no more prompts if there is none (I2).
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.closed |= waiting.prompts.is_empty() && waiting.reserved == 0;
        waiting.closed
    }

    /// Takes no more prompts, and gives back those that are there (I2).
    pub(crate) fn close(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.bytes = 0;
        std::mem::take(&mut waiting.prompts).into_iter().map(|(prompt, _)| prompt).collect()
    }
}

impl<T> Place<T> {
    /// Fills it. Gives the prompt back if the queue was closed meanwhile.
    pub(crate) fn fill(mut self, prompt: T) -> Result<(), T> {
        let mut waiting = self.queue.waiting.lock();
        if waiting.closed {
            return Err(prompt);
        }
        waiting.prompts.push_back((prompt, std::mem::take(&mut self.bytes)));
        Ok(())
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        waiting.reserved -= 1;
        waiting.bytes = waiting.bytes.saturating_sub(self.bytes);
        drop(waiting);
        self.queue.changed.notify_one();
    }
}
