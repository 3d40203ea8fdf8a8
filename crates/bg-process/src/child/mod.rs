//! A child process and what holds it: started by the host itself, or by the guard.

#[cfg(unix)]
mod direct;
#[cfg(target_os = "linux")]
mod guarded;
#[cfg(not(unix))]
mod job;
#[cfg(unix)]
mod undertaker;

use bg_core::Exit;

use crate::command::Prepared;
use crate::error::StartError;
use crate::receipt::{Containment, Rest};

#[cfg(unix)]
pub(crate) use direct::Direct;
#[cfg(not(unix))]
pub(crate) use job::Direct;

/// The host's ends of a child's standard streams.
pub(crate) struct Streams {
    pub(crate) input: Option<Input>,
    pub(crate) output: Output,
    pub(crate) errors: Errors,
}

#[cfg(unix)]
mod ends {
    pub(crate) type Input = tokio::net::unix::pipe::Sender;
    pub(crate) type Output = tokio::net::unix::pipe::Receiver;
    pub(crate) type Errors = Output;
}
#[cfg(not(unix))]
mod ends {
    pub(crate) type Input = tokio::process::ChildStdin;
    pub(crate) type Output = tokio::process::ChildStdout;
    pub(crate) type Errors = tokio::process::ChildStderr;
}
pub(crate) use ends::{Errors, Input, Output};

/// A child that was started, or that the guard was asked to start.
pub(crate) enum Child {
    Direct(Direct),
    #[cfg(target_os = "linux")]
    Guarded(guarded::Guarded),
}

/// The end of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exited {
    pub(crate) exit: Exit,
    /// A signal of ours had been sent before.
    pub(crate) asked: bool,
}

impl Child {
    /// Starts a child. What a guard is asked to start and cannot is told by
    /// [`exited`](Self::exited).
    pub(crate) async fn start(
        what: &Prepared,
        wanted: Option<Containment>,
    ) -> Result<(Self, Streams), StartError> {
        #[cfg(target_os = "linux")]
        if let Some((child, streams)) = guarded::start(what, wanted).await? {
            return Ok((Self::Guarded(child), streams));
        }
        if wanted.is_some_and(|wanted| wanted != Containment::UNGUARDED) {
            return Err(StartError::Containment);
        }
        let (child, streams) = Direct::start(what)?;
        Ok((Self::Direct(child), streams))
    }

    /// Whether it is known that the start has not failed.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self, Self::Direct(_))
    }

    /// Completes when the process that was asked for has exited.
    ///
    /// Cancel safe: an exit is told again until [`end`](Self::end) was called.
    pub(crate) async fn exited(&mut self) -> Result<Exited, StartError> {
        match self {
            Self::Direct(child) => child.exited().await.map_err(StartError::Watch),
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.exited().await,
        }
    }

    /// Asks the process and its group to end, unless it has exited.
    pub(crate) async fn terminate(&mut self) {
        match self {
            Self::Direct(child) => child.terminate().await,
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.terminate(),
        }
    }

    /// Kills everything that is contained, and reaps; returns what would not die in time. `stopped`
    /// says that the task was stopped: where looking for what it has left is dear, it is done then
    /// only.
    pub(crate) async fn end(&mut self, stopped: bool) -> Result<Rest, StartError> {
        match self {
            Self::Direct(child) => Ok(child.end(stopped).await),
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.end().await,
        }
    }

    /// How it exited, if that was seen.
    pub(crate) fn seen(&self) -> Option<Exited> {
        match self {
            Self::Direct(child) => child.seen(),
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.seen(),
        }
    }

    /// Ends what a guard that has died has left of it.
    pub(crate) async fn clear(&mut self) {
        match self {
            Self::Direct(_) => {}
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.clear().await,
        }
    }

    pub(crate) fn containment(&self) -> Containment {
        match self {
            Self::Direct(_) => Containment::UNGUARDED,
            #[cfg(target_os = "linux")]
            Self::Guarded(child) => child.containment(),
        }
    }
}
