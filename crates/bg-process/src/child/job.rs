//! A child on Windows, in a job object: what it starts belongs to the job, and the job ends with the
//! handle that the host has of it. There is no polite way to ask: every stop is an end.

use std::io;
use std::process::Stdio;

use bg_core::Exit;
use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};
use tokio::time::timeout;

use super::{Exited, Streams};
use crate::command::Prepared;
use crate::error::StartError;
use crate::receipt::{Leftover, Rest};
use crate::supervise::KILL_PATIENCE;

pub(crate) struct Direct {
    /// The job; the process itself is inside.
    job: Box<dyn ChildWrapper>,
    asked: bool,
    seen: Option<Exited>,
}

impl Direct {
    pub(super) fn start(what: &Prepared) -> Result<(Self, Streams), StartError> {
        let mut command = CommandWrap::with_new(&what.program, |command| {
            let input = if what.piped_input { Stdio::piped() } else { Stdio::null() };
            command.args(&what.args).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.env_clear().envs(what.env.iter().map(|(name, value)| (name, value)));
            if let Some(folder) = &what.folder {
                command.current_dir(folder);
            }
        });
        let mut job = command.wrap(JobObject).wrap(KillOnDrop).spawn()?;
        let no_pipe = || StartError::Io(io::Error::other("a pipe is missing"));
        let streams = Streams {
            input: job.stdin().take(),
            output: job.stdout().take().ok_or_else(no_pipe)?,
            errors: job.stderr().take().ok_or_else(no_pipe)?,
        };
        Ok((Self { job, asked: false, seen: None }, streams))
    }

    /// Completes when the process has exited; the rest of the job may live. Cancel safe.
    pub(super) async fn exited(&mut self) -> io::Result<Exited> {
        if let Some(exited) = self.seen {
            return Ok(exited);
        }
        let status = self.job.inner_mut().wait().await?;
        let exit = Exit { code: status.code(), signal: None };
        let exited = Exited { exit, asked: self.asked };
        self.seen = Some(exited);
        Ok(exited)
    }

    pub(super) fn seen(&self) -> Option<Exited> {
        self.seen
    }

    /// Ends the job, unless the process has exited by itself.
    pub(super) async fn terminate(&mut self) {
        if matches!(self.job.inner_mut().try_wait(), Ok(None)) {
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.asked |= self.seen.is_none();
        if let Err(error) = self.job.start_kill() {
            tracing::debug!(%error, "the job was not ended");
        }
    }

    pub(super) async fn end(&mut self, _: bool) -> Rest {
        self.kill();
        if timeout(KILL_PATIENCE, self.exited()).await.is_ok() {
            return Rest::default();
        }
        let pid = self.job.id().unwrap_or_default();
        let survivors = vec![Leftover { pid, command: String::new() }];
        Rest { survivors, ..Rest::default() }
    }
}
