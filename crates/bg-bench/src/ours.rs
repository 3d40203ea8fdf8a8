//! What the workloads do with `bg-core`: the one file that names its interface, but for the one
//! below it about processes.

use std::future::{Future, pending};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use bg_core::{Completer, Inbox, Limits, Output, Registry, Scope, Task};

use crate::words::{ERRAND, LABEL, PROMPT, RESULT};

#[cfg(target_os = "linux")]
pub(crate) mod processes;

/// How many acknowledged outcomes a registry keeps unless a workload says otherwise.
const KEPT: usize = 64;

/// Makes a registry that refuses none of what the workloads start.
fn registry(finished_kept: usize) -> Registry {
    // Many tasks end before the first of them is delivered.
    let limits = Limits::default().undelivered(usize::MAX, u64::MAX);
    Registry::builder().limits(limits).finished_kept(finished_kept).build()
}

/// A registry with one root, as a host holds it.
pub(crate) struct Host {
    // Dropping it would end everything.
    _registry: Registry,
    root: Scope,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::keeping(KEPT)
    }

    pub(crate) fn keeping(finished: usize) -> Self {
        let registry = registry(finished);
        let root = registry.root_scope();
        Self { _registry: registry, root }
    }

    /// Starts tasks that complete in their first poll.
    pub(crate) fn spawn(&self, count: usize) {
        for _ in 0..count {
            let task = Task::new(LABEL, ERRAND);
            let spawned = self.root.spawn(task, |_| async { Ok(Output::text(RESULT)) });
            spawned.expect("the registry is open");
        }
    }

    /// Starts tasks that stay pending, with their context captured; each adds to `polled` once it
    /// runs.
    pub(crate) fn spawn_pending(&self, count: usize, polled: &'static AtomicUsize) {
        for _ in 0..count {
            let task = Task::new(LABEL, PROMPT.to_owned());
            let spawned = self.root.spawn(task, move |cx| async move {
                polled.fetch_add(1, Ordering::Release);
                pending::<()>().await;
                drop(cx);
                Ok(Output::default())
            });
            spawned.expect("the registry is open");
        }
    }

    /// Delivers so many outcomes, waiting for those that are not there yet.
    pub(crate) async fn drain(&self, count: usize) {
        let inbox = self.root.inbox();
        let mut left = count;
        while left > 0 {
            left -= inbox.drain().map(black_box).count();
            if left > 0 {
                inbox.next().await.expect("the registry is open").ack();
                left -= 1;
            }
        }
    }

    /// Asks for a stop of everything.
    pub(crate) fn cancel_all(&self) {
        self.root.cancel_all("done");
    }

    pub(crate) fn inbox(&self) -> Turn {
        Turn(self.root.inbox())
    }

    /// Registers a task that stays pending until it is ended.
    pub(crate) fn register(&self) -> Live {
        Live::register(&self.root)
    }

    /// Registers a task, and returns a wait for it beside it.
    pub(crate) fn waited(&self) -> (impl Future<Output = ()> + Send + use<>, Live) {
        let (id, completer) = self.root.register(task()).expect("the registry is open");
        let wait = self.root.wait([id]);
        let wait = async move {
            black_box(wait.await.expect("the registry is open"));
        };
        (wait, Live(completer))
    }
}

/// What a host does in each of its turns.
pub(crate) struct Turn(Inbox);

impl Turn {
    /// Delivers one outcome, if there is one; returns whether there was.
    pub(crate) fn drain_one(&self) -> bool {
        self.0.drain().next().map(black_box).is_some()
    }

    /// Delivers everything that has ended.
    pub(crate) fn drain_all(&self) {
        self.0.drain().map(black_box).for_each(drop);
    }
}

/// A task that stays pending until it is ended from here.
pub(crate) struct Live(Completer);

impl Live {
    fn register(scope: &Scope) -> Self {
        Self(scope.register(task()).expect("the registry is open").1)
    }

    /// Ends the task with the usual result.
    pub(crate) fn end(self) {
        self.0.complete(Ok(Output::text(RESULT)));
    }
}

/// One caller with tasks of its own among those of others.
pub(crate) struct Caller {
    _host: Host,
    scope: Scope,
    _live: Vec<Live>,
}

impl Caller {
    /// Registers `n` tasks, of which every `n / own`-th is the caller's.
    pub(crate) fn among(n: usize, own: usize) -> Self {
        let host = Host::new();
        let caller = host.register();
        let scope = caller.0.context().scope();
        let mut live = vec![caller];
        for index in 0..n {
            let owner = if index % (n / own) == 0 { &scope } else { &host.root };
            live.push(Live::register(owner));
        }
        Self { _host: host, scope, _live: live }
    }

    /// Lists the caller's tasks and returns how many there were.
    pub(crate) fn list(&self) -> usize {
        black_box(self.scope.snapshot()).len()
    }
}

fn task() -> Task {
    Task::new(LABEL, PROMPT.to_owned())
}

/// Cuts a text to a size at the border of a grapheme.
pub(crate) fn truncate(text: &str, max_bytes: usize) -> String {
    bg_core::text::prefix(text, max_bytes).to_owned()
}
