//! Interrupts: Ctrl-C, and what else asks a program to end.

use std::io;
#[cfg(unix)]
use std::task::Poll;
use std::time::Duration;

/// What tasks get to end by themselves after an interrupt: two seconds, and what it takes to reap a
/// process that was killed after them.
pub(crate) const GRACE: Duration = Duration::from_millis(2500);

/// How long what is left may keep the command from ending: a report after the second interrupt, a
/// thread that is in the middle of reading a file.
pub(crate) const LAST: Duration = Duration::from_secs(1);

/// The exit status of a command that was interrupted: 128 and the number of SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Closes something with grace, and without when an interrupt comes meanwhile. Returns what came of
/// it, and whether one did.
pub(crate) async fn close<F: Future>(
    interrupts: &mut Interrupts,
    close: impl Fn(Duration) -> F,
) -> (F::Output, bool) {
    let first = tokio::select! {
        report = close(GRACE) => Some(report),
        () = interrupts.next() => None,
    };
    match first {
        Some(report) => (report, false),
        None => (close(Duration::ZERO).await, true),
    }
}

/// Interrupts that have come, one at a time.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signals: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Interrupts {
    /// Listens from here on to the signals that end a program from outside, except those that whoever
    /// started us wants to be ignored (`nohup`).
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let heeded = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
        Ok(Self { signals: heeded.map(signal).collect::<io::Result<_>>()? })
    }

    /// Takes one signal; another one that came with it is the next.
    pub(crate) async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let came = self.signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Returns whether a signal was ignored when the command was started.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(_: i32) -> bool {
    false
}

#[cfg(not(unix))]
impl Interrupts {
    #[allow(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
