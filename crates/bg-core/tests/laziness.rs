//! What a task does not use costs it nothing: each feature is allocated by its first use.
//!
//! One test, since the counter counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Pending, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use bg_core::{
    Completer, Limits, MailboxCaps, Phase, RecentBlocks, Registry, Scope, Task, TaskContext,
};
use bg_core::{TaskId, TaskResult};

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize, sign: isize) {
    LIVE.fetch_add(sign * isize::try_from(bytes).unwrap_or(isize::MAX), Ordering::Relaxed);
}

// SAFETY: every call is the system allocator's, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as the caller of this function promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as the caller of this function promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// So many of each, so that what is made once for all does not weigh.
const TASKS: usize = 4_096;

/// The bytes that stay allocated for each of many, with what they are kept in not counted.
fn each<T>(mut make: impl FnMut() -> T) -> f64 {
    let mut kept = Vec::with_capacity(TASKS);
    let before = LIVE.load(Ordering::Relaxed);
    kept.extend(std::iter::repeat_with(&mut make).take(TASKS));
    let after = LIVE.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let bytes = (after - before) as f64 / TASKS as f64;
    bytes
}

fn body(_: TaskContext) -> Pending<TaskResult> {
    pending()
}

fn plain() -> Task {
    Task::new("twelve bytes", "twenty bytes of text")
}

/// Describes a task in one way.
type Describe = fn() -> Task;

/// What one use of a task's does.
type Use = fn(&Scope, &Completer);

/// Every feature that is made by its first use, and the least that it can take.
const USES: [(&str, Use, f64); 11] = [
    ("a trace line", |_, c| c.context().trace("a line of twenty-two b"), 100.0),
    ("a phase", |_, c| c.context().phase(Phase::WaitingForModel), 100.0),
    ("the output log", |_, c| drop(c.context().log()), 200.0),
    ("the token", |_, c| drop(c.context().token()), 150.0),
    ("the mailbox", |_, c| drop(c.context().mailbox()), 150.0),
    ("a mailbox with caps", |_, c| drop(c.context().mailbox_with(MAILBOX)), 150.0),
    ("a view", |_, c| c.context().attach_view(Arc::new(RecentBlocks::new(9))), 150.0),
    ("a watch", |scope, c| drop(scope.watch(c.context().id()).unwrap()), 100.0),
    ("an inbox of its own", |_, c| assert!(c.context().scope().inbox().is_empty()), 50.0),
    ("a wait", |scope, c| hold(scope.wait([c.context().id()])), 100.0),
    ("a second bound handle", |_, c| (0..2).for_each(|_| bind(c)), 100.0),
];

const MAILBOX: MailboxCaps = MailboxCaps { messages: 1_000_000, bytes: 1 << 40 };

fn bind(completer: &Completer) {
    completer.bind(tokio::spawn(pending::<()>()).abort_handle());
}

/// Polls once and forgets: it waits for ever.
fn hold(mut wait: bg_core::Wait) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::Pin::new(&mut wait).poll(&mut cx).is_pending());
    std::mem::forget(wait);
}

#[tokio::test(start_paused = true)]
async fn what_a_task_does_not_use_is_not_allocated() {
    let limits = Limits::default().undelivered(usize::MAX, u64::MAX);
    let registry = Registry::builder().limits(limits).build();
    let root = registry.root_scope();
    let spawn = |task: fn() -> Task| {
        let root = root.clone();
        each(move || root.spawn(task(), body).unwrap())
    };
    // Once, for what the runtime and the registry make for all.
    spawn(plain);
    each(|| tokio::spawn(pending::<()>()));

    let bare = each(|| tokio::spawn(pending::<()>()));
    // Label and prompt with the two counts of an `Arc`.
    let text = each(|| Arc::<str>::from("twelve bytestwenty bytes of text"));
    let spawned = spawn(plain);
    // A record is about 112 bytes, its page shared by 32 and found in a tree; the future of a task
    // has its context and its stage beside the body.
    let bound = bare + text + 128.0 + 16.0 + 96.0;
    println!("bare {bare} text {text} spawned {spawned} bound {bound}");
    assert!(spawned <= bound, "{spawned} bytes for a task, and {bound} at most");

    let record = each(|| root.register(plain()).unwrap());
    println!("registered {record}");
    // Its completer holds the place of its outcome, with the two counts of an `Arc`.
    let place = 104.0 + 16.0;
    assert!(record <= text + 128.0 + 16.0 + place, "{record} bytes for a registered task");

    for (name, once, least) in USES {
        let mut completers: Vec<(TaskId, Completer)> =
            (0..TASKS).map(|_| root.register(plain()).unwrap()).collect();
        let mut unused = completers.iter_mut();
        let taken = each(|| once(&root, &unused.next().unwrap().1));
        println!("{name}: {taken}");
        assert!(taken >= least, "{name} had been made before it was used: {taken} bytes");
        drop(completers);
        root.inbox().drain().for_each(drop);
    }

    let options: [(&str, Describe); 4] = [
        ("a deadline", || plain().deadline(Duration::from_secs(3_600))),
        ("a grace of its own", || plain().grace(Duration::from_secs(1))),
        ("in the foreground", || plain().foreground()),
        ("a mailbox from the spawn on", || plain().mailbox(MAILBOX)),
    ];
    for (name, task) in options {
        let taken = each(|| root.register(task()).unwrap());
        println!("{name}: {taken}");
        assert!(taken >= record + 100.0, "{name} had been made for every task: {taken} bytes");
    }
}
