//! One task in the table. What few tasks use lies in a box that is made on first use.

use std::num::NonZeroU64;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::Stamp;
use super::interest::Interest;
use crate::effects::{GraceTimer, Start};
use crate::id::{Kind, TaskId};
use crate::log::OutputLog;
use crate::mailbox::Mailbox;
use crate::outcome::{Finished, Reason};
use crate::status::{Phase, Status};
use crate::sync::Arc;
use crate::view::View;
use crate::watch::WatchCell;
use crate::words::Text;

pub(super) struct Record {
    pub(super) number: NonZeroU64,
    /// The task that spawned it, 0 for the root's own scope.
    pub(super) owner: u64,
    /// Its neighbours among the members of its scope; 0 for none.
    pub(super) next: u64,
    pub(super) prev: u64,
    pub(super) spawned: Stamp,
    pub(super) state: State,
}

pub(super) enum State {
    Live(Live),
    Ended(Ended),
}

/// What a task is while it lives.
pub(crate) struct Live {
    /// Its number tells the first of those who wait for the end.
    pub(super) text: Text,
    pub(super) abort: Option<JoinHandle<()>>,
    pub(super) more: Option<Box<More>>,
    pub(super) stop: Option<Arc<Reason>>,
    // These three fill sixteen bytes.
    pub(super) kind: Kind,
    pub(super) marks: Marks,
    pub(super) step: u32,
}

/// What is true of a live task, and its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks(u8);

impl Marks {
    /// It has begun to run.
    pub(super) const STARTED: u8 = 1;
    /// The grace is over.
    pub(super) const FORCED: u8 = 1 << 1;
    /// The abort handle was used.
    pub(super) const ABORTED: u8 = 1 << 2;
    const SLOT_SHIFT: u32 = 3;
    const SLOTS: [Slot; 5] = [Slot::Free, Slot::Elsewhere, Slot::Queued, Slot::Held, Slot::Lent];

    pub(super) fn new(slot: Slot) -> Self {
        Self((slot as u8) << Self::SLOT_SHIFT)
    }

    pub(super) fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u8) {
        self.0 |= mark;
    }

    pub(super) fn slot(self) -> Slot {
        Self::SLOTS[usize::from(self.0 >> Self::SLOT_SHIFT)]
    }

    pub(super) fn set_slot(&mut self, slot: Slot) {
        let marks = self.0 & ((1 << Self::SLOT_SHIFT) - 1);
        self.0 = marks | Self::new(slot).0;
    }
}

/// Whether a task counts among those that run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// It is not counted: there is no limit, or it is a foreground task.
    Free,
    /// It is not counted: the work is done elsewhere, by the holder of a completer.
    Elsewhere,
    /// It waits for a slot.
    Queued,
    Held,
    /// It waits for its children, and somebody else may run meanwhile.
    Lent,
}

impl Slot {
    /// Whether a new task with this slot runs at once.
    pub(super) fn runs(self) -> bool {
        !matches!(self, Self::Elsewhere | Self::Queued)
    }
}

/// What few tasks use.
#[derive(Default)]
pub(crate) struct More {
    /// Somebody has to be told of the end.
    pub(super) interest: Option<Interest>,
    /// `None` is the default grace.
    pub(super) grace: Option<Duration>,
    pub(super) foreground: bool,
    /// Nobody will ask for the outcome of this foreground task.
    pub(super) discard: bool,
    pub(super) phase: Phase,
    pub(super) trace: Vec<String>,
    pub(super) trace_dropped: u64,
    pub(super) log: Option<OutputLog>,
    pub(super) token: Option<CancellationToken>,
    /// What waits for the end of the grace; shared by all that were stopped together.
    pub(super) timer: Option<Arc<GraceTimer>>,
    pub(super) deadline: Option<Arc<GraceTimer>>,
    /// What work that is done elsewhere is aborted with.
    pub(super) bound: Vec<AbortHandle>,
    /// Those that began while there was another one, in the order in which they began.
    pub(super) waits: SmallVec<[u64; 2]>,
    /// How many waits it is lending its slot for.
    pub(super) lent: u32,
    /// What starts it once it has a slot.
    pub(super) start: Option<Box<dyn Start>>,
    pub(super) watch: Option<Arc<WatchCell>>,
    pub(super) view: Option<Arc<dyn View>>,
    pub(super) mailbox: Option<Mailbox>,
}

pub(super) struct Ended {
    pub(super) finished: Arc<Finished>,
    /// How many tasks of the root had ended before it.
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    pub(super) foreground: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Ready,
    Held,
    Acked,
}

impl Record {
    pub(super) fn id(&self) -> TaskId {
        match &self.state {
            State::Live(live) => TaskId::from_parts(live.kind, self.number),
            State::Ended(ended) => ended.finished.id,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number.get()
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live) => Some(live),
            State::Ended(_) => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.state {
            State::Live(live) => Some(live),
            State::Ended(_) => None,
        }
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.state {
            State::Live(_) => None,
            State::Ended(ended) => Some(ended),
        }
    }

    pub(super) fn ended_mut(&mut self) -> Option<&mut Ended> {
        match &mut self.state {
            State::Live(_) => None,
            State::Ended(ended) => Some(ended),
        }
    }

    pub(super) fn is_foreground(&self) -> bool {
        match &self.state {
            State::Live(live) => live.is_foreground(),
            State::Ended(ended) => ended.foreground,
        }
    }

    /// Returns whether its scope lists it: it lives or was not acknowledged (I3).
    pub(super) fn is_member(&self) -> bool {
        self.ended().is_none_or(|ended| ended.delivery != Delivery::Acked)
    }

    pub(super) fn status(&self) -> Status {
        match &self.state {
            State::Live(live) => live.status(),
            State::Ended(ended) => ended.finished.status(),
        }
    }

    /// Takes what must be dropped outside the lock (I8).
    pub(super) fn into_foreign(self) -> Foreign {
        match self.state {
            State::Live(live) => Foreign::Live(Box::new(live)),
            State::Ended(ended) => Foreign::Finished(ended.finished),
        }
    }
}

impl Live {
    pub(super) fn status(&self) -> Status {
        if self.marks.has(Marks::STARTED) {
            Status::Running { step: self.step }
        } else {
            Status::Pending
        }
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(super) fn is_foreground(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.foreground)
    }

    pub(super) fn has_token(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.token.is_some())
    }
}

/// What is dropped outside the lock, since its destructor may be foreign code.
#[expect(dead_code, reason = "held to be dropped")]
pub(crate) enum Foreign {
    Live(Box<Live>),
    More(Box<More>),
    Finished(Arc<Finished>),
    /// It may be the last thing that holds a runtime, with hooks of the host's.
    Handle(JoinHandle<()>),
    Start(Box<dyn Start>),
    View(Arc<dyn View>),
    Timer(Arc<GraceTimer>),
    Parent(crate::parent::ParentWatch),
    /// With what a wait has seen, if nobody waits any more.
    Wait(Arc<crate::wait_cell::WaitCell>),
}
