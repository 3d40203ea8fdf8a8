//! The life of one child process, as the body of a task.
//!
//! Start; read its output while it runs; see it exit, or stop it; read what is left; kill what is
//! left of its group; reap it. Exit and end of output are two events: the second is awaited for a
//! bounded time.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bg_core::{Exit, Output, TaskContext, TaskResult};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::ProcessError;
use crate::pump::Pump;
use crate::receipt::{Containment, StopReceipt};
use crate::spec::{Inherit, ProcessSpec};
use crate::sys::{Ask, Contained};

/// How long a killed process gets to be gone; one in the middle of a disk access takes longer.
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a killed group's pipes get to end.
const LAST_DRAIN: Duration = Duration::from_millis(100);

/// The variable that marks everything that we start, for whoever looks for what a host has left.
pub(crate) const MARK: &str = "BG_TASK";

type ChildPump = Pump<ChildStdout, ChildStderr>;

/// Runs a process to its end.
pub(crate) async fn supervise(cx: TaskContext, spec: ProcessSpec, program: PathBuf) -> TaskResult {
    let token = cx.token();
    let log = cx.log_with(spec.caps);
    let mut child = start(&spec, program)?;
    let mut pump = Pump::new(log, child.take_stdout(), child.take_stderr());
    let stop_wanted = tokio::select! {
        biased;
        // An exit that came first is the truth, also when the stop is noticed with it.
        exited = pump.during(child.exited()) => {
            exited.map_err(ProcessError::Watch)?;
            false
        }
        // The kernel knows of an exit before the runtime has been told.
        () = token.cancelled() => !child.has_exited(),
    };
    let asked = if stop_wanted { stop(&mut child, &mut pump, spec.grace).await? } else { vec![] };
    let complete = timeout(spec.drain, pump.until_eof()).await.is_ok();
    // The group ends with its leader. Whoever still holds a pipe and left the group keeps it.
    child.ask(Ask::Kill);
    if !complete {
        let _ = timeout(LAST_DRAIN, pump.until_eof()).await;
        cx.trace("output incomplete: another process held the pipe");
    }
    let exit = exit_of(child.reap().map_err(ProcessError::Watch)?);
    if asked.is_empty() {
        return Ok(Output::exited(exit));
    }
    let signals = asked.into_iter().map(Ask::name).collect();
    Err(StopReceipt { signals, exit, containment: Containment::HERE }.into_failure())
}

/// SIGTERM, grace, SIGKILL; returns what was sent once the process has exited.
async fn stop(
    child: &mut Contained,
    pump: &mut ChildPump,
    grace: Duration,
) -> Result<Vec<Ask>, ProcessError> {
    child.ask(Ask::Terminate);
    if let Ok(exited) = timeout(grace, pump.during(child.exited())).await {
        return exited.map(|()| vec![Ask::Terminate]).map_err(ProcessError::Watch);
    }
    child.ask(Ask::Kill);
    let unkillable = || io::Error::new(io::ErrorKind::TimedOut, "it did not die of SIGKILL");
    let exited = timeout(KILL_PATIENCE, pump.during(child.exited())).await;
    let exited = exited.map_err(|_| unkillable()).flatten();
    exited.map(|()| vec![Ask::Terminate, Ask::Kill]).map_err(ProcessError::Watch)
}

fn start(spec: &ProcessSpec, program: PathBuf) -> Result<Contained, ProcessError> {
    let mut command = Command::new(&program);
    command.args(&spec.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    if let Inherit::Only(names) = &spec.inherit {
        command.env_clear();
        command.envs(names.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value))).env(MARK, mark());
    Contained::start(&mut command).map_err(|source| ProcessError::Start { program, source })
}

/// A value that no other child of this host has.
fn mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn exit_of(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    Exit { code: status.code(), signal }
}
