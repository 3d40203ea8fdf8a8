//! Interrupts: Ctrl-C, and what else asks a program to end.

use std::io;
#[cfg(unix)]
use std::task::Poll;
use std::time::Duration;

use bg_agents::core::{CloseReport, Scope};
use tokio::sync::oneshot;

use super::stop::{Ends, Stop};
use super::typed::terminal;

/// What tasks get to end by themselves after an interrupt: two seconds, and what it takes to reap a
/// process that was killed after them.
const GRACE: Duration = Duration::from_millis(2500);

/// How long the report may take after the second interrupt.
const LAST: Duration = Duration::from_secs(1);

/// What came of a stop, for the one who tells of it.
pub(crate) struct Interrupted {
    /// Completes when the first interrupt, or another reason to stop, has come.
    pub(crate) begun: oneshot::Receiver<Stop>,
    /// Completes when everything was stopped because of it.
    pub(crate) over: oneshot::Receiver<CloseReport>,
}

/// Stops everything in a scope when an interrupt comes or the run is to end, and at once when an
/// interrupt comes after that.
///
/// This is a task of its own: the one who prints may be blocked by whoever reads. After a second
/// interrupt the command ends whether or not its report could be printed.
pub(crate) fn stop_on_interrupt(root: Scope, ends: Ends) -> io::Result<Interrupted> {
    let mut interrupts = Interrupts::new()?;
    let (first_came, begun) = oneshot::channel();
    let (end, over) = oneshot::channel();
    tokio::spawn(async move {
        let stop = tokio::select! {
            () = interrupts.next() => Stop::Interrupt,
            stop = ends.wanted() => stop,
        };
        // Nobody may be listening any more, and the stop is made all the same.
        let _ = first_came.send(stop);
        let first = tokio::select! {
            report = root.close(GRACE) => Some(report),
            () = interrupts.next() => None,
        };
        let again = first.is_none();
        let report = match first {
            Some(report) => report,
            None => root.close(Duration::ZERO).await,
        };
        let _ = end.send(report);
        if !again {
            interrupts.next().await;
        }
        tokio::time::sleep(LAST).await;
        terminal::put_back();
        std::process::exit(i32::from(super::INTERRUPTED));
    });
    Ok(Interrupted { begun, over })
}

/// Interrupts that have come, one at a time.
struct Interrupts {
    #[cfg(unix)]
    signals: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Interrupts {
    /// Listens from here on to the signals that end a program from outside, except those that whoever
    /// started us wants to be ignored (`nohup`).
    fn new() -> io::Result<Self> {
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
    async fn next(&mut self) {
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
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
