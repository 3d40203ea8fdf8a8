//! What an interrupt does to a run.

use std::io;

use bg_agents::core::{CloseReport, Scope};
use tokio::sync::oneshot;

use super::stop::{Ends, Stop};
use super::typed::terminal;
use crate::interrupt::{INTERRUPTED, Interrupts, LAST, close};

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
        let (report, again) = close(&mut interrupts, |grace| root.close(grace)).await;
        let _ = end.send(report);
        if !again {
            interrupts.next().await;
        }
        tokio::time::sleep(LAST).await;
        terminal::put_back();
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(Interrupted { begun, over })
}
