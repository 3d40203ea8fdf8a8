//! The sessions that there are.

use std::collections::HashMap;
use std::sync::Arc;

use bg_core::{Scope, WeakScope};
use parking_lot::Mutex;

use super::Input;
use super::askers;
use super::queue::{self, Place, Refusal};
use super::state::Session;
use crate::error::InvokeError;

/// Which session: whose, of what agent, under what id. Two callers with the same id have two sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    owner: WeakScope,
    agent: Arc<str>,
    id: Arc<str>,
}

impl Key {
    /// Names a session by an id in lower case.
    pub(crate) fn new(owner: &Scope, agent: &str, id: String) -> Self {
        Self { owner: owner.downgrade(), agent: agent.into(), id: id.into() }
    }

    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The list. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<Key, Arc<Session>>>>);

/// A session that takes a prompt.
pub(crate) struct Found {
    pub(crate) session: Arc<Session>,
    pub(crate) place: Place<Input>,
    /// Nobody has started it yet.
    pub(crate) is_new: bool,
}

impl Sessions {
    /// Most sessions of one scope.
    pub(crate) const MAX_PER_SCOPE: usize = 64;

    /// Finds the session and keeps a place in its queue; makes one if there is none that takes prompts.
    pub(crate) fn find(&self, key: &Key, bytes: usize) -> Result<Found, InvokeError> {
        if bytes > queue::MAX_BYTES {
            return Err(InvokeError::PromptTooLong { bytes, most: queue::MAX_BYTES });
        }
        let mut sessions = self.0.lock();
        if let Some(session) = sessions.get(key) {
            match session.queue().reserve(bytes) {
                Ok(place) => return Ok(Found { session: session.clone(), place, is_new: false }),
                Err(Refusal::Closed) => {}
                Err(full) => return Err(full.into()),
            }
        }
        // One that takes no more prompts is as good as over, also that whose key this is.
        let counts = |(other, session): &(&Key, &Arc<Session>)| {
            other.owner == key.owner && !session.queue().is_closed()
        };
        if sessions.iter().filter(counts).count() >= Self::MAX_PER_SCOPE {
            return Err(InvokeError::TooManySessions(Self::MAX_PER_SCOPE));
        }
        let session = Arc::new(Session::new());
        let place = session.queue().reserve(bytes)?;
        sessions.insert(key.clone(), session.clone());
        Ok(Found { session, place, is_new: true })
    }

    /// Returns the session, if it takes prompts.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Session>> {
        self.0.lock().get(key).filter(|session| !session.queue().is_closed()).cloned()
    }

    /// Returns the sessions of a scope, by agent and id.
    pub(crate) fn of(&self, owner: &WeakScope, agent: Option<&str>) -> Vec<(Key, Arc<Session>)> {
        let sessions = self.0.lock();
        let mine = sessions.iter().filter(|(key, session)| {
            key.owner == *owner
                && agent.is_none_or(|agent| key.agent() == agent)
                && !session.queue().is_closed()
        });
        let mut mine: Vec<_> = mine.map(|(key, session)| (key.clone(), session.clone())).collect();
        mine.sort_by(|(one, _), (other, _)| (&one.agent, &one.id).cmp(&(&other.agent, &other.id)));
        mine
    }

    /// Takes a session off the list when it is dropped.
    pub(crate) fn listed(&self, key: Key, session: Arc<Session>) -> Listed {
        Listed { sessions: self.clone(), key, session }
    }
}

/// A session on the list. When it is dropped the session takes no more prompts, those that wait are
/// answered for, and another one can have its key.
pub(crate) struct Listed {
    sessions: Sessions,
    pub(crate) key: Key,
    pub(crate) session: Arc<Session>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        for input in self.session.queue().close() {
            askers::refuse(input.asker, "its session has ended");
        }
        let mut sessions = self.sessions.0.lock();
        // Another one may have the key by now.
        if sessions.get(&self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.session)) {
            sessions.remove(&self.key);
        }
    }
}
