//! The real registry beside the reference, and every handle that the operations work with.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bg_core::{
    Claim, ClaimError, Completer, Event, Events, Finished, Next, Registry, Scope, TaskContext,
    TaskError, TaskId, Wait,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use super::Op;
use super::reference::{End, How, Ix, Reference, Refused, ScopeIx, Why};
use super::told::{Ring, Told};

mod deliver;
mod end;
mod hear;
mod look;
mod pick;
mod tasks;
mod waits;

/// How a registry and its model are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// How many acknowledged outcomes a root keeps.
    pub(crate) kept: usize,
    /// How many events are kept. From [`Setup::HEARD`] on every event is compared, and what ends
    /// at once may end in any order; below that only their numbers and gaps are, and an operation
    /// that would end several tasks at once is left out.
    pub(crate) events: usize,
    /// Whether there is a runtime, so that a stopped task that listens has its grace.
    pub(crate) timers: bool,
}

impl Setup {
    const HEARD: usize = 4096;

    /// One of the setups that are worth a test.
    pub(crate) fn of(choice: u64) -> Self {
        let pick = |from: [usize; 4], by: u64| from[usize::try_from(by % 4).unwrap()];
        Self {
            kept: pick([0, 1, 5, 64], choice),
            events: pick([Self::HEARD, Self::HEARD, 1, 16], choice / 4),
            timers: (choice / 16).is_multiple_of(2),
        }
    }
}

const GRACE: Duration = Duration::from_secs(5);
const MOST_ROOTS: usize = 8;
const MOST_TASKS: usize = 600;
const MOST_CLAIMS: usize = 12;
const MOST_LISTENERS: usize = 4;
const MOST_WAITS: usize = 8;
const MOST_SUBSCRIBERS: usize = 3;
const MOST_TRACES: usize = Finished::MAX_TRACE_LINES;

/// How many operations there are between two full comparisons.
const FULL_EVERY: usize = 64;

pub(crate) struct World {
    registry: Option<Registry>,
    roots: Vec<Option<Scope>>,
    tasks: Vec<Handles>,
    claims: Vec<HeldClaim>,
    listeners: Vec<Listener>,
    waits: [Option<Waiting>; MOST_WAITS],
    subscribers: Vec<Subscriber>,
    /// Hears every event, where the setup says so.
    recorder: Option<Events>,
    /// What it heard so far; the index is the event's number.
    heard: Vec<(usize, u64, Told)>,
    ring: Ring,
    /// What a drain may have taken and given back in the operation under way.
    passed_over: Vec<Ix>,
    reference: Reference,
    applied: usize,
    runtime: Option<Runtime>,
}

struct Handles {
    id: TaskId,
    context: TaskContext,
    completer: Option<Completer>,
    token: Option<CancellationToken>,
}

struct HeldClaim {
    claim: Claim,
    ix: Ix,
    scope: ScopeIx,
}

struct Listener {
    next: Next,
    woken: Arc<Flag>,
    scope: ScopeIx,
}

struct Waiting {
    wait: Wait,
    woken: Arc<Flag>,
    scope: ScopeIx,
}

struct Subscriber {
    events: Events,
    at: u64,
    woken: Arc<Flag>,
    waits: bool,
}

