//! Turns that start on their own: when something is claimable and the host is idle.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::cell::WeakScope;
use crate::claim::Claim;
use crate::scope::Scope;
use crate::sync::Arc;

/// The right to run a turn: one at a time, whether a user or a [`Driver`] starts it.
///
/// # Examples
///
/// ```
/// use bg_core::TurnSlot;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let slot = TurnSlot::new();
/// let turn = slot.acquire().await; // a user's turn begins
/// assert!(slot.try_acquire().is_none());
/// drop(turn);
/// assert!(slot.try_acquire().is_some());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TurnSlot {
    permits: Arc<Semaphore>,
    /// Told when a turn is over.
    idle: Arc<Notify>,
}

/// A turn under way; the host is idle again when it is dropped.
#[derive(Debug)]
#[must_use = "the slot is free again when this is dropped"]
pub struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    idle: Arc<Notify>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.idle.notify_waiters();
    }
}

impl TurnSlot {
    /// Makes the slot of one host.
    pub fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(1)), idle: Arc::new(Notify::new()) }
    }

    /// Waits until the host is idle, and begins a turn. First come, first served.
    ///
    /// # Cancel safety
    ///
    /// Safe; the place in the queue is lost.
    pub async fn acquire(&self) -> Turn {
        // The semaphore is not closed by anybody.
        self.turn(self.permits.clone().acquire_owned().await.ok())
    }

    fn turn(&self, permit: Option<OwnedSemaphorePermit>) -> Turn {
        Turn { permit, idle: self.idle.clone() }
    }

    /// Waits until the host is idle, and takes no place in the queue: who waits in it goes first,
    /// and nobody finds the slot taken by somebody who has nothing to do with it.
    async fn idle(&self) {
        loop {
            let mut over = pin!(self.idle.notified());
            over.as_mut().enable();
            if self.permits.available_permits() > 0 {
                return;
            }
            over.await;
        }
    }

    /// Begins a turn if the host is idle.
    pub fn try_acquire(&self) -> Option<Turn> {
        self.permits.clone().try_acquire_owned().ok().map(|permit| self.turn(Some(permit)))
    }
}

impl Default for TurnSlot {
    fn default() -> Self {
        Self::new()
    }
}

/// How a turn that a [`Driver`] had started went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// It was committed: its outcomes are delivered.
    Committed,
    /// It failed or was rolled back: its outcomes go back to their places, and another turn is
    /// tried after a pause.
    Failed,
    /// The host is gone: the driver ends, and the outcomes go back.
    Over,
}

/// Runs a turn whenever something is claimable and the host is idle.
///
/// The outcomes of a turn are acknowledged when it was committed and given back when it failed,
/// was dropped or panicked. A driver holds neither the registry nor the root alive, and claims
/// nothing before it has the slot: when a user's turn has taken what was there, no turn is run.
///
/// # Examples
///
/// ```
/// use bg_core::{Driver, Output, Registry, Task, TurnEnd, TurnSlot};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let root = registry.root_scope();
/// let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
/// let driver = Driver::new(&root, TurnSlot::new());
/// tokio::spawn(driver.run(move |claims| {
///     let texts: Vec<_> = claims.iter().map(|claim| format!("{:?}", claim.outcome)).collect();
///     let told = heard.send(texts);
///     async move { (claims, if told.is_ok() { TurnEnd::Committed } else { TurnEnd::Over }) }
/// }));
/// root.spawn(Task::new("index", ""), |_| async { Ok(Output::text("done")) })?;
/// assert_eq!(hears.recv().await.map(|texts| texts.len()), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a driver does nothing until it is run"]
pub struct Driver {
    scope: WeakScope,
    slot: TurnSlot,
    batch: usize,
    pause: Duration,
}

impl Driver {
    /// The longest pause between turns that fail.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// Makes a driver for the inbox of a scope. It holds the scope weakly.
    pub fn new(scope: &Scope, slot: TurnSlot) -> Self {
        Self { scope: scope.downgrade(), slot, batch: 64, pause: Duration::from_secs(1) }
    }

    /// Sets how many outcomes one turn gets at most; 64 by default.
    pub fn batch(mut self, outcomes: usize) -> Self {
        self.batch = outcomes.max(1);
        self
    }

    /// Sets the pause after a failed turn, one second by default. It doubles with each failure in
    /// a row, up to a minute.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Runs turns until the scope or the host is gone. The turn gets the claims, and gives them
    /// back with its end: those it keeps or drops are its own business.
    ///
    /// The closure is called with the slot taken. It should hold its host weakly, and answer
    /// [`TurnEnd::Over`] when that is gone.
    ///
    /// # Panics
    ///
    /// After a failed turn, where the runtime has no timers.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives back what the turn under way had claimed.
    pub async fn run<F, Fut>(self, mut turn: F)
    where
        F: FnMut(Vec<Claim>) -> Fut,
        Fut: Future<Output = (Vec<Claim>, TurnEnd)>,
    {
        let mut pause = self.pause;
        while self.scope.ready().await {
            self.slot.idle().await;
            // A user's turn may have taken what was there.
            if self.scope.is_empty() {
                continue;
            }
            let Some(slot) = self.slot.try_acquire() else { continue };
            let claims = self.scope.claims(self.batch);
            if claims.is_empty() {
                continue;
            }
            let (claims, end) = turn(claims).await;
            match end {
                TurnEnd::Committed => {
                    for claim in claims {
                        claim.ack();
                    }
                    pause = self.pause;
                }
                TurnEnd::Over => return,
                TurnEnd::Failed => {
                    drop((claims, slot));
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(self.pause.max(Self::LONGEST_PAUSE));
                }
            }
        }
    }
}
