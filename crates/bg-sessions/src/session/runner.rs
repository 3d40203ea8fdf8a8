//! The task of a session: it waits for something to do, and does it, one turn after the other.
//!
//! # Invariants
//!
//! 1. It ends for want of input only when its queue took no more prompts in the moment in which it was
//!    empty, so a prompt that was accepted has a turn.
//! 2. The outcomes of children are claimed for a turn, and come back if the model has not answered it;
//!    then they wait for the next input, so a model that is out of order is not asked without end.
//! 3. The phase says `WaitingForInput` before a reply is delivered, so whoever has the reply and looks
//!    does not see work that is none.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bg_core::{
    ClaimError, Failure, Finished, Mailbox, MailboxCaps, Output, PanicReport, Phase, Task,
    TaskContext, TaskResult, WeakScope,
};
use futures_util::FutureExt;
use futures_util::future::{Either, select, select_all};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Input;
use super::askers::Askers;
use super::list::Listed;
use super::state::Session;
use crate::background::{Burst, burst, is_working, live};
use crate::compaction::size;
use crate::error::RunError;
use crate::hooks::RunInfo;
use crate::ledger::Ledger;
use crate::runner::interrupt::{Interrupts, words_of};
use crate::runner::{Given, Run, RunSpec, TurnEnded};

/// How long a session waits for its background work, without input.
const MAX_BACKGROUND: Duration = Duration::from_secs(3600);

/// The runner of one session.
pub(crate) struct Worker {
    cx: TaskContext,
    token: CancellationToken,
    mailbox: Mailbox,
    owner: WeakScope,
    listed: Listed,
    idle: Duration,
    run: Run,
    /// Whether the outcomes of children start a turn (I2).
    hears_children: bool,
    /// Words that were sent while it was idle.
    words: Vec<String>,
    /// What it has cost that no reply has told of.
    unreported: Ledger,
    /// What it has cost in all.
    total: Ledger,
    /// Whether a turn has begun.
    has_begun: bool,
    /// Why it ends, when it does.
    over: &'static str,
}

/// What a turn is about.
struct Batch {
    inputs: Vec<Input>,
    words: Vec<String>,
    burst: Burst,
}

impl Worker {
    pub(crate) fn new(
        cx: TaskContext,
        spec: RunSpec,
        owner: WeakScope,
        listed: Listed,
        idle: Duration,
    ) -> Self {
        listed.session.started(cx.id());
        listed.session.runs_in(cx.scope());
        let model = spec.model.info().name;
        listed.session.see(|seen| seen.model = model);
        let run = Run::session(cx.clone(), spec);
        let (token, mailbox) = (cx.token(), cx.mailbox());
        let (words, unreported) = (Vec::new(), Ledger::default());
        Self {
            cx,
            token,
            mailbox,
            owner,
            listed,
            idle,
            run,
            hears_children: true,
            words,
            unreported,
            total: Ledger::default(),
            has_begun: false,
            over: "it had no input for as long as it waits",
        }
    }

    fn session(&self) -> &Arc<Session> {
        &self.listed.session
    }

    /// Works until it is stopped, or has been idle for too long.
    pub(crate) async fn live(mut self) -> TaskResult {
        loop {
            match self.next().await {
                Ok(Some(batch)) => self.turn(batch).await,
                Ok(None) => return Ok(self.farewell(self.over)),
                Err(stopped) => {
                    let output = self.farewell("it was cancelled");
                    return Err(Failure::from(stopped).with_partial(output));
                }
            }
        }
    }

    /// Waits for something to do; `None` when there is nothing for too long.
    async fn next(&mut self) -> Result<Option<Batch>, RunError> {
        self.rest();
        loop {
            self.take_dropped();
            if self.token.is_cancelled() {
                return Err(RunError::Stopped);
            }
            if let Some(batch) = self.batch() {
                return Ok(Some(batch));
            }
            if self.session().queue().is_closed() || (self.wait().await && self.close()) {
                return Ok(None);
            }
        }
    }

    /// Waits until something has changed. Returns whether the time is over.
    async fn wait(&mut self) -> bool {
        let stopped = self.token.cancelled().map(|()| Woken::Looks).boxed();
        let prompted = self.session().queue().changed().map(|()| Woken::Looks).boxed();
        let told = told(&self.mailbox).map(Woken::Told).boxed();
        let children = child_ended(&self.cx, self.hears_children).map(|()| Woken::Rests).boxed();
        let over = tokio::time::sleep_until(self.deadline()).map(|()| Woken::Over).boxed();
        // In this order, if several are there.
        let (woken, ..) = select_all([stopped, prompted, told, children, over]).await;
        match woken {
            Woken::Looks => return false,
            Woken::Over => return true,
            Woken::Rests => self.session().rests(),
            Woken::Told(words) => self.words.push(words),
        }
        false
    }

