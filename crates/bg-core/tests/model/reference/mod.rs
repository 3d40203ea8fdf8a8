//! What the registry should do, said as plainly as possible.
//!
//! Nothing here knows of locks, wakers or effects, and nothing is ever removed: a task is a line in
//! a table, and marks say what became of it. Where several tasks end at once, the order among them
//! is not specified: the reference follows the order that was observed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bg_core::{Kind, Outcome, Reason, Status, WaitFor};

use super::cover::{Branch, Coverage};
use super::told::Told;

mod deliver;
mod ends;

/// The index of a task in the order of registration over all roots.
pub(crate) type Ix = usize;

/// A root by its index, and the owner: a task, or none for the root's own scope.
pub(crate) type ScopeIx = (usize, Option<Ix>);

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) tasks: Vec<RefTask>,
    pub(crate) roots: Vec<RefRoot>,
    ready: BTreeMap<ScopeIx, BTreeMap<u64, Ix>>,
    waits: Vec<Option<RefWait>>,
    /// How many acknowledged outcomes of a root are kept.
    kept: usize,
    /// Whether a stopped task that listens has its grace: timers can run.
    timers: bool,
    /// What the operation under way has told so far.
    pub(crate) told: Vec<(Ix, Told)>,
    /// The order in which tasks were seen to end in the operation under way.
    pub(crate) order: Vec<Ix>,
    pub(crate) cover: Coverage,
}

#[derive(Default)]
pub(crate) struct RefRoot {
    pub(crate) numbers: Vec<Ix>,
    completions: u64,
    retained: VecDeque<Ix>,
    /// Clones of the root's own scope, those inside claims, waits and listeners included.
    pub(crate) handles: usize,
    live: usize,
    pub(crate) gone: bool,
}

pub(crate) struct RefTask {
    pub(crate) root: usize,
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) owner: Option<Ix>,
    pub(crate) step: Option<u32>,
    pub(crate) traces: usize,
    /// Bytes written to its log, if it has one.
    pub(crate) log: Option<u64>,
    pub(crate) listens: bool,
    pub(crate) stop: Option<Why>,
    pub(crate) ended: Option<Ended>,
    pub(crate) evicted: bool,
    has_children: bool,
}

pub(crate) struct Ended {
    seq: u64,
    pub(crate) how: How,
    pub(crate) place: Place,
    pub(crate) unclaimed: Vec<(Ix, Status)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Ready,
    Held,
    Acked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Requested(&'static str),
    OwnerEnded,
    CompleterDropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With this number in its output.
    Completed(u64),
    Failed,
    Cancelled {
        why: Why,
        error: bool,
    },
}

/// What the holder of a completer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok(u64),
    Err,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NotFound,
    Forbidden,
}

#[derive(Debug)]
pub(crate) struct RefWait {
    tasks: BTreeSet<Ix>,
    mode: WaitFor,
    /// In the order of their ending.
    ended: Vec<Ix>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saw {
    pub(crate) ended: Vec<Ix>,
    pub(crate) pending: Vec<Ix>,
}

/// What a stop of one task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Requested,
    AlreadyRequested,
    AlreadyEnded(Status),
}

impl Why {
    pub(crate) fn matches(self, reason: &Reason) -> bool {
        match self {
            Self::Requested(words) => {
                matches!(reason, Reason::Requested(said) if **said == *words)
            }
            Self::OwnerEnded => *reason == Reason::OwnerEnded,
            Self::CompleterDropped => *reason == Reason::CompleterDropped,
        }
    }
}

impl How {
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Completed(_) => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    pub(crate) fn matches(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Completed(mark), Outcome::Completed(output)) => output.usage().requests == mark,
            (Self::Failed, Outcome::Failed(failure)) => failure.message == "failed",
            (Self::Cancelled { why, error }, Outcome::Cancelled(cancellation)) => {
                why.matches(&cancellation.reason) && cancellation.error.is_some() == error
            }
            _ => false,
        }
    }
}

impl RefTask {
    pub(crate) fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    pub(crate) fn status(&self) -> Status {
        match (&self.ended, self.step) {
            (Some(ended), _) => ended.how.status(),
            (None, Some(step)) => Status::Running { step },
            (None, None) => Status::Pending,
        }
    }

    pub(crate) fn scope(&self) -> ScopeIx {
        (self.root, self.owner)
    }
}

impl Reference {
    pub(crate) fn new(kept: usize, timers: bool) -> Self {
        Self { kept, timers, ..Self::default() }
    }

    fn tell(&mut self, task: Ix, told: Told) {
        self.told.push((task, told));
    }

    pub(crate) fn open_root(&mut self) {
        self.roots.push(RefRoot { handles: 1, ..RefRoot::default() });
    }

    /// Returns whether a scope takes outcomes: somebody can still ask for them.
    pub(crate) fn takes(&self, (root, owner): ScopeIx) -> bool {
        owner.map_or(self.roots[root].handles > 0, |owner| self.tasks[owner].is_live())
    }

    /// Registers a task; `None` when the scope is closed.
    pub(crate) fn register(&mut self, scope: ScopeIx, kind: Kind) -> Option<Ix> {
        let stopped = scope.1.is_some_and(|owner| self.tasks[owner].stop.is_some());
        if !self.takes(scope) || stopped {
            return None;
        }
        let (ix, root) = (self.tasks.len(), &mut self.roots[scope.0]);
        root.numbers.push(ix);
        root.live += 1;
        let number = root.numbers.len() as u64;
        self.tasks.push(RefTask {
            root: scope.0,
            number,
            kind,
            owner: scope.1,
            step: None,
            traces: 0,
            log: None,
            listens: false,
            stop: None,
            ended: None,
            evicted: false,
            has_children: false,
        });
        scope.1.into_iter().for_each(|owner| self.tasks[owner].has_children = true);
        self.tell(ix, Told::Spawned);
        Some(ix)
    }

    /// Finds a task by its number, and by its kind if that is known.
    pub(crate) fn find(
        &self,
        (root, owner): ScopeIx,
        number: u64,
        kind: Option<Kind>,
    ) -> Result<Ix, Refused> {
        let root = &self.roots[root];
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let ix = *root.numbers.get(index).ok_or(Refused::NotFound)?;
        let task = &self.tasks[ix];
        if root.gone || task.evicted || kind.is_some_and(|kind| kind != task.kind) {
            return Err(Refused::NotFound);
        }
        if task.owner == owner { Ok(ix) } else { Err(Refused::Forbidden) }
    }

    pub(crate) fn step(&mut self, ix: Ix, step: u32) {
        let task = &mut self.tasks[ix];
        self.cover.hit_if(!task.is_live(), Branch::ReportedAfterEnd);
        if task.is_live() && task.step != Some(step) {
            task.step = Some(step);
            self.tell(ix, Told::Running(step));
        }
    }

    pub(crate) fn trace(&mut self, ix: Ix) {
        if self.tasks[ix].is_live() {
            self.tasks[ix].traces += 1;
            self.tell(ix, Told::Trace);
        }
    }
}
