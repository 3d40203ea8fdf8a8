//! The life of one child process, as the body of a task.
//!
//! Start; read its output while it runs; see it exit, or stop it; read what is left; end what is left
//! of it; say what happened. Exit and end of output are two events: the second is awaited for a
//! bounded time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bg_core::{Failure, Output, TaskContext, TaskResult};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::child::{Child, Errors, Exited, Input, Output as Pipe};
use crate::command::Prepared;
use crate::error::StartError;
use crate::holders::PipeId;
use crate::input::Pending;
use crate::output_end::OutputEnd;
use crate::pump::Pump;
use crate::receipt::{Containment, Rest, StopReceipt};
use crate::spec::ProcessSpec;

/// How long a killed process gets to be gone; one in the middle of a disk access takes longer.
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// How long the pipes of what was killed get to end.
const LAST_DRAIN: Duration = Duration::from_millis(100);

/// How often a program that somebody is writing is tried again, and how long after.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Runs a process to its end.
pub(crate) async fn supervise(
    cx: TaskContext,
    spec: ProcessSpec,
    program: PathBuf,
    mut input: Option<Pending>,
) -> TaskResult {
    let token = cx.token();
    let mut busy = 0;
    loop {
        if token.is_cancelled() {
            return Err(Failure::new("stopped before it was started"));
        }
        let error = match run(&cx, &spec, &program, &mut input).await {
            Ok(ending) => return ending.into_result(&cx),
            Err(error) => error,
        };
        input.iter_mut().for_each(Pending::again);
        if matches!(error, StartError::Containment) && spec.containment.is_none() {
            // The kernel has refused the best one, which is not asked for any more.
            continue;
        }
        if !error.is_text_busy() || busy == BUSY_TRIES {
            let folder = spec.cwd.as_deref();
            return Err(error.of(&program, folder, spec.containment).into());
        }
        busy += 1;
        // Nothing tells when the writer is done.
        let _ = timeout(BUSY_PAUSE, token.cancelled()).await;
    }
}

async fn run(
    cx: &TaskContext,
    spec: &ProcessSpec,
    program: &Path,
    input: &mut Option<Pending>,
) -> Result<Ending, StartError> {
    let what = Prepared::of(spec, program, input.is_some());
    let (mut child, streams) = Child::start(&what, spec.containment).await?;
    if child.is_started() {
        input.iter_mut().for_each(Pending::started);
    }
    let pipes = PipeId::of(&streams);
    let pump = Pump::new(cx.log_with(spec.caps), Some(streams.output), Some(streams.errors));
    let io = Io { pump, input: streams.input, pending: input };
    let mut life = Life { child: &mut child, io, pipes, spec, token: cx.token() };
    let ending = life.live().await;
    if matches!(ending, Err(StartError::GuardDied(_))) {
        child.clear().await;
    }
    ending
}

/// A process that was started, and what goes through its pipes.
struct Life<'a> {
    child: &'a mut Child,
    io: Io<'a>,
    pipes: PipeId,
    spec: &'a ProcessSpec,
    token: CancellationToken,
}

/// How it ended, and what was done for that.
struct Ending {
    /// `None` if it would not die.
    exited: Option<Exited>,
    signals: Vec<&'static str>,
    output: OutputEnd,
    rest: Rest,
    containment: Containment,
    grace: Duration,
}

impl Life<'_> {
    async fn live(&mut self) -> Result<Ending, StartError> {
        let exited = tokio::select! {
            biased;
            // An exit that came first is the truth, also when the stop is noticed with it.
            exited = self.io.during(self.child.exited()) => Some(exited?),
            () = self.token.cancelled() => None,
        };
        let (exited, signals, killed) = match exited {
            Some(exited) => (Some(exited), Vec::new(), None),
            None => self.stop().await?,
        };
        self.io.end_input();
        let stopped = exited.is_none_or(|exited| exited.asked);
        let patience = if killed.is_some() { LAST_DRAIN } else { self.spec.drain };
        let output = self.read_rest(patience).await;
        let rest = match killed {
            Some(rest) => rest,
            None => self.end(stopped).await,
        };
        // What held a pipe and was ended has let go of it.
        let _ = timeout(LAST_DRAIN, self.io.pump.until_eof()).await;
        let containment = self.child.containment();
        Ok(Ending { exited, signals, output, rest, containment, grace: self.spec.grace })
    }

    /// SIGTERM, grace, SIGKILL to everything.
    async fn stop(&mut self) -> Result<Stopped, StartError> {
        self.child.terminate().await;
        let exited = self.io.during(self.child.exited());
        if let Ok(exited) = timeout(self.spec.grace, exited).await {
            let exited = exited?;
            let signals = if exited.asked { vec![TERMINATED] } else { Vec::new() };
            return Ok((Some(exited), signals, None));
        }
        let rest = self.io.during(self.child.end(true)).await?;
        Ok((self.child.seen(), vec![TERMINATED, KILLED], Some(rest)))
    }

    async fn read_rest(&mut self, patience: Duration) -> OutputEnd {
        if timeout(patience, self.io.pump.until_eof()).await.is_ok() {
            return OutputEnd::COMPLETE;
        }
        OutputEnd::held_by(self.pipes.holders().await)
    }

    /// Ends what is left after the exit. What goes wrong here changes nothing about the exit.
    async fn end(&mut self, stopped: bool) -> Rest {
        if let Ok(rest) = self.child.end(stopped).await {
            return rest;
        }
        self.child.clear().await;
        Rest::default()
    }
}

/// How a stopped process exited, the signals for it, and what was left if SIGKILL was needed.
type Stopped = (Option<Exited>, Vec<&'static str>, Option<Rest>);

const TERMINATED: &str = if cfg!(unix) { "SIGTERM" } else { "TerminateProcess" };
const KILLED: &str = if cfg!(unix) { "SIGKILL" } else { "TerminateProcess" };

impl Ending {
    fn into_result(self, cx: &TaskContext) -> TaskResult {
        if let Some(line) = self.output.line() {
            cx.trace(line);
        }
        if let Some(Exited { exit, asked: false }) = self.exited {
            let output = Output::exited(exit);
            return Ok(match self.output.data() {
                Some(data) => output.with_data(data),
                None => output,
            });
        }
        let exit = self.exited.map(|exited| exited.exit);
        let receipt = StopReceipt::new(self.grace, self.signals, exit, self.containment, self.rest);
        Err(receipt.into_failure(&self.output))
    }
}

/// What goes through a child's pipes.
struct Io<'a> {
    pump: Pump<Pipe, Errors>,
    input: Option<Input>,
    pending: &'a mut Option<Pending>,
}

impl Io<'_> {
    /// Nobody reads any more, whoever else has the pipe.
    fn end_input(&mut self) {
        self.input = None;
        self.pending.iter().for_each(Pending::close);
    }

    /// Reads and writes for as long as `other` takes.
    async fn during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let feed = async {
            if let Some(pending) = self.pending {
                pending.feed(&mut self.input).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = self.pump.during(other) => done,
            never = feed => never,
        }
    }
}
