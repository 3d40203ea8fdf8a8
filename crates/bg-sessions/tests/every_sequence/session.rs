//! One sequence against one session: it is prompted until the sequence is used up.
//!
//! Every prompt has one outcome, in time. Then the session answers a last prompt, whatever was before,
//! and all that it has cost is told, once.

use std::sync::Arc;
use std::time::Duration;

use bg_core::{Finished, Outcome, Registry, Scope, TaskId};
use bg_sessions::{Agents, ModelRequest, Recorded, RunOptions, SessionCommand, TurnsModel};
use tokio::time::Instant;

use super::behaviour::{Behaviour, CHILD_COST};
use super::common::{AGENT, pause, settle, tokens};
use super::play::{Played, WINDOW, is_summary};
use super::reference::{CHILD, DEADLINE, most_requests};

type Model = Recorded<TurnsModel>;

/// A session under way, and what its prompts have come to.
struct Talk<'a> {
    agents: &'a Agents,
    root: &'a Scope,
    model: &'a Model,
    ended: Vec<Arc<Finished>>,
}

impl Talk<'_> {
    fn say(&self, command: SessionCommand) -> Result<Option<TaskId>, String> {
        let options = RunOptions::default().with_model(self.model.clone());
        let options = options.with_deadline(DEADLINE);
        let said = self.agents.prompt(self.root, AGENT, "s", command, options);
        Ok(said.map_err(|error| error.to_string())?.task())
    }

    /// Prompts it and waits for the outcome.
    async fn prompt(&mut self) -> Result<Arc<Finished>, String> {
        let begin = Instant::now();
        let prompted = self.say(SessionCommand::Prompt("go".to_owned()))?;
        let task = prompted.ok_or("a prompt was taken for a command")?;
        self.root.wait([task]).await.map_err(|error| error.to_string())?;
        if begin.elapsed() > DEADLINE + Duration::from_secs(1) {
            return Err(format!("a prompt took {:?}", begin.elapsed()));
        }
        let finished = self.root.outcome(task).map_err(|error| error.to_string())?;
        self.drain();
        Ok(finished)
    }

    /// Takes what has ended: prompts, and turns that nobody has asked for.
    fn drain(&mut self) {
        self.ended.extend(self.root.inbox().drain());
    }
}

/// Plays a sequence.
pub(crate) async fn play_session(
    agents: &Agents,
    sequence: &[Behaviour],
) -> Result<Played, String> {
    // Each behaviour costs a prompt at most, and there are two more.
    let most = (sequence.len() + 2) * most_requests(sequence.len());
    let behaviour = |place: usize| sequence.get(place).copied().unwrap_or(Behaviour::Ends);
    let turns = (0..most).map(|place| behaviour(place).turn(place));
    let model = Recorded::new(TurnsModel::new(turns).with_context_window(WINDOW));
    let registry = Registry::new();
    let root = registry.root_scope();
    let mut talk = Talk { agents, root: &root, model: &model, ended: Vec::new() };
    for _ in sequence {
        if model.requests().len() < sequence.len() {
            talk.prompt().await?;
        }
        pause(u64::try_from(CHILD.as_millis()).unwrap() + 1).await;
    }
    // What a turn was given that failed comes with the next one.
    talk.prompt().await?;
    pause(u64::try_from(CHILD.as_millis()).unwrap() + 60_000).await;
    let last = talk.prompt().await?;
    if last.outcome.output().is_none_or(|output| output.text != "done")
        || !last.outcome.is_success()
    {
        return Err(format!("the last prompt: {:?}", last.outcome));
    }
    talk.say(SessionCommand::Cancel("over".to_owned()))?;
    settle().await;
    talk.drain();
    let requests = model.requests();
    requests_are_sound(&requests, most)?;
    everything_is_booked(&talk.ended, &requests, behaviour)?;
    let stats = registry.admin().stats();
    if (stats.live, stats.undelivered) != (0, 0) {
        return Err(format!("left: {stats:?}"));
    }
    Ok(Played {
        requests: requests.len(),
        summaries: requests.iter().filter(|request| is_summary(request)).count(),
        is_used_up: requests.len() >= sequence.len(),
    })
}

fn requests_are_sound(requests: &[ModelRequest], most: usize) -> Result<(), String> {
    if requests.len() >= most {
        return Err(format!("{} requests, and {most} are too many", requests.len()));
    }
    let wrong = requests.iter().position(|request| tokens(request) > WINDOW);
    wrong.map_or(Ok(()), |place| Err(format!("request {place}: {:?}", requests[place])))
}

/// The outcomes together have cost what the replies have, and the children that were started.
fn everything_is_booked(
    ended: &[Arc<Finished>],
    requests: &[ModelRequest],
    behaviour: impl Fn(usize) -> Behaviour,
) -> Result<(), String> {
    let booked: u64 = ended.iter().map(|finished| spent(&finished.outcome)).sum();
    let replied = (0..requests.len()).map(&behaviour).filter(|one| one.replies());
    let spent_on_replies: u64 = replied.map(Behaviour::cost).sum();
    let children = booked / CHILD_COST;
    let calls = (0..requests.len()).filter(|place| {
        behaviour(*place) == Behaviour::Calls
            && requests[*place].may_call
            && !is_summary(&requests[*place])
    });
    let started = calls.count() as u64;
    if booked % CHILD_COST != spent_on_replies || children != started {
        return Err(format!(
            "booked {:x} and {children} children, of {spent_on_replies:x} and {started}",
            booked % CHILD_COST
        ));
    }
    Ok(())
}

fn spent(outcome: &Outcome) -> u64 {
    let output = match outcome {
        Outcome::Cancelled(stop) => stop.error.as_ref().and_then(|error| error.partial.as_deref()),
        outcome => outcome.output(),
    };
    output.map_or(0, |output| output.usage().output_tokens)
}
