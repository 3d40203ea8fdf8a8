//! Watching a run: what happens is told, what arrives is printed.

use std::collections::{BTreeMap, BTreeSet};

use bg_agents::core::{Claim, CloseReport, Event, Events, Lagged, TaskId};

use super::interrupt::Interrupted;
use super::live::Live;
use super::result::{TaskResult, summary};
use super::screen::{Screen, count, one_line};
use super::team::{Team, TeamError};
use crate::plan::Plan;

pub(crate) struct Watch<'a> {
    team: Team,
    screen: &'a mut Screen,
    events: Events,
    live: Live,
    /// Started and not ended: those that the run is about.
    working: BTreeSet<TaskId>,
    /// Started and not ended: those that stop when the others are done.
    serving: BTreeSet<TaskId>,
    /// Stopped because the others were done, which is how they are meant to end.
    dismissed: BTreeSet<TaskId>,
    results: BTreeMap<TaskId, TaskResult>,
    /// Events that came faster than they were printed.
    missed: u64,
    /// Why something of the plan could not be started.
    not_started: Vec<String>,
}

/// What a run left.
pub(crate) struct Watched {
    pub(crate) results: Vec<TaskResult>,
    pub(crate) not_started: Vec<String>,
    pub(crate) missed: u64,
    pub(crate) interrupted: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(team: Team, screen: &'a mut Screen) -> Self {
        let events = team.background.registry().events();
        Self {
            team,
            screen,
            events,
            live: Live::default(),
            working: BTreeSet::new(),
            serving: BTreeSet::new(),
            dismissed: BTreeSet::new(),
            results: BTreeMap::new(),
            missed: 0,
            not_started: Vec::new(),
        }
    }

    /// Starts everything. What cannot be started is told, and the others go on.
    pub(crate) fn start(&mut self, plan: Plan) {
        for task in plan.tasks {
            let label = task.agent.clone();
            let started = self.team.start_task(task);
            let started = self.started(&label, started);
            self.working.extend(started);
        }
        for process in &plan.processes {
            let label = process.label.as_ref().unwrap_or(&process.command);
            let started = self.team.start_process(process);
            let started = self.started(label, started);
            let group = if process.stop_when_done { &mut self.serving } else { &mut self.working };
            group.extend(started);
        }
    }

    fn started(&mut self, label: &str, started: Result<TaskId, TeamError>) -> Option<TaskId> {
        match started {
            Ok(id) => {
                self.live.meet(id, label);
                Some(id)
            }
            Err(error) => {
                let problem = one_line(&format!("{label}: {error}"));
                self.screen.line(&problem);
                self.not_started.push(problem);
                None
            }
        }
    }

    /// Returns when everything has ended and was printed.
    pub(crate) async fn until_over(mut self, interrupted: Interrupted) -> Watched {
        let Interrupted { mut begun, mut over } = interrupted;
        let mut is_interrupted = false;
        while !(self.working.is_empty() && self.serving.is_empty()) {
            if self.working.is_empty() {
                self.dismiss();
            }
            let inbox = self.team.root.inbox();
            tokio::select! {
                biased;
                _ = &mut begun, if !is_interrupted => {
                    is_interrupted = true;
                    self.screen.line("interrupted: stopping everything (once more to kill at once)");
                }
                // What was stopped is in the inbox by now; what could not be would never come.
                report = &mut over => {
                    self.stopped(report.unwrap_or_default());
                    break;
                }
                event = self.events.next() => self.tell(event),
                claim = inbox.next() => self.take(claim),
            }
        }
        let results = self.results.into_values().collect();
        let (not_started, missed) = (self.not_started, self.missed);
        Watched { results, not_started, missed, interrupted: is_interrupted }
    }

    /// Stops those that serve the others, once those are done.
    fn dismiss(&mut self) {
        for id in &self.serving {
            if self.dismissed.insert(*id) {
                // It may have ended in this moment, and then its outcome says so.
                let _ = self.team.root.cancel(*id, "the others are done");
            }
        }
    }

    /// Tells what an interrupt stopped: the tasks of the run with their results, those below them in
    /// a line each.
    fn stopped(&mut self, report: CloseReport) {
        while let Some(claim) = self.team.root.inbox().try_next() {
            self.take(Some(claim));
        }
        for finished in &report.ended {
            if !self.results.contains_key(&finished.id) {
                self.screen.line(&format!("{} {}", finished.id, summary(finished)));
            }
        }
        for id in report.unresponsive {
            self.screen.line(&format!("{id} could not be stopped"));
        }
    }

    fn tell(&mut self, event: Option<Result<Event, Lagged>>) {
        match event {
            Some(Ok(event)) => {
                if let Some(line) = self.live.line(&event) {
                    self.screen.line(&line);
                }
            }
            Some(Err(Lagged(missed))) => {
                if self.missed == 0 {
                    self.screen.line("(more happens than can be printed: some lines are missing)");
                }
                self.missed += missed;
            }
            None => {}
        }
    }

    /// Prints an outcome and acknowledges it: printed is delivered.
    fn take(&mut self, claim: Option<Claim>) {
        let Some(claim) = claim else { return };
        let id = claim.id;
        let result = TaskResult::of(claim.finished(), self.dismissed.contains(&id));
        self.screen.text(&result.block());
        claim.ack();
        self.working.remove(&id);
        self.serving.remove(&id);
        self.results.insert(id, result);
    }
}

impl Watched {
    /// Says in words what was not shown, if anything.
    pub(crate) fn note(&self) -> Option<String> {
        let missed = usize::try_from(self.missed).unwrap_or(usize::MAX);
        (missed > 0).then(|| format!("{} could not be shown", count(missed, "event")))
    }
}
