//! What a sequence comes to, worked out without the runner.
//!
//! It is told which requests asked for a summary, because that depends on sizes, and refuses those
//! that may not stand where they stand. Everything else follows from the sequence: how the run ends
//! and with what text, what it cost, how many steps and how much time it took.

use std::iter::Peekable;
use std::time::Duration;

use super::behaviour::{Behaviour, CHILD_COST, RAMBLING, RETRY_AFTER};

/// Model turns with tools that a run may have.
pub(crate) const STEP_CAP: u32 = 4;

/// How long the background work takes that a call starts.
pub(crate) const CHILD: Duration = Duration::from_secs(3);

/// When a run is stopped. No run without a model that hangs comes near it: see [`most_requests`].
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

const ATTEMPTS: u32 = 4;
const SUMMARIES: u32 = 3;

/// Bounds the requests of a run, for a sequence of this length.
///
/// Each request takes one behaviour, so `length` of them are of the sequence and all others meet a
/// model that answers plainly. Of those a step has two at most, a summary that is taken and an answer:
/// neither is repeated. Steps are `STEP_CAP + 1`, and past the cap one more for each time that
/// background work is told; each call starts one piece of work, and calls are made up to the cap.
///
/// Time is bounded with it: a request takes 11 s or is repeated after 7 s, and there are at most
/// `STEP_CAP` waits of 3 s for background work; tools answer at once.
pub(crate) fn most_requests(length: usize) -> usize {
    let steps = 2 * STEP_CAP + 1;
    length + 2 * steps as usize
}

/// A request, as it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) is_summary: bool,
    /// How many outcomes of background work its last text tells.
    pub(crate) told: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed(String),
    Cancelled,
    Panicked,
}

/// What a run comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) end: End,
    pub(crate) requests: usize,
    pub(crate) steps: u32,
    pub(crate) time: Duration,
    /// What it has reached and spent; of a run that panicked nobody knows.
    pub(crate) left: Option<Left>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) text: String,
    pub(crate) output_tokens: u64,
    pub(crate) requests: u64,
    pub(crate) tool_calls: u64,
}

/// Tells a text from others without showing all of it.
pub(crate) fn brief(text: &str) -> String {
    format!("{text:.20}, {} bytes", text.len())
}

/// Why a walk is over.
enum Stop {
    End(End),
    /// This must not be.
    Wrong(String),
}

/// What one request comes to, its repetitions included.
#[derive(Clone)]
enum Received {
    Reply(Behaviour),
    TooLarge,
    Busy,
    Broken(&'static str),
}

pub(crate) struct Reference<'a, B: Iterator> {
    behaviours: B,
    asked: Peekable<std::slice::Iter<'a, Asked>>,
    requests: usize,
    steps: u32,
    now: Duration,
    /// When the background work ends that is under way.
    children: Vec<Duration>,
    left: Left,
    /// How many outcomes were told that the model has not answered yet: what they cost is booked then.
    told: usize,
    /// Turns that are in the history.
    turns: usize,
    /// Whether a large turn is, with a later one behind it.
    has_old_ramble: bool,
    has_ramble: bool,
}

impl<'a, B: Iterator<Item = Behaviour>> Reference<'a, B> {
    pub(crate) fn new(behaviours: B, asked: &'a [Asked]) -> Self {
        Self {
            behaviours,
            asked: asked.iter().peekable(),
            requests: 0,
            steps: 0,
            now: Duration::ZERO,
            children: Vec::new(),
            left: Left { text: brief(""), ..Left::default() },
            told: 0,
            turns: 0,
            has_old_ramble: false,
            has_ramble: false,
        }
    }

    /// Goes from request to request until the run has to end.
    pub(crate) fn walk(mut self) -> Result<Expected, String> {
        loop {
            match self.step() {
                Ok(()) => {}
                Err(Stop::Wrong(what)) => return Err(what),
                Err(Stop::End(end)) => return Ok(self.expected(end)),
            }
        }
    }

    fn expected(self, end: End) -> Expected {
        let left = (end != End::Panicked).then_some(self.left);
        let time = if end == End::Cancelled { DEADLINE } else { self.now };
        Expected { end, requests: self.requests, steps: self.steps, time, left }
    }

    fn step(&mut self) -> Result<(), Stop> {
        self.steps += 1;
        if self.a_summary_comes() {
            self.summarize()?;
        }
        let received = match self.ask(false)? {
            Received::TooLarge => self.ask_after_overflow()?,
            received => received,
        };
        match received {
            Received::Reply(reply) => self.take(reply),
            Received::TooLarge => failed("the model failed: too long"),
            Received::Busy => failed("the model failed 4 times: busy: HTTP 429"),
            Received::Broken(cause) => failed(cause),
        }
    }

