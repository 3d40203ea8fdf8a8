//! Watching a run: what can start is started, what happens is told, what arrives is printed.

mod commands;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;

use bg_agents::core::{Claim, CloseReport, Event, Events, Finished, Kind, Lagged, Status, TaskId};

use super::board::{Board, TICK};
use super::interrupt::Interrupted;
use super::live::{Happened, Live};
use super::meter::Meter;
use super::order::{Next, Order, State};
use super::result::{Origin, TaskResult, summary};
use super::save::Save;
use super::screen::{Screen, count, one_line};
use super::sessions::{Session, Sessions};
use super::stop::{Ends, Stop};
use super::team::{Team, TeamError};
use super::told::Told;
use super::typed::{Input, Lines};
use crate::plan::{Ask, Item, Work};
use tokio::time::Interval;

pub(crate) struct Watch<'a> {
    team: Team,
    save: Option<Save>,
    lines: Lines,
    board: Option<Board>,
    has_model: bool,
    ticks: Interval,
    ends: Ends,
    meter: Meter,
    screen: &'a mut Screen,
    events: Events,
    live: Live,
    order: Order,
    /// What was started of the plan and has not ended, with its place there.
    running: BTreeMap<TaskId, usize>,
    sessions: Sessions,
    /// Stopped because the others were done, which is how they are meant to end.
    dismissed: BTreeSet<TaskId>,
    results: BTreeMap<TaskId, TaskResult>,
    /// Events that came faster than they were printed.
    missed: u64,
    /// Why something of the plan was not started.
    not_started: Vec<String>,
}

/// What a run has to do with besides its plan.
pub(crate) struct Around {
    pub(crate) save: Option<Save>,
    /// Commands that are typed.
    pub(crate) lines: Lines,
    /// Live lines, on a terminal.
    pub(crate) board: Option<Board>,
    /// Whether tokens are worth being told.
    pub(crate) has_model: bool,
    pub(crate) ends: Ends,
    pub(crate) meter: Meter,
}