/// A waker that remembers that it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls once; the flag tells from here on whether it was woken.
fn poll<F: Future + Unpin>(future: &mut F, woken: &Arc<Flag>) -> Poll<F::Output> {
    woken.0.store(false, Ordering::Relaxed);
    let waker = Waker::from(woken.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

fn poll_event(events: &mut Events, waker: &Waker) -> Poll<Option<Result<Event, u64>>> {
    let next = pin!(events.next());
    let polled = next.poll(&mut Context::from_waker(waker));
    polled.map(|read| read.map(|read| read.map_err(|lagged| lagged.0)))
}

#[track_caller]
fn check_refused(refused: Refused, error: &TaskError) {
    match refused {
        Refused::NotFound => assert!(matches!(error, TaskError::NotFound(_)), "{error:?}"),
        Refused::Forbidden => assert!(matches!(error, TaskError::Forbidden(_)), "{error:?}"),
    }
}

#[track_caller]
fn check_claim_refused(refused: Refused, error: &ClaimError) {
    match error {
        ClaimError::Task(error) => check_refused(refused, error),
        other => panic!("{refused:?} expected, got {other:?}"),
    }
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let builder = Registry::builder().finished_kept(setup.kept).events_kept(setup.events);
        let registry = builder.build();
        let paused = || Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = setup.timers.then(|| paused().unwrap());
        let mut ring = Ring::new(setup.events);
        let recorder = (setup.events >= Setup::HEARD).then(|| registry.events());
        if recorder.is_some() {
            ring.subscribe();
        }
        let reference = Reference::new(setup.kept, setup.timers);
        let mut world = Self {
            registry: Some(registry),
            roots: Vec::new(),
            tasks: Vec::new(),
            claims: Vec::new(),
            listeners: Vec::new(),
            waits: Default::default(),
            subscribers: Vec::new(),
            recorder,
            heard: Vec::new(),
            ring,
            passed_over: Vec::new(),
            reference,
            applied: 0,
            runtime,
        };
        world.open_root();
        world.open_root();
        world
    }

    /// Does one thing on both sides and compares what can be seen of it.
    pub(crate) fn apply(&mut self, op: Op) {
        let handle = self.runtime.as_ref().map(|runtime| runtime.handle().clone());
        let _entered = handle.as_ref().map(Handle::enter);
        self.run(op);
        self.agree_on_events();
        self.check_wakes();
        self.applied += 1;
        if self.applied.is_multiple_of(FULL_EVERY) {
            self.compare();
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::OpenRoot => self.open_root(),
            Op::DropRoot { root } => self.drop_root(usize::from(root)),
            Op::Register { scope, kind } => self.register(scope, kind),
            Op::RegisterUnknownKind { scope } => self.register_unknown(scope),
            Op::Complete { task } => self.complete(task, End::Ok(self.applied as u64)),
            Op::Fail { task } => self.complete(task, End::Err),
            Op::DropCompleter { task } => self.complete(task, End::Drop),
            Op::Cancel { scope, task } => self.cancel(scope, task),
            Op::CancelAll { scope } => self.cancel_all(scope),
            Op::Tick => self.tick(),
            Op::Take { scope } => self.take(scope),
            Op::Drain { scope, count } => self.drain(scope, usize::from(count)),
            Op::Claim { scope, task } => self.claim(scope, task),
            Op::Ack { claim } => self.end_claim(claim, true),
            Op::GiveBack { claim } => self.end_claim(claim, false),
            Op::Listen { scope } => self.listen(scope),
            Op::PollListener { listener } => self.poll_listener(usize::from(listener)),
            Op::DropListener { listener } => self.drop_listener(usize::from(listener)),
            Op::Wait { mode, scope, task } => self.wait(mode, scope, task),
            Op::PollWait { wait } => self.poll_wait(usize::from(wait) % MOST_WAITS),
            Op::DropWait { wait } => self.drop_wait(usize::from(wait) % MOST_WAITS),
            Op::Subscribe => self.subscribe(),
            Op::Read { subscriber } => self.read(usize::from(subscriber)),
            Op::Unsubscribe { subscriber } => self.unsubscribe(usize::from(subscriber)),
            report => self.report_or_look(report),
        }
    }

    fn report_or_look(&mut self, op: Op) {
        match op {
            Op::Step { task, step } => self.step(task, u32::from(step)),
            Op::Trace { task } => self.trace(task, 1),
            Op::TraceMany { task } => self.trace(task, MOST_TRACES + 20),
            Op::Write { task, bytes } => self.write(task, usize::from(bytes)),
            Op::Token { task } => self.token(task),
            Op::List { scope } => self.list(scope),
            Op::Inspect { scope, task } => self.inspect(scope, task),
            Op::Outcome { scope, task } => self.outcome(scope, task),
            Op::Log { scope, task } => self.log(scope, task),
            Op::Resolve { form, scope, task } => self.resolve(form, scope, task),
            other => panic!("{other:?} is not run"),
        }
    }
}

impl How {
    /// The words for it.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Completed(_) => None,
            Self::Failed => Some("failed"),
            Self::Cancelled { why: Why::Requested(words), .. } => Some(words),
            Self::Cancelled { why: Why::OwnerEnded, .. } => Some("the task that owns it ended"),
            Self::Cancelled { why: Why::CompleterDropped, .. } => Some("its completer was dropped"),
        }
    }
}
