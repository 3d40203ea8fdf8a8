//! What a stop did.

use std::time::Duration;

use bg_core::{Exit, Failure, Output};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::output_end::OutputEnd;

/// What a stop did: what was asked for, which signals were sent, how the process exited then, and
/// what of all that it had started is left.
///
/// It is made once the kernel has said that the process is gone, or once the time for that is over
/// ([`Verdict::Survivors`]). It is delivered with the outcome, under `receipt` in
/// [`Output::data`](bg_core::Output::data) of the partial output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StopReceipt {
    /// What the process was given before force was used.
    pub requested: Requested,
    /// The signals that were sent while the process lived, in order.
    pub signals: Vec<&'static str>,
    /// How the process exited; `None` if it would not die.
    #[serde(flatten, serialize_with = "exit_fields")]
    pub exit: Option<Exit>,
    /// What was reached: everything in it that still lived got SIGKILL.
    pub containment: Containment,
    /// What was reached and would not die in time: processes in the middle of a disk access, for
    /// example. They die as soon as the kernel lets them.
    pub survivors: Vec<Leftover>,
    /// What this host's processes have left that cannot be said to belong to this task or to
    /// another one. It dies when the last task of its guard ends.
    pub unattributed: Vec<Leftover>,
    /// What may be said of it all.
    pub verdict: Verdict,
}

/// What a stop asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Requested {
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub grace_ms: u64,
}

impl Requested {
    pub(crate) fn grace(grace: Duration) -> Self {
        Self { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// What holds a process and everything that it starts, so that all of it can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Containment {
    /// A control group of its own, version 2. Exact: what is in it cannot leave without the rights
    /// of whoever manages the groups. Needs the guard and a group that is writable.
    Cgroup,
    /// A process of its own that adopts whatever it leaves behind. Exact. Needs the guard.
    Subreaper,
    /// The process group, and what carries the mark of the task in its environment. A descendant
    /// that has left the group and cleared its environment is not found. Needs nothing.
    Marked,
    /// The process group alone; a descendant that has left it is not reached.
    Group,
    /// A job object of Windows. Exact.
    Job,
}

impl Containment {
    /// What there is without a guard.
    pub(crate) const UNGUARDED: Self = if cfg!(target_os = "linux") {
        Self::Marked
    } else if cfg!(unix) {
        Self::Group
    } else {
        Self::Job
    };

    /// Returns whether nothing that the process starts can leave it.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Cgroup | Self::Subreaper | Self::Job)
    }
}

/// What a stop may say of what it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing is left: the containment is exact, and empty.
    Gone,
    /// Nothing is left that was found; the containment is not exact.
    GoneAsFarAsSeen,
    /// Something would not die.
    Survivors,
}

/// A process that is told of, not one that can be addressed: by the time it is read, the number may
/// belong to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Leftover {
    /// Its number.
    pub pid: u32,
    /// Its command line, cut.
    pub command: String,
}

/// What was left of a containment when it was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) survivors: Vec<Leftover>,
    pub(crate) unattributed: Vec<Leftover>,
}

impl StopReceipt {
    pub(crate) fn new(
        grace: Duration,
        signals: Vec<&'static str>,
        exit: Option<Exit>,
        containment: Containment,
        rest: Rest,
    ) -> Self {
        let Rest { survivors, unattributed } = rest;
        let verdict = match (survivors.is_empty() && exit.is_some(), containment.is_exact()) {
            (false, _) => Verdict::Survivors,
            (true, true) => Verdict::Gone,
            (true, false) => Verdict::GoneAsFarAsSeen,
        };
        let requested = Requested::grace(grace);
        Self { requested, signals, exit, containment, survivors, unattributed, verdict }
    }

    /// Puts the receipt into the error with which a stopped process ends.
    pub(crate) fn into_failure(self, end: &OutputEnd) -> Failure {
        let partial = self.exit.map_or_else(Output::default, Output::exited);
        let message = match self.exit {
            Some(exit) => format!("stopped; {exit}"),
            None => "it was told to stop and did not die".to_owned(),
        };
        let data = end.with(json!({ "receipt": self }));
        Failure::new(message).with_partial(partial.with_data(data))
    }
}

#[expect(clippy::ref_option, reason = "what serde calls it with")]
fn exit_fields<S: serde::Serializer>(exit: &Option<Exit>, to: S) -> Result<S::Ok, S::Error> {
    exit.unwrap_or(Exit { code: None, signal: None }).serialize(to)
}
