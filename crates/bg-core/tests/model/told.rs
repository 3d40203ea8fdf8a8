//! What the event stream should say.

use bg_core::{EventKind, Status};

/// An event without what the model does not predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Spawned,
    Running(u32),
    Ended(Status),
    Trace,
    CancelRequested,
    Claimed,
    GivenBack,
    /// Given back where nobody can claim it any more.
    Released,
    Acked,
    Evicted,
    /// Of a kind that the model does not predict.
    Other,
}

impl Told {
    pub(crate) fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::Spawned { .. } => Self::Spawned,
            EventKind::Status(Status::Running { step }) => Self::Running(*step),
            EventKind::Status(status) => Self::Ended(*status),
            EventKind::Trace { .. } => Self::Trace,
            EventKind::CancelRequested => Self::CancelRequested,
            EventKind::Claimed => Self::Claimed,
            EventKind::GivenBack => Self::GivenBack,
            EventKind::Released => Self::Released,
            EventKind::Acked => Self::Acked,
            EventKind::Evicted => Self::Evicted,
            _ => Self::Other,
        }
    }
}

/// How far a ring of events has come, and what a subscriber finds there.
pub(crate) struct Ring {
    next: u64,
    len: u64,
    cap: u64,
    subscribers: usize,
}

/// What a subscriber should find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Event(u64),
    Lagged(u64),
    Nothing,
}

impl Ring {
    pub(crate) fn new(cap: usize) -> Self {
        Self { next: 0, len: 0, cap: cap as u64, subscribers: 0 }
    }

    /// Nothing is numbered or kept while nobody listens.
    pub(crate) fn publish(&mut self, count: u64) {
        if self.subscribers > 0 {
            self.next += count;
            self.len = self.cap.min(self.len + count);
        }
    }

    /// Returns the number of the first event that the subscriber will see.
    pub(crate) fn subscribe(&mut self) -> u64 {
        self.subscribers += 1;
        self.next
    }

    pub(crate) fn unsubscribe(&mut self) {
        self.subscribers -= 1;
        if self.subscribers == 0 {
            self.len = 0;
        }
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.subscribers > 0
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Returns what a subscriber that is at this number finds, and moves it on.
    pub(crate) fn read(&self, at: &mut u64) -> Found {
        let oldest = self.next - self.len;
        let was = *at;
        if was < oldest {
            *at = oldest;
            return Found::Lagged(oldest - was);
        }
        if was == self.next {
            return Found::Nothing;
        }
        *at += 1;
        Found::Event(was)
    }
}
