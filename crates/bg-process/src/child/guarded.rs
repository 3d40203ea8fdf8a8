//! A child that the guard has started: the host's end of its leash.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Exited, Streams};
use crate::command::Prepared;
use crate::error::StartError;
use crate::guard::wire::{END, Failed, Fence, Order, Report, Step, TERMINATE};
use crate::guard::{Control, control, forget};
use crate::linux::cgroup;
use crate::receipt::{Containment, Rest};
use crate::supervise::KILL_PATIENCE;

/// Longest line that is taken from a leash, in bytes.
const MAX_LINE: usize = 64 << 10;

pub(crate) struct Guarded {
    guard: Arc<Control>,
    leash: UnixStream,
    line: Vec<u8>,
    number: u64,
    containment: Containment,
    exited: Option<Exited>,
    /// Nothing is left of the task.
    gone: bool,
}

/// Asks the guard to start a child; `None` where the host is to start it.
pub(super) async fn start(
    what: &Prepared,
    wanted: Option<Containment>,
) -> Result<Option<(Guarded, Streams)>, StartError> {
    let Some((guard, fence)) = guard_for(wanted).await? else { return Ok(None) };
    match Guarded::start(&guard, fence, what).await {
        // It had died before it could take the order: another one does.
        Err(StartError::GuardDied(_)) => {}
        started => return started.map(Some),
    }
    let Some((guard, fence)) = guard_for(wanted).await? else { return Ok(None) };
    Guarded::start(&guard, fence, what).await.map(Some)
}

/// Returns the guard and what it is to hold the task with; `None` where the host is to start it.
async fn guard_for(
    wanted: Option<Containment>,
) -> Result<Option<(Arc<Control>, Fence)>, StartError> {
    if wanted == Some(Containment::UNGUARDED) {
        return Ok(None);
    }
    let Some(guard) = control().await.map_err(StartError::Guard)? else { return Ok(None) };
    match (wanted.unwrap_or(guard.containment()), guard.containment()) {
        (Containment::Subreaper, _) => Ok(Some((guard, Fence::Subreaper))),
        (Containment::Cgroup, Containment::Cgroup) => Ok(Some((guard, Fence::Cgroup))),
        _ => Err(StartError::Containment),
    }
}

impl Guarded {
    async fn start(
        guard: &Arc<Control>,
        fence: Fence,
        what: &Prepared,
    ) -> Result<(Self, Streams), StartError> {
        let (ours, theirs) = StdStream::pair()?;
        let (streams, ends) = what.pipes()?;
        let order = Order { number: what.number, fence };
        let order = order.pack(&what.launch()?, theirs.into(), ends)?;
        let sent = guard.send(&order).await;
        // The child's ends are the child's alone from here on.
        drop(order);
        sent.map_err(StartError::GuardDied).inspect_err(|_| forget(guard))?;
        ours.set_nonblocking(true)?;
        let containment = match fence {
            Fence::Cgroup => Containment::Cgroup,
            Fence::Subreaper => Containment::Subreaper,
        };
        let child = Self {
            guard: guard.clone(),
            leash: UnixStream::from_std(ours)?,
            line: Vec::new(),
            number: what.number,
            containment,
            exited: None,
            gone: false,
        };
        Ok((child, streams))
    }

    pub(super) fn containment(&self) -> Containment {
        self.containment
    }

    pub(super) async fn exited(&mut self) -> Result<Exited, StartError> {
        loop {
            match self.exited {
                Some(exited) => return Ok(exited),
                None => _ = self.hear().await?,
            }
        }
    }

    pub(super) fn seen(&self) -> Option<Exited> {
        self.exited
    }

    pub(super) fn terminate(&self) {
        self.say(TERMINATE);
    }

    /// A leash has room for a byte, or nobody listens at its other end.
    fn say(&self, word: u8) {
        if let Err(error) = self.leash.try_write(&[word]) {
            tracing::debug!(%error, "the leash was let go at the other end");
        }
    }

    pub(super) async fn end(&mut self) -> Result<Rest, StartError> {
        if self.gone {
            return Ok(Rest::default());
        }
        self.say(END);
        // The other end answers sooner, whatever happens; it may have been stopped or killed.
        match timeout(KILL_PATIENCE, self.ended()).await {
            Ok(rest) => rest,
            Err(_) => Err(StartError::GuardDied(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn ended(&mut self) -> Result<Rest, StartError> {
        loop {
            if let Some(rest) = self.hear().await? {
                return Ok(rest);
            }
            if self.gone {
                return Ok(Rest::default());
            }
        }
    }

    /// Takes one line. Cancel safe: what has arrived of a line is kept.
    async fn hear(&mut self) -> Result<Option<Rest>, StartError> {
        match self.report().await? {
            Report::Failed(failed) => Err(self.failed(failed)),
            Report::Exited { exit, asked, gone, containment } => {
                self.exited = Some(Exited { exit, asked });
                (self.gone, self.containment) = (gone, containment);
                Ok(None)
            }
            Report::Ended { rest, containment } => {
                self.containment = containment;
                self.gone = rest.survivors.is_empty();
                Ok(Some(rest))
            }
        }
    }

    fn failed(&self, failed: Failed) -> StartError {
        // Not the program's start, and not for want of room: the kernel has no such birth.
        let lacks_room = failed.error().kind() == io::ErrorKind::WouldBlock
            || failed.error().kind() == io::ErrorKind::OutOfMemory;
        if failed.step != Step::Fork || lacks_room || self.containment != Containment::Cgroup {
            return StartError::Failed(failed);
        }
        self.guard.no_groups();
        StartError::Containment
    }

    async fn report(&mut self) -> Result<Report, StartError> {
        loop {
            if let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                let report = serde_json::from_slice(&line);
                return report.map_err(|error| StartError::GuardDied(error.into()));
            }
            self.leash.readable().await?;
            match self.leash.try_read_buf(&mut self.line) {
                Ok(0) => return Err(StartError::GuardDied(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) if self.line.len() > MAX_LINE => {
                    return Err(StartError::GuardDied(io::ErrorKind::InvalidData.into()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(StartError::GuardDied(error)),
            }
        }
    }

    /// Ends what a guard that has died has left: its leaders have died with it, what they have
    /// started is still in their group. (A reaper that dies leaves everything to the guard.)
    pub(super) async fn clear(&mut self) {
        const PAUSE: Duration = Duration::from_millis(5);
        if self.containment != Containment::Cgroup {
            return;
        }
        let Ok(group) = cgroup::of_task(self.number) else { return };
        let cleared = async {
            while !group.is_empty() {
                let _ = group.kill();
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _ = timeout(KILL_PATIENCE, cleared).await;
        group.remove();
    }
}
