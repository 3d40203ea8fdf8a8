//! A child on a system without process groups: it alone is stopped, what it started is not.

use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::Ask;

pub(crate) struct Contained {
    child: Child,
}

impl Contained {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: command.kill_on_drop(true).spawn()? })
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// There is no polite way to ask here: both ways end the process.
    pub(crate) fn ask(&mut self, _: Ask) {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "the process was not killed");
        }
    }

    pub(crate) async fn exited(&mut self) -> io::Result<()> {
        self.child.wait().await.map(|_| ())
    }

    pub(crate) fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.try_wait()?;
        status.ok_or_else(|| io::Error::other("the process has not exited"))
    }
}
