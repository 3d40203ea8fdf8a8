//! The thin locked shell around the machine.
//!
//! # Invariants
//!
//! 1. The machine is changed under its lock only, and the effects of a change run after the lock
//!    is released: nothing of a user's (closure, waker, destructor) runs under it (R4).
//! 2. Handles hold the shell. Dropping the registry takes everything out of it, so a handle that is
//!    left over keeps no task alive; what the table itself holds (logs, parents, timers) refers to
//!    the shell weakly.
//! 3. What comes from a spawn and from a task's future does not wait for the lock: the handle of a
//!    future and its end are left beside it, in `handles` and `ends`. Whoever takes the lock applies
//!    what is there first, so nobody sees a state without it. While somebody would not look by
//!    himself (`eager`), whoever leaves something takes the lock to apply it; when it is held,
//!    whoever holds it looks again after the release. So nobody waits in vain: either who leaves
//!    something sees that somebody waits, or who begins to wait sees what was left.
//! 4. Chores (starts, pieces of a sweep) are run by one thread at a time, one after the other: a
//!    chore that leads to another one adds to the list, and the stack does not grow.
//!
//! # Lock order
//!
//! `machine`, then `handles`, `ends` or the state of a watch or a mailbox: leaves. `chores` and
//! `runtime` are leaves of their own, not held together with any other.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::effects::{Chores, Effects, GraceTimer, Start, shielded};
use crate::machine::{Key, Machine, Policy, Stamp};
use crate::outcome::Finished;
use crate::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, SPINS, Weak, fence};

/// One thread spawns, others end what it has spawned: what the one writes, what the others write
/// and what all of them read lie in cache lines of their own.
#[repr(C)]
pub(crate) struct Shared {
    handles: Posts<Attached>,
    ends: Posts<Ended>,
    machine: Mutex<Box<Machine>>,
    read: Read,
    chores: Mutex<ChoreList>,
    /// Where timers run when a call comes from outside a runtime: the runtime seen last.
    runtime: Mutex<Option<Handle>>,
}

/// What every call reads and hardly any changes.
#[repr(align(64))]
struct Read {
    /// Somebody waits for what is posted: see [`Machine::is_eager`].
    eager: AtomicBool,
    /// The registry was dropped.
    closed: AtomicBool,
    /// What stamps count from.
    epoch: Instant,
}

/// The handle that aborts a task's future. That of tokio's which joins: making another one and
/// dropping this one costs more than keeping it.
type Attached = (Key, JoinHandle<()>);

/// A task's end, and when it was.
type Ended = (Key, Arc<Finished>, Stamp);

/// What is told without waiting for the lock of the machine.
#[repr(align(64))]
struct Posts<T> {
    list: Mutex<Vec<T>>,
    /// There is something in the list. Changed with the list locked, so that it says what is in it.
    any: AtomicBool,
}

/// Empty lists, kept for their memory: what was posted is swapped for them.
#[derive(Default)]
pub(crate) struct Spare {
    handles: Vec<Attached>,
    ends: Vec<Ended>,
}

#[derive(Default)]
struct ChoreList {
    start: VecDeque<(Key, Box<dyn Start>)>,
    sweep: bool,
    /// Somebody runs them.
    active: bool,
}

enum Chore {
    Start(Key, Box<dyn Start>),
    Sweep,
}

/// Pieces of a sweep that the caller runs before the rest goes to the runtime.
const PIECES_IN_CALL: usize = 16;

