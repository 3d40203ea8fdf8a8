//! What differs between systems: how a child is contained, signalled, and seen to exit.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::Contained;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::Contained;

/// How hard to ask a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// SIGTERM, and SIGCONT so that a stopped process can heed it.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Ask {
    /// What it is called where it is done.
    pub(crate) fn name(self) -> &'static str {
        match self {
            _ if cfg!(not(unix)) => "TerminateProcess",
            Self::Terminate => "SIGTERM",
            Self::Kill => "SIGKILL",
        }
    }
}
