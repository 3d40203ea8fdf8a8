//! Starting processes in a scope.

use std::time::Duration;

use bg_core::{MailboxCaps, Scope, Task, TaskContext, TaskId};

use crate::error::ProcessError;
use crate::input::{END_OF_INPUT, Pending, Source};
use crate::receipt::Containment;
use crate::spec::ProcessSpec;
use crate::stdin::StdinWriter;
use crate::supervise::{KILL_PATIENCE, supervise};

/// What waits for an interactive process to read it.
const MAILBOX: MailboxCaps = MailboxCaps { messages: 1024, bytes: StdinWriter::CAPACITY };

/// Starts child processes as tasks of one scope.
///
/// A process is a task of kind `process`: it is listed, waited for, claimed and stopped like every
/// other one. It completes when it exits, with whatever code; [`Output::exit`] tells which, and
/// whether a signal ended it. Stopped, it is cancelled; a [`StopReceipt`](crate::StopReceipt) with the
/// outcome says that the kernel has seen it gone.
///
/// The end of the process that was asked for is the end of the task: what it leaves behind is killed
/// then, as far as its [`Containment`] reaches.
///
/// [`Output::exit`]: bg_core::Output::exit
///
/// # Examples
///
/// ```
/// use bg_core::Registry;
/// use bg_process::{ProcessSpec, Processes};
///
/// # #[cfg(unix)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let id = Processes::new(&root).spawn(ProcessSpec::shell("echo hello; exit 3"))?;
/// let done = root.inbox().next().await.ok_or("closed")?.ack();
/// assert_eq!(done.outcome.output().and_then(|output| output.exit()?.code), Some(3));
/// let log = root.log(id)?.ok_or("no log")?;
/// assert_eq!(log.read(0, 100, None).bytes, b"hello\n");
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Processes {
    scope: Scope,
    containment: Option<Containment>,
}

impl Processes {
    /// Starts processes in this scope, each in the best [`Containment`] that there is: a control
    /// group where the guard can make one, else a subreaper of its own, and without a guard what
    /// marks and groups can reach.
    pub fn new(scope: &Scope) -> Self {
        Self { scope: scope.clone(), containment: None }
    }

    /// Starts them in this containment and in no other one. Where it cannot be had, tasks end with
    /// [`ProcessError::Containment`].
    ///
    /// [`Containment::Marked`] (elsewhere than on Linux [`Group`](Containment::Group) or
    /// [`Job`](Containment::Job)) leaves the guard out.
    pub fn contained_by(mut self, containment: Containment) -> Self {
        self.containment = Some(containment);
        self
    }

    /// Starts a process. It runs from the task's first poll on; what the system then refuses (no
    /// permission, too long an argument list) is the outcome of the task.
    ///
    /// # Errors
    ///
    /// [`ProcessError`] for what can be known before: a program or directory that is not there, a
    /// NUL byte, a scope that is closed.
    pub fn spawn(&self, spec: ProcessSpec) -> Result<TaskId, ProcessError> {
        self.start(spec, None)
    }

    /// Starts a process that reads what is written to it. The writer takes the place of the
    /// mailbox: a spec that is [interactive](ProcessSpec::interactive) is so no more.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_with_stdin(
        &self,
        spec: ProcessSpec,
    ) -> Result<(TaskId, StdinWriter), ProcessError> {
        let (writer, source) = StdinWriter::new();
        let spec = ProcessSpec { interactive: false, ..spec };
        Ok((self.start(spec, Some(source))?, writer))
    }

    fn start(&self, mut spec: ProcessSpec, source: Option<Source>) -> Result<TaskId, ProcessError> {
        spec.check()?;
        spec.containment = self.containment;
        let program = spec.resolve()?;
        let command = spec.command_line();
        let label = spec.label.clone().unwrap_or_else(|| command.clone());
        // The task's own stop takes at most this long; then its future is dropped, which kills.
        let grace = spec.grace + KILL_PATIENCE + spec.drain + Duration::from_secs(1);
        let task = Task::process(label, command).grace(grace);
        let task = if spec.foreground { task.foreground() } else { task };
        let task = if spec.interactive { interactive(task) } else { task };
        Ok(self.scope.spawn(task, |cx| {
            let input = input(&cx, &mut spec, source);
            supervise(cx, spec, program, input)
        })?)
    }
}

/// What is sent waits in the mailbox from the spawn on, and the end of the input is the last.
fn interactive(task: Task) -> Task {
    task.mailbox(MAILBOX).last_message(END_OF_INPUT)
}

/// What the process is to read; `None` for nothing at all.
fn input(cx: &TaskContext, spec: &mut ProcessSpec, source: Option<Source>) -> Option<Pending> {
    let first = spec.input.take();
    let mailbox = spec.interactive.then(|| Source::Mailbox(cx.mailbox()));
    let source = source.or(mailbox).or(first.is_some().then_some(Source::Nothing))?;
    Some(Pending::new(first, source))
}