    fn deadline(&self) -> Instant {
        let waits = if is_working(&self.cx.scope()) { MAX_BACKGROUND } else { self.idle };
        self.session().active() + waits
    }

    fn rest(&self) {
        let works = is_working(&self.cx.scope());
        self.cx.phase(if works { Phase::WaitingForTool } else { Phase::WaitingForInput });
    }

    /// Takes no more, if nothing is left to do (I1).
    fn close(&mut self) -> bool {
        if !self.session().queue().close_if_empty() {
            return false;
        }
        while !self.mailbox.close_if_empty() {
            self.words.extend(self.mailbox.try_recv().map(words_of));
        }
        self.words.is_empty()
    }

    /// Takes what there is to do, as much as one turn can read.
    fn batch(&mut self) -> Option<Batch> {
        let tokens = self.run.batch_tokens();
        let mut room = size::bytes_within(tokens);
        let mut inputs = Vec::new();
        while let Some(input) = self.session().queue().take((!inputs.is_empty()).then_some(room)) {
            room = room.saturating_sub(input.text.len());
            inputs.push(input);
        }
        let words = std::mem::take(&mut self.words);
        let is_asked = !inputs.is_empty() || !words.is_empty();
        let hears = self.hears_children || is_asked;
        let burst = if hears { self.burst(tokens) } else { Burst::default() };
        (is_asked || !burst.claims.is_empty()).then_some(Batch { inputs, words, burst })
    }

    /// Claims the results of children. Those that a stop has dropped are only booked.
    fn burst(&mut self, tokens: u64) -> Burst {
        let session = self.listed.session.clone();
        let mut burst = burst(&self.cx.scope(), tokens, |child| session.is_dropped(child.id));
        for dropped in std::mem::take(&mut burst.dropped) {
            self.book_dropped(&dropped);
        }
        burst
    }

    /// Takes the results that a stop has dropped, as far as they are there, also if no turn follows.
    fn take_dropped(&mut self) {
        for child in self.session().dropped() {
            match self.cx.scope().claim(child) {
                Err(ClaimError::NotEnded { .. }) => continue,
                Ok(claim) => self.book_dropped(&claim.ack()),
                // It was in the history already.
                Err(_) => {}
            }
            self.session().is_dropped(child);
        }
    }

    fn book_dropped(&mut self, child: &Finished) {
        self.cx.trace(format!("the late result of {} was dropped", child.id));
        let output = child.outcome.output();
        self.unreported.settle(child.id, output);
        self.total.settle(child.id, output);
    }

    /// Runs one turn and gives its reply to those who asked.
    async fn turn(&mut self, batch: Batch) {
        let Batch { inputs, words, burst } = batch;
        let inputs: Vec<Input> =
            inputs.into_iter().filter(|input| Askers::is_live(&input.asker)).collect();
        if inputs.is_empty() && words.is_empty() && burst.claims.is_empty() {
            return;
        }
        let (model, effort) =
            inputs.last().map_or((None, None), |input| (input.model.clone(), input.effort));
        let (mut given, mut askers) = (Given { burst, ..Given::default() }, Vec::new());
        for Input { text, resources, asker, .. } in inputs {
            given.prompts.extend(Some(text).filter(|text| !text.trim().is_empty()));
            given.resources.extend(resources);
            askers.push(asker);
        }
        given.prompts.extend(words);
        let askers = Askers::new(askers);
        self.ask_ourselves(&askers, &given);
        let stop = self.token.child_token();
        self.session().begin_turn(askers.ids(), stop.clone());
        self.cx.phase(Phase::Working);
        let own = askers.contexts().iter().map(TaskContext::mailbox).collect();
        let standing = Some(self.mailbox.clone());
        self.run.prepare(Interrupts { stop: stop.clone(), own, standing }, askers.contexts());
        self.run.choose(model, effort);
        let has_results = !given.burst.claims.is_empty();
        let ended = self.until_stopped(given, &askers, &stop).await;
        self.reply(&askers, has_results, ended);
    }