impl Shared {
    pub(crate) fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self {
            machine: Mutex::new(Box::new(Machine::new(policy))),
            handles: Posts::new(),
            ends: Posts::new(),
            read: Read {
                eager: AtomicBool::new(false),
                closed: AtomicBool::new(false),
                epoch: Instant::now(),
            },
            chores: Mutex::new(ChoreList::default()),
            runtime: Mutex::new(None),
        })
    }

    /// Changes the machine under the lock, then runs what the change leads to.
    pub(crate) fn with<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> R {
        let mut fx = Effects::default();
        let mut machine = self.lock();
        self.apply_posts(&mut machine, &mut fx);
        let result = change(&mut machine, &mut fx);
        let eager = self.be_eager(&machine);
        drop(machine);
        self.settle(&mut fx, eager);
        result
    }

    /// Takes the lock. It is held for less than a microsecond at a time, so a thread that finds it
    /// taken spins for about as long before it lets the system put it to sleep.
    fn lock(&self) -> MutexGuard<'_, Box<Machine>> {
        for _ in 0..SPINS {
            if let Some(machine) = self.machine.try_lock() {
                return machine;
            }
            std::hint::spin_loop();
        }
        self.machine.lock()
    }

    /// Changes the machine unless the registry was dropped.
    pub(crate) fn call<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Machine, &mut Effects) -> R,
    ) -> Option<R> {
        // Taken only when it is called: what it holds may not be dropped under the lock.
        let mut change = Some(change);
        self.with(|machine, fx| {
            let change = if machine.is_closed() { None } else { change.take() };
            change.map(|change| change(machine, fx))
        })
    }

    /// Lets those who post know whether somebody waits for it, and returns it.
    fn be_eager(&self, machine: &Machine) -> bool {
        let eager = machine.is_eager();
        if self.read.eager.load(Ordering::Relaxed) != eager {
            self.read.eager.store(eager, Ordering::Release);
        }
        eager
    }

    /// The same for a change that asks what time it is. The clock is read before the lock.
    pub(crate) fn call_at<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Machine, Stamp, &mut Effects) -> R,
    ) -> Option<R> {
        let now = self.now();
        self.call(|machine, fx| change(machine, now, fx))
    }

    pub(crate) fn now(&self) -> Stamp {
        Stamp::new(self.read.epoch, Instant::now())
    }

    /// Whether the registry was dropped, without the lock.
    pub(crate) fn is_closed(&self) -> bool {
        self.read.closed.load(Ordering::Acquire)
    }

    /// Somebody waits for what is posted.
    fn is_eager(&self) -> bool {
        self.read.eager.load(Ordering::Acquire)
    }

    fn has_posts(&self) -> bool {
        self.handles.any() || self.ends.any()
    }

    /// Whether there may be ends that nobody has applied yet.
    pub(crate) fn has_ends(&self) -> bool {
        self.ends.any()
    }

    /// Leaves the handle of a task's future (I3).
    pub(crate) fn attach(self: &Arc<Self>, key: Key, handle: JoinHandle<()>) {
        self.handles.put((key, handle));
        self.posted();
    }

    /// Applies the end of a task at once if somebody waits for it and nobody holds the lock, and
    /// leaves it otherwise (I3).
    pub(crate) fn post_end(self: &Arc<Self>, key: Key, finished: Arc<Finished>, now: Stamp) {
        let machine = if self.is_eager() { self.machine.try_lock() } else { None };
        let Some(mut machine) = machine else {
            self.ends.put((key, finished, now));
            return self.posted();
        };
        let mut fx = Effects::default();
        self.apply_posts(&mut machine, &mut fx);
        machine.finish(key, finished, now, &mut fx);
        let eager = self.be_eager(&machine);
        drop(machine);
        self.settle(&mut fx, eager);
    }

    fn posted(self: &Arc<Self>) {
        // Either this sees that somebody waits, or the one who begins to wait sees the post.
        fence(Ordering::SeqCst);
        if self.is_eager() {
            self.settle(&mut Effects::default(), true);
        }
    }

    /// Applies what was posted, in the order in which it came.
    #[inline]
    fn apply_posts(&self, machine: &mut Machine, fx: &mut Effects) {
        // Looked at where it is called: mostly there is nothing.
        if self.has_posts() {
            self.take_posts(machine, fx);
        }
    }

    fn take_posts(&self, machine: &mut Machine, fx: &mut Effects) {
        let mut spare = std::mem::take(&mut machine.spare);
        self.handles.swap(&mut spare.handles);
        self.ends.swap(&mut spare.ends);
        for (key, handle) in spare.handles.drain(..) {
            machine.attach(key, handle, fx);
        }
        for (key, finished, now) in spare.ends.drain(..) {
            machine.finish(key, finished, now, fx);
        }
        machine.spare = spare;
    }

    /// Closes the registry, and forgets everything that is in it.
    pub(crate) fn close(self: &Arc<Self>) {
        let now = self.now();
        self.read.closed.store(true, Ordering::Release);
        self.with(|machine, fx| machine.close_registry(now, fx));
        let chores = std::mem::take(&mut self.chores.lock().start);
        for (_, start) in chores {
            shielded(|| drop(start));
        }
        let runtime = self.runtime.lock().take();
        shielded(|| drop(runtime));
    }

    /// After the lock was released: applies what was posted meanwhile if the machine was eager
    /// then, and runs the effects.
    #[inline]
    fn settle(self: &Arc<Self>, fx: &mut Effects, eager: bool) {
        // Looked at where it is called, too.
        if eager || !fx.is_empty() {
            self.settle_all(fx, eager);
        }
    }

    fn settle_all(self: &Arc<Self>, fx: &mut Effects, eager: bool) {
        if eager {
            self.apply_late_posts(fx);
        }
        fx.run();
        if let Some(chores) = fx.take_chores() {
            self.add_chores(*chores);
        }
    }

    /// Applies what was posted while the lock was held.
    fn apply_late_posts(&self, fx: &mut Effects) {
        let mut eager = true;
        while eager {
            // After each release: either the one who posted sees the lock released, or the one who
            // released it the post.
            fence(Ordering::SeqCst);
            if !self.has_posts() {
                break;
            }
            let Some(mut machine) = self.machine.try_lock() else { break };
            self.apply_posts(&mut machine, fx);
            eager = self.be_eager(&machine);
        }
    }

    fn add_chores(self: &Arc<Self>, new: Chores) {
        self.force_after(new.force_after);
        let mut chores = self.chores.lock();
        chores.start.extend(new.start);
        chores.sweep |= new.sweep;
        let idle = !std::mem::replace(&mut chores.active, true);
        drop(chores);
        if idle {
            self.run_chores();
        }
    }

    fn next_chore(&self) -> Option<Chore> {
        let mut chores = self.chores.lock();
        if let Some((key, start)) = chores.start.pop_front() {
            return Some(Chore::Start(key, start));
        }
        if std::mem::take(&mut chores.sweep) {
            return Some(Chore::Sweep);
        }
        chores.active = false;
        None
    }

    fn run_chores(self: &Arc<Self>) {
        let mut pieces = 0;
        while let Some(chore) = self.next_chore() {
            match chore {
                Chore::Start(key, start) => self.start(key, start),
                Chore::Sweep if pieces < PIECES_IN_CALL => {
                    pieces += 1;
                    self.sweep_piece();
                }
                Chore::Sweep => match self.any_runtime() {
                    Some(runtime) => return self.sweep_on(&runtime),
                    None => self.sweep_piece(),
                },
            }
        }
    }

    fn sweep_on(self: &Arc<Self>, runtime: &Handle) {
        self.chores.lock().sweep = true;
        let mut sweeper = Sweeper(Arc::downgrade(self));
        drop(runtime.spawn(async move {
            while sweeper.step() {
                tokio::task::yield_now().await;
            }
        }));
    }

    fn start(self: &Arc<Self>, key: Key, start: Box<dyn Start>) {
        // Starting may run hooks of the runtime's, or drop the future at once.
        shielded(|| self.attach(key, start.start()));
    }

    fn sweep_piece(self: &Arc<Self>) {
        let now = self.now();
        let more = self.with(|machine, fx| machine.sweep_piece(now, fx));
        self.chores.lock().sweep |= more;
    }

    /// Remembers a runtime for timers.
    pub(crate) fn remember_runtime(&self, handle: &Handle) {
        let last = self.runtime.lock().replace(handle.clone());
        // Outside the lock: it may be all that is left of a runtime with hooks of the host's.
        drop(last);
    }

    fn any_runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.lock().clone())
    }

    /// Ends tasks by force when their grace is over; at once where no timer can run.
    fn force_after(self: &Arc<Self>, mut todo: Vec<(Key, Duration)>) {
        while let Some(&(_, grace)) = todo.first() {
            // What was stopped together mostly has the same grace, and one timer.
            let (now, later) = todo.into_iter().partition(|&(_, other)| other == grace);
            todo = later;
            let keys: Vec<Key> = now.into_iter().map(|(key, _)| key).collect();
            self.force_all_after(&keys, grace);
        }
    }

    fn force_all_after(self: &Arc<Self>, keys: &[Key], grace: Duration) {
        let due = Due { shared: Arc::downgrade(self), keys: keys.to_vec(), what: Deed::Force };
        let Some(timer) = self.timer(grace, due) else { return };
        self.with(|machine, fx| machine.attach_timer(keys, &timer, fx));
        // Outside the lock: without a task that took it, this is its end.
        drop(timer);
    }

    /// Stops a task at its deadline.
    pub(crate) fn stop_after(self: &Arc<Self>, key: Key, deadline: Duration) {
        let due = Due { shared: Arc::downgrade(self), keys: vec![key], what: Deed::Deadline };
        if let Some(timer) = self.timer(deadline, due) {
            self.with(|machine, fx| machine.attach_deadline(key, timer, fx));
        }
    }

    /// Starts a timer; what is due happens at once where none can run.
    fn timer(&self, after: Duration, due: Due) -> Option<Arc<GraceTimer>> {
        let runtime = self.any_runtime().filter(|_| !after.is_zero())?;
        // Time counts from here, not from when the runtime gets to it.
        let at = Instant::now().checked_add(after);
        let timer = runtime.spawn(async move {
            let _due = due;
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        });
        Some(Arc::new(GraceTimer(timer.abort_handle())))
    }
}

