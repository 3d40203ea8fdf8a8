//! The other end of the line: a task that tells the hooks.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::courier::{Report, Room, line, report};
use super::note::{Note, Waiting};
use super::shield::{self, Fault};
use super::{Hooks, RunEnd, RunInfo};

/// Most faults of one hook in one run that are reported.
const MAX_REPORTS: u64 = 3;

/// Tells the hooks of one run.
pub(super) struct Teller {
    hooks: Hooks,
    run: Arc<RunInfo>,
    report: Report,
    room: Arc<Room>,
    /// One for each hook.
    states: Vec<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// It was late, and is told nothing more but the end.
    late: bool,
    /// What it was not told because of that.
    skipped: u64,
    faults: u64,
}

impl Teller {
    pub(super) fn new(hooks: Hooks, run: Arc<RunInfo>, report: Report, room: Arc<Room>) -> Self {
        let states = vec![State::default(); hooks.len()];
        Self { hooks, run, report, room, states }
    }

    /// Tells the start, what comes along the line until it is closed, and the end.
    pub(super) async fn tell(
        mut self,
        mut line: mpsc::Receiver<Waiting>,
        end: oneshot::Receiver<RunEnd>,
    ) {
        self.tell_all(&Note::Start).await;
        while let Some(Waiting { note, weight }) = line.recv().await {
            self.tell_all(&note).await;
            drop(note);
            self.room.give_back(weight);
        }
        let end = end.await.unwrap_or(RunEnd::Dropped);
        self.tell_all(&Note::End(end)).await;
    }

    async fn tell_all(&mut self, note: &Note) {
        for number in 0..self.states.len() {
            let state = &mut self.states[number];
            if state.late && !matches!(note, Note::End(_)) {
                state.skipped += 1;
            } else if let Err(fault) = self.tell_one(note, number).await {
                self.note(note.call(), number, &fault);
            }
        }
    }

    async fn tell_one(&self, note: &Note, number: usize) -> Result<(), Fault> {
        let Some(hook) = self.hooks.list().get(number) else { return Ok(()) };
        let skipped = self.room.skipped().saturating_add(self.states[number].skipped);
        let told = || note.tell(&**hook, &self.run, skipped);
        shield::call(self.hooks.deadline, told).await
    }

    /// Keeps what went wrong, and reports the first few times.
    fn note(&mut self, call: &str, number: usize, fault: &Fault) {
        let state = &mut self.states[number];
        state.late |= matches!(fault, Fault::Late(_));
        state.faults += 1;
        if state.faults <= MAX_REPORTS {
            report(&self.report, &self.run, &line(call, number, fault));
        }
    }
}
