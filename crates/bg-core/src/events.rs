//! The numbered stream of everything that happens in a registry.
//!
//! # Invariants
//!
//! 1. `ring` holds the events numbered `[next - ring.len(), next)`.
//! 2. Nothing is kept while nobody listens, so a host without subscribers pays one comparison.
//! 3. Publishing does not wait: the oldest event makes room, and a subscriber that had not read
//!    it is told how many it missed.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use serde::{Deserialize, Serialize};

use crate::effects::Effects;
use crate::id::TaskId;
use crate::machine::RootId;
use crate::status::{Phase, Status};

/// Something that happened to a task.
///
/// # Examples
///
/// It serializes flat: `{"seq":9,"root":1,"task":"agent:7","event":"status","status":"running","step":3}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its number. A subscriber sees numbers without a gap, or is told of the gap.
    pub seq: u64,
    /// The number of the root, from 1.
    pub root: u64,
    /// The task.
    pub task: TaskId,
    /// What happened.
    #[serde(flatten)]
    pub what: EventKind,
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// It was started or registered.
    Spawned {
        /// The short name that the task was given.
        label: String,
        /// The task that owns it; `None` for one of the root's own.
        owner: Option<TaskId>,
    },
    /// Its status changed.
    Status(Status),
    /// It says what it is doing now.
    Phase {
        /// What.
        phase: Phase,
    },
    /// It traced a line.
    Trace {
        /// The line.
        line: String,
    },
    /// A stop was requested.
    CancelRequested,
    /// Its outcome was claimed.
    Claimed,
    /// A claim was given back.
    GivenBack,
    /// A claim was given back when its scope had ended: nobody can claim it any more.
    Released,
    /// Its outcome was acknowledged.
    Acked,
    /// It is not kept any more.
    Evicted,
    /// It was a foreground task and is an ordinary one now.
    Detached,
    /// Its output log grew. Told once in a while, not at each write; what was written last before
    /// the end is told by the end.
    OutputGrew {
        /// Bytes written so far.
        total: u64,
    },
}

/// Events were published faster than they were read, and this many were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct Lagged(pub u64);

/// What a subscriber finds: an event, a gap, or nothing yet.
pub(crate) enum Read {
    Event(Event),
    Lagged(u64),
    Empty,
}

pub(crate) struct EventRing {
    ring: VecDeque<Event>,
    next: u64,
    cap: usize,
    subscribers: BTreeMap<u64, Subscriber>,
    next_subscriber: u64,
}

struct Subscriber {
    at: u64,
    waker: Option<Waker>,
}

impl EventRing {
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            next: 0,
            cap: cap.max(1),
            subscribers: BTreeMap::new(),
            next_subscriber: 0,
        }
    }

    pub(crate) fn subscribe(&mut self) -> u64 {
        let key = self.next_subscriber;
        self.next_subscriber += 1;
        self.subscribers.insert(key, Subscriber { at: self.next, waker: None });
        key
    }

    /// Returns the waker that was left behind, to be dropped outside the lock.
    pub(crate) fn unsubscribe(&mut self, key: u64) -> Option<Waker> {
        let waker = self.subscribers.remove(&key)?.waker;
        if self.subscribers.is_empty() {
            self.ring.clear();
        }
        waker
    }

    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        !self.subscribers.is_empty()
    }

    #[inline]
    pub(crate) fn publish(
        &mut self,
        root: RootId,
        task: TaskId,
        fx: &mut Effects,
        what: impl FnOnce() -> EventKind,
    ) {
        if self.is_heard() {
            self.add(root, task, what(), fx);
        }
    }

    fn add(&mut self, root: RootId, task: TaskId, what: EventKind, fx: &mut Effects) {
        if self.ring.len() == self.cap {
            self.ring.pop_front();
        }
        self.ring.push_back(Event { seq: self.next, root: root.0, task, what });
        self.next += 1;
        fx.wake(self.subscribers.values_mut().filter_map(|s| s.waker.take()));
    }

    /// Takes the wakers of all subscribers, when nothing more will come.
    pub(crate) fn close(&mut self, fx: &mut Effects) {
        fx.wake(self.subscribers.values_mut().filter_map(|s| s.waker.take()));
    }

    /// Reads the next event; on [`Read::Empty`] the waker is kept and the old one given back.
    pub(crate) fn read(&mut self, key: u64, waker: Waker) -> (Read, Option<Waker>) {
        let oldest = self.next - self.ring.len() as u64;
        let Some(subscriber) = self.subscribers.get_mut(&key) else {
            return (Read::Empty, Some(waker));
        };
        if subscriber.at < oldest {
            let missed = oldest - subscriber.at;
            subscriber.at = oldest;
            return (Read::Lagged(missed), Some(waker));
        }
        let index = usize::try_from(subscriber.at - oldest).unwrap_or(usize::MAX);
        match self.ring.get(index) {
            Some(event) => {
                subscriber.at += 1;
                (Read::Event(event.clone()), Some(waker))
            }
            None => (Read::Empty, subscriber.waker.replace(waker)),
        }
    }
}