    /// Registers a task for a turn that nobody has asked for, so that its reply reaches the caller.
    /// Where none can be had, what the turn costs is told at the end of the session.
    fn ask_ourselves(&self, askers: &Askers, given: &Given) {
        if !askers.is_empty() {
            return;
        }
        let ids: Vec<String> =
            given.burst.claims.iter().map(|claim| claim.id.to_string()).collect();
        let prompt = match &ids[..] {
            [] => given.task(),
            ids => format!(
                "read the results of {} in session \"{}\"",
                ids.join(", "),
                self.listed.key.id()
            ),
        };
        let task = Task::agent(self.listed.key.agent().to_owned(), prompt);
        let registered =
            self.owner.upgrade().map(|owner| owner.register(task.mailbox(MailboxCaps::default())));
        match registered {
            Some(Ok((_, asker))) => askers.add(asker),
            _ => self.cx.trace("nobody can be told of this turn"),
        }
    }

    async fn until_stopped(
        &mut self,
        given: Given,
        askers: &Askers,
        stop: &CancellationToken,
    ) -> TurnEnded {
        let key = &self.listed.key;
        let info = RunInfo::new(self.run.reports.id(), key.agent()).with_session(key.id());
        let courier = self.run.courier_of(info);
        let watch = async {
            askers.all_stopped().await;
            stop.cancel();
            std::future::pending::<Infallible>().await
        };
        let turn = AssertUnwindSafe(self.run.attended(given, courier)).catch_unwind();
        let ended = match select(pin!(watch), pin!(turn)).await {
            Either::Left((never, _)) => match never {},
            Either::Right((ended, _)) => ended,
        };
        ended.unwrap_or_else(|payload| {
            let error = RunError::Panicked(PanicReport::of(payload).message);
            let result = self.run.ended(Err(error));
            TurnEnded { result, is_stopped: false, has_begun: true }
        })
    }

    fn reply(&mut self, askers: &Askers, has_results: bool, ended: TurnEnded) {
        self.keep(&ended, askers.is_empty());
        let TurnEnded { result, is_stopped, has_begun } = ended;
        if !has_begun && !self.has_begun && !is_stopped && self.close() {
            self.over = "its first prompt was refused";
        }
        self.has_begun |= has_begun;
        // Results that come again after a turn that was of no use wait for the next input.
        self.hears_children = result.is_ok() || (self.hears_children && !has_results);
        self.session().end_turn();
        self.rest();
        let owner = self.owner.upgrade().filter(|_| is_stopped);
        askers.reply(result, owner.as_ref().map(|owner| (owner, "its session was cancelled")));
    }

    /// Keeps what a turn has come to, for whoever asks how the session is.
    fn keep(&mut self, ended: &TurnEnded, is_unreported: bool) {
        if let Some(output) = ended.output() {
            self.total.add(output);
            if is_unreported {
                self.unreported.add(output);
            }
        }
        let (usage, by) = (self.total.total(), self.total.by().clone());
        self.session().see(|seen| {
            (seen.usage, seen.by) = (usage, by);
            match &ended.result {
                Ok(output) => {
                    seen.turns += 1;
                    seen.progress(&output.text);
                }
                Err(failure) => seen.progress(&format!("failed: {failure}")),
            }
        });
    }

    /// What is left to say at the end: what no reply has told of.
    fn farewell(&self, why: &str) -> Output {
        let (seen, key) = (self.session().seen(), &self.listed.key);
        let (session, agent, turns) = (key.id(), key.agent(), seen.turns);
        let text = format!("session \"{session}\" of {agent} is over after {turns} turns: {why}");
        let data = json!({
            "session": session,
            "agent": agent,
            "turns": turns,
            "usage_in_all": self.total.total(),
        });
        let mut output = Output::text(text).with_model(seen.model).with_data(data);
        self.unreported.write(&mut output);
        output
    }
}

/// Why a session that rests goes on.
enum Woken {
    /// There may be something to do.
    Looks,
    /// The same; if not, it is idle from now on.
    Rests,
    Told(String),
    /// There was nothing for as long as it waits.
    Over,
}

/// Waits for the outcome of a child. Where such are there and not heard, for the end of all that is at
/// work: idle time counts from there. Meanwhile the session lends its slot to others.
async fn child_ended(cx: &TaskContext, is_heard: bool) {
    let inbox = cx.scope().inbox();
    if is_heard || inbox.is_empty() {
        if inbox.ready().await {
            return;
        }
    } else {
        let live = live(&cx.scope());
        // An error is one that is gone by now.
        if !live.is_empty() && cx.wait(live).await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Waits for words.
async fn told(mailbox: &Mailbox) -> String {
    match mailbox.recv().await {
        Some(message) => words_of(message),
        None => std::future::pending().await,
    }
}
