//! What an answer delivers, until it is known whether it reached the client.
//!
//! # Invariants
//!
//! - D1: what an answer delivers is acknowledged once, when the whole answer was written; when it is
//!   known that it will not be, or when nobody can write it any more, it is given back.
//! - D2: what is put in after that is given back at once.
//!
//! # Lock order
//!
//! The state is a leaf: claims are acknowledged and dropped after the unlock.

use std::mem;
use std::sync::Arc;

use bg_agents::Claim;
use bg_agents::tools::Claims;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// What one answer delivers; clones are the same. It holds the place of the request among those that
/// are under way.
#[derive(Clone)]
pub(crate) struct Delivery(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    _place: Option<OwnedSemaphorePermit>,
}

enum State {
    Open(Vec<Held>),
    Over,
}

/// Something that is delivered with an answer.
pub(crate) enum Held {
    /// What a tool delivers.
    Claims(Claims),
    /// The result of a call that went on as a task.
    Outcome(Claim),
}

impl Delivery {
    pub(crate) fn new(place: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(State::Open(Vec::new())), _place: place }))
    }

    /// Adds what the answer delivers.
    pub(crate) fn put(&self, held: Held) {
        let mut state = self.0.state.lock();
        let late = match &mut *state {
            State::Open(all) => {
                all.push(held);
                None
            }
            State::Over => Some(held),
        };
        drop(state);
        drop(late);
    }

    /// The answer was written.
    pub(crate) fn done(&self) {
        for held in self.end() {
            match held {
                Held::Claims(claims) => drop(claims.ack()),
                Held::Outcome(claim) => drop(claim.ack()),
            }
        }
    }

    /// The answer will not be written.
    pub(crate) fn lost(&self) {
        drop(self.end());
    }

    fn end(&self) -> Vec<Held> {
        match mem::replace(&mut *self.0.state.lock(), State::Over) {
            State::Open(held) => held,
            State::Over => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bg_agents::{Output, Registry, Scope, Task};

    use super::*;

    #[track_caller]
    fn ended() -> (Registry, Scope, Held) {
        let registry = Registry::new();
        let root = registry.root_scope();
        let (id, completer) = root.register(Task::new("x", "")).unwrap();
        completer.complete(Ok(Output::default()));
        let claim = root.claim(id).unwrap();
        (registry, root, Held::Outcome(claim))
    }

    #[test]
    fn what_was_written_is_acknowledged_and_nothing_else() {
        let (_registry, root, held) = ended();
        let delivery = Delivery::new(None);
        delivery.put(held);
        delivery.done();
        delivery.lost();
        assert!(root.inbox().is_empty());

        for end in [Delivery::lost, drop_of] {
            let (_registry, root, held) = ended();
            let delivery = Delivery::new(None);
            delivery.put(held);
            end(&delivery);
            drop(delivery);
            assert_eq!(root.inbox().drain().count(), 1);
        }
    }

    /// Nobody says how it went.
    fn drop_of(_: &Delivery) {}

    #[test]
    fn what_comes_after_the_end_is_given_back() {
        let (_registry, root, held) = ended();
        let delivery = Delivery::new(None);
        delivery.lost();
        delivery.put(held);
        assert_eq!(root.inbox().drain().count(), 1);
    }
}