impl<T> Posts<T> {
    fn new() -> Self {
        Self { list: Mutex::new(Vec::new()), any: AtomicBool::new(false) }
    }

    fn put(&self, post: T) {
        let mut list = self.list.lock();
        list.push(post);
        self.any.store(true, Ordering::Release);
    }

    fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Swaps what is there for an empty list.
    fn swap(&self, taken: &mut Vec<T>) {
        if self.any() {
            let mut list = self.list.lock();
            std::mem::swap(&mut *list, taken);
            self.any.store(false, Ordering::Release);
        }
    }
}

/// What happens to tasks when a time is over. It happens when this is dropped: at the end of the
/// time, and earlier where no timer can run: without a runtime, in one that has no timers, and at
/// the end of one. When every task has ended before, there is nothing left to happen to.
struct Due {
    shared: Weak<Shared>,
    keys: Vec<Key>,
    what: Deed,
}

#[derive(Clone, Copy)]
enum Deed {
    Force,
    Deadline,
}

impl Drop for Due {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let now = shared.now();
        for &key in &self.keys {
            shared.with(|machine, fx| match self.what {
                Deed::Force => machine.force(key, now, fx),
                Deed::Deadline => machine.deadline(key, now, fx),
            });
        }
    }
}

/// Runs chores on the runtime, piece by piece. Where the runtime ends before they are done, the
/// rest is done at its end.
struct Sweeper(Weak<Shared>);

impl Sweeper {
    /// Runs one chore; returns whether there may be more.
    fn step(&mut self) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        match shared.next_chore() {
            Some(Chore::Start(key, start)) => shared.start(key, start),
            Some(Chore::Sweep) => shared.sweep_piece(),
            None => self.0 = Weak::new(),
        }
        true
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        while self.step() {}
    }
}

/// Changes the machine if the registry is still there.
pub(crate) fn with_weak<R>(
    shared: &Weak<Shared>,
    change: impl FnOnce(&mut Machine, &mut Effects) -> R,
) -> Option<R> {
    shared.upgrade()?.call(change)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