    /// What is too large is asked again if it could be made smaller, which it can be if something
    /// large is old, and cannot be if nothing but the prompt is there.
    fn ask_after_overflow(&mut self) -> Result<Received, Stop> {
        match (self.a_summary_comes(), self.turns) {
            (false, _) if self.has_old_ramble => {
                wrong("an overflow, and nothing was done about it")
            }
            (false, _) => Ok(Received::TooLarge),
            (true, 0 | 1) => wrong("a summary of nothing"),
            (true, _) => {
                self.summarize()?;
                self.ask(false)
            }
        }
    }

    /// Three requests at most, and then the work goes on whatever they came to. The third one is not
    /// made if the second had next to nothing to read any more. If the model is too busy the old
    /// conversation may stand.
    fn summarize(&mut self) -> Result<(), Stop> {
        for request in 1..=SUMMARIES {
            if request == SUMMARIES && !self.a_summary_comes() {
                break;
            }
            match self.ask(true)? {
                Received::Reply(Behaviour::Answers | Behaviour::Ends) | Received::Broken(_) => {
                    break;
                }
                Received::Reply(_) | Received::TooLarge => {}
                Received::Busy => {
                    self.has_old_ramble = false;
                    return Ok(());
                }
            }
        }
        (self.has_old_ramble, self.turns) = (false, 1);
        Ok(())
    }

    fn a_summary_comes(&mut self) -> bool {
        self.asked.peek().is_some_and(|asked| asked.is_summary)
    }

    fn ask(&mut self, is_summary: bool) -> Result<Received, Stop> {
        for attempt in 1..=ATTEMPTS {
            let behaviour = self.next(is_summary)?;
            match behaviour {
                Behaviour::Busy if attempt < ATTEMPTS => self.now += RETRY_AFTER,
                Behaviour::Busy => {}
                Behaviour::Hangs => return Err(Stop::End(End::Cancelled)),
                Behaviour::Panics => return Err(Stop::End(End::Panicked)),
                Behaviour::Overflows => return Ok(Received::TooLarge),
                Behaviour::Breaks => return Ok(Received::Broken(self.cause())),
                reply => return Ok(self.receive(reply)),
            }
        }
        Ok(Received::Busy)
    }

    /// Whether the last request had an odd place in the sequence; the first one has place 0.
    fn is_odd(&self) -> bool {
        self.requests.is_multiple_of(2)
    }

    fn cause(&self) -> &'static str {
        if self.is_odd() { "the model failed: no" } else { "the model failed: wrong key: HTTP 401" }
    }

    fn receive(&mut self, reply: Behaviour) -> Received {
        self.left.requests += 1;
        self.left.output_tokens += reply.cost();
        if reply == Behaviour::Rambles {
            self.now += RAMBLING;
        }
        Received::Reply(reply)
    }

    /// Takes the next request, which has to be of this kind.
    fn next(&mut self, is_summary: bool) -> Result<Behaviour, Stop> {
        let (Some(asked), Some(behaviour)) = (self.asked.next(), self.behaviours.next()) else {
            return wrong("the run ended before its end");
        };
        self.requests += 1;
        if asked.is_summary != is_summary {
            return wrong("a summary and work are asked for in the wrong order");
        }
        Ok(behaviour)
    }

    /// Takes a turn of the model. Past the cap its calls are left out.
    fn take(&mut self, reply: Behaviour) -> Result<(), Stop> {
        self.left.output_tokens += CHILD_COST * std::mem::take(&mut self.told) as u64;
        if let Some(text) = reply.says() {
            self.left.text = brief(&text);
        }
        if reply.calls().is_empty() || self.steps > STEP_CAP {
            return self.answer(reply);
        }
        self.left.tool_calls += reply.calls().len() as u64;
        if reply == Behaviour::Calls {
            self.children.push(self.now + CHILD);
        }
        self.enter(reply);
        Ok(())
    }

    /// An answer is the end, unless background work is to be told first.
    fn answer(&mut self, reply: Behaviour) -> Result<(), Stop> {
        let Some(first) = self.children.iter().min() else { return Err(Stop::End(End::Completed)) };
        self.now = self.now.max(*first);
        let before = self.children.len();
        self.children.retain(|end| *end > self.now);
        let ended = before - self.children.len();
        self.told += ended;
        if reply.leaves_a_message(self.is_odd()) {
            self.enter(reply);
        }
        let next = self.asked.clone().find(|asked| !asked.is_summary);
        match next {
            Some(next) if next.told != ended => {
                wrong(&format!("{ended} outcomes to tell, and {} told", next.told))
            }
            _ => Ok(()),
        }
    }

    /// Notes a turn that the history has a message of.
    fn enter(&mut self, reply: Behaviour) {
        self.turns += 1;
        self.has_old_ramble |= self.has_ramble;
        self.has_ramble = reply == Behaviour::Rambles;
    }
}

fn failed(chain: &str) -> Result<(), Stop> {
    Err(Stop::End(End::Failed(chain.to_owned())))
}

fn wrong<T>(what: &str) -> Result<T, Stop> {
    Err(Stop::Wrong(what.to_owned()))
}
