//! Stands in for the peers where they are not compiled in: there are none.

use std::sync::atomic::AtomicUsize;

use crate::bench::Bench;
use crate::sides::Peer;
use crate::workloads::retain::Load;

pub(crate) fn spawn_drain(_: &Bench, _n: usize) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn drain_one(_: &Bench, _n: usize) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn drain_idle(_: &Bench, _n: usize) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn list_scope(_: &Bench, _n: usize) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn wait_one_by_one(_: &Bench) -> Option<Peer<'_, 2>> {
    None
}

pub(crate) fn wait_singly(_: &Bench) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn wait_burst(_: &Bench) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn cancel_all(_: &Bench, _n: usize) -> Option<Peer<'_, 2>> {
    None
}

pub(crate) fn memory() -> Option<Peer<'static, 1>> {
    None
}

/// Never asked for: nobody measures a peer that is not there.
pub(crate) fn pending(_count: usize, _polled: &'static AtomicUsize) {}

pub(crate) fn retain(_: &Bench, _load: Load) -> Option<Peer<'_, 1>> {
    None
}

pub(crate) fn truncate<'a>(_: &'a Bench, _text: &str) -> Option<Peer<'a, 1>> {
    None
}

#[cfg(target_os = "linux")]
pub(crate) use processes::*;

#[cfg(target_os = "linux")]
mod processes {
    use super::{Bench, Peer};
    use crate::workloads::capture::Shape;

    pub(crate) fn proc_spawn(_: &Bench, _ballast: usize) -> Option<Peer<'_, 1>> {
        None
    }

    pub(crate) fn proc_idle(_: &Bench, _n: usize) -> Option<Peer<'_, 1>> {
        None
    }

    pub(crate) fn proc_exit(_: &Bench) -> Option<Peer<'_, 1>> {
        None
    }

    pub(crate) fn capture(_shape: Shape, _bytes: usize) -> Option<Peer<'static, 2>> {
        None
    }

    /// Never asked for: nobody measures a peer that is not there.
    pub(crate) fn captured(_shape: Shape, _bytes: usize) -> std::future::Ready<()> {
        std::future::ready(())
    }
}
