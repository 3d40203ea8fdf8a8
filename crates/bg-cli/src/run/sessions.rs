//! The sessions of a plan: when they are over.
//!
//! What a session says are its replies, and each of those is the outcome of a prompt. Its own task
//! only has to end, after the last of them.

use std::collections::BTreeMap;

use bg_agents::core::TaskId;

use crate::plan::Item;

/// The sessions of a run by name.
pub(crate) struct Sessions(BTreeMap<String, Session>);

/// A session of the plan.
pub(crate) struct Session {
    pub(crate) agent: String,
    /// Nothing if no prompt to it was started.
    pub(crate) task: Option<TaskId>,
    /// The prompts to it that were started.
    pub(crate) prompts: Vec<TaskId>,
    /// How many prompts are still to be answered or given up.
    left: usize,
    is_over: bool,
}

impl Sessions {
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut sessions = BTreeMap::new();
        for item in items {
            let (Some(name), Some(agent)) = (item.session(), item.agent()) else { continue };
            let session = sessions.entry(name.to_owned()).or_insert_with(|| Session::new(agent));
            session.left += 1;
        }
        Self(sessions)
    }

    /// A prompt was started.
    pub(crate) fn asked(&mut self, name: &str, session: Option<TaskId>, prompt: TaskId) {
        let Some(known) = self.0.get_mut(name) else { return };
        known.task = known.task.or(session);
        known.prompts.push(prompt);
    }

    /// A prompt was answered, or will not be asked. Returns the agent of the session if there is
    /// nothing more to do for it.
    pub(crate) fn settled(&mut self, name: &str) -> Option<&str> {
        let session = self.0.get_mut(name)?;
        session.left -= 1;
        (session.left == 0 && session.is_open()).then_some(&*session.agent)
    }

    /// Returns the name and the agent of the session with this task.
    pub(crate) fn of_task(&self, task: TaskId) -> Option<(&str, &str)> {
        let (name, session) = self.0.iter().find(|(_, session)| session.task == Some(task))?;
        Some((name, &session.agent))
    }

    /// The task of a session has ended.
    pub(crate) fn over(&mut self, task: TaskId) {
        for session in self.0.values_mut().filter(|session| session.task == Some(task)) {
            session.is_over = true;
        }
    }

    /// Whether one has begun and is not over.
    pub(crate) fn are_open(&self) -> bool {
        self.0.values().any(Session::is_open)
    }

    pub(crate) fn into_begun(self) -> impl Iterator<Item = (String, Session)> {
        self.0.into_iter().filter(|(_, session)| session.task.is_some())
    }
}

impl Session {
    fn new(agent: &str) -> Self {
        let (agent, prompts) = (agent.to_owned(), Vec::new());
        Self { agent, task: None, prompts, left: 0, is_over: false }
    }

    fn is_open(&self) -> bool {
        self.task.is_some() && !self.is_over
    }
}
