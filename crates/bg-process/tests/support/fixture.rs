//! The fixture program, and tests that hold in every containment.
#![allow(unused_macros, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bg_core::{Finished, TaskId};
use bg_process::{Containment, ProcessSpec, Processes, use_guard_program};

use super::{Host, host};

#[path = "../../fixtures/survivors.rs"]
mod survivors;
use survivors::group_mount;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub(crate) use survivors::{Traces, groups};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bg-fixture");

/// What there is on Linux, the guard's first.
pub(crate) const FENCES: &[Containment] =
    &[Containment::Cgroup, Containment::Subreaper, Containment::Marked];

/// A word that no other process has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("word=t{}-{number}", std::process::id())
}

/// A program of the fixtures: its name and its arguments.
pub(crate) fn fixture(words: &str) -> ProcessSpec {
    ProcessSpec::new(PROGRAM).args(words.split(' ')).grace(Duration::from_millis(200))
}

/// Whether a control group of version 2 can be made here.
fn has_groups() -> bool {
    let Some(mount) = group_mount() else { return false };
    let probe = mount.join(format!("bg-test-{}", std::process::id()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
}

/// A host whose processes are contained in one way, and carry a word.
pub(crate) struct Fenced {
    pub(crate) host: Host,
    pub(crate) processes: Processes,
    pub(crate) fence: Containment,
    pub(crate) word: String,
}

impl Fenced {
    /// `None`, with a printed reason, where there is no such containment.
    pub(crate) async fn new(fence: Containment) -> Option<Self> {
        use_guard_program(PROGRAM);
        let host = host();
        let processes = Processes::new(&host.root).contained_by(fence);
        let fenced = Self { host, processes, fence, word: unique() };
        // Whether there is one is known with the first process.
        let done = fenced.host.end(fenced.start("early-exit")).await;
        if done.outcome.is_success() {
            return Some(fenced);
        }
        println!("skipped: {:?}", done.outcome);
        let excused = fence == Containment::Cgroup && !has_groups();
        assert!(excused, "{fence:?}: {:?}", done.outcome);
        None
    }

    #[track_caller]
    pub(crate) fn start(&self, words: &str) -> TaskId {
        self.start_spec(fixture(words).arg(&self.word))
    }

    #[track_caller]
    pub(crate) fn start_spec(&self, spec: ProcessSpec) -> TaskId {
        self.processes.spawn(spec).expect("the process starts")
    }

    /// Starts a program and waits until it is what it is called.
    pub(crate) async fn begun(&self, words: &str) -> TaskId {
        let id = self.start(words);
        self.host.output_with(id, "begun").await;
        id
    }

    pub(crate) fn traces(&self) -> Traces {
        Traces::of_word(&self.word)
    }

    /// Waits until nobody with the word is left.
    pub(crate) async fn nobody_left(&self, within: Duration) -> Duration {
        nobody_left(&self.traces(), within).await
    }

    /// Stops a task, and brings its outcome and the time that this took.
    pub(crate) async fn stop(&self, id: TaskId) -> (Arc<Finished>, Duration) {
        let before = Instant::now();
        self.host.root.cancel(id, "enough").expect("it is ours");
        let done = self.host.end(id).await;
        (done, before.elapsed())
    }
}

/// Waits until nobody is left, and brings the time that this took.
pub(crate) async fn nobody_left(traces: &Traces, within: Duration) -> Duration {
    let begin = Instant::now();
    loop {
        let left = traces.find();
        if left.is_empty() {
            return begin.elapsed();
        }
        if begin.elapsed() > within {
            traces.clean_up();
            panic!("{} left after {within:?}: {left:?}", left.len());
        }
        tokio::task::yield_now().await;
    }
}

impl Drop for Fenced {
    /// A failed test leaves nothing to the next one.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.traces().clean_up();
        }
    }
}

/// Makes each function a test in every containment: `marked::name`, `subreaper::name`,
/// `cgroup::name`. The functions take what [`Fenced::new`] makes.
macro_rules! in_every_containment {
    ($($name:ident),* $(,)?) => {
        in_containment!(marked, Marked, $($name),*);
        in_exact_containment!($($name),*);
    };
}

/// The same for those that nothing can leave.
macro_rules! in_exact_containment {
    ($($name:ident),* $(,)?) => {
        in_containment!(subreaper, Subreaper, $($name),*);
        in_containment!(cgroup, Cgroup, $($name),*);
    };
}

/// Makes each function a test in one containment.
macro_rules! in_containment {
    ($module:ident, $fence:ident, $($name:ident),*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $name() {
                    use $crate::support::fixture::Fenced;
                    if let Some(fenced) = Fenced::new(bg_process::Containment::$fence).await {
                        super::$name(fenced).await;
                    }
                }
            )*
        }
    };
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<rustix::process::Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rustix::process::Pid::from_raw(rest.split(' ').nth(1)?.parse().ok()?)
}