/// What a run left.
pub(crate) struct Watched {
    pub(crate) results: Vec<TaskResult>,
    /// The sessions that have begun, by name.
    pub(crate) sessions: Vec<(String, Session)>,
    pub(crate) not_started: Vec<String>,
    pub(crate) missed: u64,
    /// Why it was stopped before its plan was done, if it was.
    pub(crate) stop: Option<Stop>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        team: Team,
        items: Vec<Item>,
        around: Around,
        screen: &'a mut Screen,
    ) -> Self {
        let Around { save, lines, board, has_model, ends, meter } = around;
        let events = team.background.registry().events();
        let live = Live::new(screen.secret().clone());
        Self {
            team,
            save,
            lines,
            board,
            has_model,
            ticks: tokio::time::interval(TICK),
            ends,
            meter,
            screen,
            events,
            live,
            sessions: Sessions::of(&items),
            order: Order::new(items),
            running: BTreeMap::new(),
            dismissed: BTreeSet::new(),
            results: BTreeMap::new(),
            missed: 0,
            not_started: Vec::new(),
        }
    }

    /// Starts everything that waits for nothing any more. What cannot be started is told, and the
    /// others go on.
    fn start_due(&mut self) {
        while let Some(next) = self.order.next() {
            match next {
                Next::Start(at) => self.start(at),
                Next::Skip(at, why) => self.skip(at, &why),
            }
        }
    }

    fn start(&mut self, at: usize) {
        let item = self.order.item(at).clone();
        match self.started(&item) {
            Ok(task) => {
                self.live.meet(task, &item.label);
                self.running.insert(task, at);
                self.order.set(at, State::Runs);
            }
            Err(error) => self.skip(at, &error.chain()),
        }
    }

    fn started(&mut self, item: &Item) -> Result<TaskId, TeamError> {
        match item.work.clone() {
            Work::Process(process) => self.team.start_process(&process),
            Work::Task(ask) => {
                let prompt = self.told(item, &ask);
                self.team.start_task(item, ask, prompt)
            }
            Work::Prompt(planned) => {
                let (prompt, name) = (self.told(item, &planned.ask), planned.session.clone());
                let agent = planned.ask.agent.clone();
                let task = self.team.ask(item, planned, prompt)?;
                let session = self.team.session(&agent, &name);
                if let Some(session) = session {
                    self.live.meet(session, &name);
                }
                self.sessions.asked(&name, session, task);
                Ok(task)
            }
        }
    }

    /// The prompt of an item, with what became of those that it comes after.
    fn told(&self, item: &Item, ask: &Ask) -> String {
        let mut told = Told::prompt(&ask.prompt);
        for at in &item.after {
            if let State::NotStarted(why) = self.order.state(*at) {
                told.not_started(&self.order.item(*at).label, why);
            }
            if let Some(result) = self.result(*at) {
                told.result(&result.finished);
            }
        }
        told.into_text()
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::of(self.order.item(at))
    }

    /// The result of an item that has ended.
    fn result(&self, at: usize) -> Option<&TaskResult> {
        match self.order.state(at) {
            State::Ended { task, .. } => self.results.get(task),
            _ => None,
        }
    }

    /// That the tokens are spent is the reason also for what failed because of it, whichever of the two
    /// is seen first.
    fn skip(&mut self, at: usize, why: &str) {
        let is_spent = self.ends.spent.is_cancelled();
        let why = if is_spent { Stop::Tokens.reason() } else { why };
        let problem = one_line(&format!("{}: {why}", self.order.item(at).label));
        self.screen.line(&format!("not started: {problem}"));
        self.not_started.push(problem);
        self.settle(at, State::NotStarted(why.to_owned()));
    }

    /// Notes how an item came to its end. A session ends with the last of its prompts.
    fn settle(&mut self, at: usize, state: State) {
        self.order.set(at, state);
        let Some(session) = self.order.item(at).session() else { return };
        if let Some(agent) = self.sessions.settled(session) {
            self.team.end_session(agent, session);
        }
    }

    /// Returns when everything has ended and was printed.
    pub(crate) async fn until_over(mut self, interrupted: Interrupted) -> Watched {
        let Interrupted { mut begun, mut over } = interrupted;
        let mut stop = None;
        while self.order.is_open() || self.sessions.are_open() {
            if !self.order.is_working() {
                self.dismiss();
            }
            let inbox = self.team.root.inbox();
            tokio::select! {
                biased;
                begun = &mut begun, if stop.is_none() => {
                    let why = begun.unwrap_or(Stop::Interrupt);
                    stop = Some(why);
                    self.screen.line(why.announcement());
                    self.give_up(why);
                }
                // What was stopped is in the inbox by now; what could not be would never come.
                report = &mut over => {
                    self.stopped(report.unwrap_or_default());
                    break;
                }
                typed = self.lines.next() => match typed {
                    Input::Line(line) => self.obey(&line),
                    Input::Begun => self.tick(),
                },
                _ = self.ticks.tick(), if self.board.is_some() => self.tick(),
                // Not before it was seen that nobody wants it any more.
                () = ready(()), if self.order.next().is_some() => self.start_due(),
                event = self.events.next() => self.tell(event),
                claim = inbox.next() => self.take(claim),
            }
        }
        self.watched(stop)
    }

    fn watched(self, stop: Option<Stop>) -> Watched {
        Watched {
            results: self.results.into_values().collect(),
            sessions: self.sessions.into_begun().collect(),
            not_started: self.not_started,
            missed: self.missed,
            stop,
        }
    }

    /// Starts nothing any more.
    fn give_up(&mut self, why: Stop) {
        let waiting: Vec<usize> = self.order.waiting().collect();
        for at in waiting {
            self.skip(at, why.reason());
        }
    }

    /// Stops those that serve the others, once those are done.
    fn dismiss(&mut self) {
        let serving = self.running.iter().filter(|(_, at)| self.order.item(**at).serves());
        for (id, _) in serving {
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
                if let Some(told) = self.live.told(&event) {
                    self.show(told);
                }
            }
            Some(Err(Lagged(missed))) => {
                if self.missed == 0 {
                    self.screen.line("(more happens than can be printed: some lines are missing)");
                }
                self.missed += missed;
                self.forget_lines();
            }
            None => {}
        }
    }

    /// Shows what happened in the line of its task, or in one that is printed.
    fn show(&mut self, told: Happened) {
        match &mut self.board {
            Some(board) => board.tell(told),
            None => self.screen.line(&told.to_string()),
        }
    }

    fn tick(&mut self) {
        if let Some(board) = &mut self.board {
            let tokens = self.has_model.then(|| self.meter.tokens());
            board.tick(tokens, &self.lines.begun());
        }
    }

    /// Takes the lines of tasks away whose end may have been missed.
    fn forget_lines(&mut self) {
        if let Some(board) = &mut self.board {
            let all = self.team.root.snapshot();
            let works = |id| all.iter().any(|task| task.id == id && !task.status.is_terminal());
            board.keep(works);
        }
    }

    /// Prints an outcome and acknowledges it: printed is delivered.
    fn take(&mut self, claim: Option<Claim>) {
        let Some(claim) = claim else { return };
        let id = claim.id;
        if id.kind() == Kind::SESSION {
            self.sessions.over(id);
            if !has_failed(&claim) {
                // All that it had to say were its replies.
                claim.ack();
                return;
            }
        }
        let at = self.running.remove(&id);
        let origin = at.map(|at| self.origin(at)).unwrap_or_default();
        // What a session does unasked is stopped with it, when nobody asks it any more.
        let dismissed = at.is_none() || self.dismissed.contains(&id);
        let result = TaskResult::of(claim.finished(), origin, dismissed, self.screen.secret());
        self.screen.text(&result.block());
        claim.ack();
        self.save(at, &result);
        let failed = result.failed();
        self.results.insert(id, result);
        if let Some(at) = at {
            self.settle(at, State::Ended { task: id, failed });
        }
    }
}

impl Watch<'_> {
    /// Saves a result, under the name of its item if it has one.
    fn save(&self, at: Option<usize>, result: &TaskResult) {
        let Some(save) = &self.save else { return };
        let id = result.finished.id;
        let unasked = || format!("unasked-{}-{}", id.kind(), id.number());
        let name = at.map_or_else(unasked, |at| self.order.item(at).file.clone());
        save.result(&name, result);
    }
}

/// Whether a session has ended otherwise than by being stopped, or for want of a prompt.
fn has_failed(session: &Finished) -> bool {
    !matches!(session.status(), Status::Completed | Status::Cancelled)
}

impl Watched {
    /// Says in words what was not shown, if anything.
    pub(crate) fn note(&self) -> Option<String> {
        let missed = usize::try_from(self.missed).unwrap_or(usize::MAX);
        (missed > 0).then(|| format!("{} could not be shown", count(missed, "event")))
    }
}
