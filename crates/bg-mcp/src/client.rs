//! One client: its root, opened when it first calls, closed when it is idle for too long.
//!
//! # Invariants
//!
//! - C1: a client has one room at most. It is taken out under the lock before it is closed, so nobody
//!   enters one that is being closed for idleness.
//! - C2: while somebody visits a room it is not idle.
//!
//! # Lock order
//!
//! The state of a client is a leaf but for the registry's own lock, under which nothing of ours runs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bg_agents::core::CloseReport;
use bg_agents::{Background, Scope, ToolContext};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;
use crate::tools::Allowed;

/// What all clients share.
pub(crate) struct Host {
    pub(crate) background: Background,
    pub(crate) allowed: Allowed,
    /// How long the root of a client over HTTP may be idle.
    pub(crate) idle: Duration,
    /// How long a task of the extension is kept.
    pub(crate) ttl: Duration,
    /// Fires when no root is opened any more.
    pub(crate) closing: CancellationToken,
    /// Fires when all roots are closed.
    pub(crate) closed: CancellationToken,
    pub(crate) clients: Mutex<Vec<Weak<Client>>>,
}

/// Somebody who calls.
pub(crate) struct Client {
    pub(crate) host: Arc<Host>,
    /// How long its root may be idle; `None` for one that goes with its connection.
    idle: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    room: Option<Arc<Room>>,
    visitors: usize,
    left: Option<Instant>,
}

/// The root of a client.
pub(crate) struct Room {
    pub(crate) scope: Scope,
    /// One for the whole root: it remembers what was told.
    pub(crate) cx: ToolContext,
    pub(crate) tasks: Tasks,
}

/// The server takes no calls any more.
#[derive(Debug)]
pub(crate) struct Closing;

/// Somebody is in the room of a client.
pub(crate) struct Visit {
    client: Arc<Client>,
    room: Arc<Room>,
}

impl Client {
    pub(crate) fn new(host: &Arc<Host>, idle: Option<Duration>) -> Arc<Self> {
        let client = Arc::new(Self { host: host.clone(), idle, state: Mutex::default() });
        let mut clients = host.clients.lock();
        clients.retain(|client| client.strong_count() > 0);
        clients.push(Arc::downgrade(&client));
        drop(clients);
        client
    }

    /// Enters the client's room, which is opened if it is not there.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Visit, Closing> {
        let mut state = self.state.lock();
        if self.host.closing.is_cancelled() {
            return Err(Closing);
        }
        let room = match &state.room {
            Some(room) => room.clone(),
            None => self.open(&mut state),
        };
        state.visitors += 1;
        Ok(Visit { client: self.clone(), room })
    }

    fn open(self: &Arc<Self>, state: &mut State) -> Arc<Room> {
        let Host { background, ttl, .. } = &*self.host;
        let scope = background.root_scope();
        let cx = background.context(&scope);
        let tasks = Tasks::new(background.root_scope(), *ttl);
        let room = Arc::new(Room { scope, cx, tasks });
        state.room = Some(room.clone());
        if let Some(idle) = self.idle {
            tokio::spawn(close_when_idle(Arc::downgrade(self), idle));
        }
        room
    }

    fn leave(&self) {
        let mut state = self.state.lock();
        state.visitors -= 1;
        state.left = Some(Instant::now());
    }

    /// Takes the room if it is idle; else says until when to wait.
    fn take_idle(&self, idle: Duration) -> Result<Option<Arc<Room>>, Instant> {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.visitors > 0 {
            return Err(now + idle);
        }
        match state.left.map(|left| left + idle) {
            Some(due) if due > now => Err(due),
            _ => Ok(state.room.take()),
        }
    }

    /// Closes the root, if there is one.
    pub(crate) async fn close(&self, grace: Duration) -> CloseReport {
        let room = self.state.lock().room.take();
        match room {
            Some(room) => room.close(grace).await,
            None => CloseReport::default(),
        }
    }

    /// Completes when nothing runs in the root.
    pub(crate) async fn finished(&self) {
        let room = self.state.lock().room.clone();
        let Some(room) = room else { return };
        while room.scope.live() > 0 {
            let live: Vec<_> = room.scope.snapshot().iter().map(|task| task.id).collect();
            let live = live.into_iter().filter(|id| room.scope.outcome(*id).is_err());
            // What went away meanwhile has ended.
            let _ = room.scope.wait(live.collect::<Vec<_>>()).await;
            tokio::task::yield_now().await;
        }
    }
}

async fn close_when_idle(client: Weak<Client>, idle: Duration) {
    let mut due = Instant::now() + idle;
    loop {
        tokio::time::sleep_until(due).await;
        let Some(client) = client.upgrade() else { return };
        match client.take_idle(idle) {
            Err(later) => due = later,
            Ok(None) => return,
            Ok(Some(room)) => {
                tracing::info!("a root was idle for {} s and is closed", idle.as_secs());
                room.close(Room::GRACE).await;
                return;
            }
        }
    }
}

impl Room {
    /// What tasks get to end by themselves when their root was idle.
    const GRACE: Duration = Duration::from_secs(5);

    async fn close(&self, grace: Duration) -> CloseReport {
        // The calls first: what they wait for ends with the root, and they would answer to nobody.
        let (_, report) = tokio::join!(self.tasks.close(grace), self.scope.close(grace));
        report
    }
}

impl Visit {
    pub(crate) fn host(&self) -> &Host {
        &self.client.host
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.client.leave();
    }
}
