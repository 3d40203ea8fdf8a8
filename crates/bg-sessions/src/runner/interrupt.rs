//! What may break into a turn: a stop, and words from outside.

use std::pin::pin;

use bg_core::{Mailbox, Message};
use futures_util::future::{Either, select, select_all};
use tokio_util::sync::CancellationToken;

use crate::error::RunError;

/// Where a turn is stopped from, and where it is told things while it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    pub(crate) stop: CancellationToken,
    /// Those of the turn itself: what they have accepted is heard before it ends.
    pub(crate) own: Vec<Mailbox>,
    /// One that outlives the turn.
    pub(crate) standing: Option<Mailbox>,
}

impl Interrupts {
    /// Waits for an interrupt; a stop comes before words if both are there.
    ///
    /// # Cancel safety
    ///
    /// Safe: words are received in the poll that returns them.
    pub(crate) async fn next(&self) -> RunError {
        match select(pin!(self.stop.cancelled()), pin!(self.words())).await {
            Either::Left(_) => RunError::Stopped,
            Either::Right((words, _)) => RunError::Interrupted(words),
        }
    }

    async fn words(&self) -> String {
        let mut open: Vec<_> = self.own.iter().chain(&self.standing).map(Mailbox::recv).collect();
        while !open.is_empty() {
            let (message, _, others) = select_all(open).await;
            if let Some(message) = message {
                return words_of(message);
            }
            open = others;
        }
        std::future::pending().await
    }

    /// Takes no more words for this turn, if all that were accepted have been heard.
    pub(crate) fn close_if_heard(&self) -> bool {
        self.own.iter().all(Mailbox::close_if_empty)
    }
}

/// What a message says to a model.
pub(crate) fn words_of(message: Message) -> String {
    match message {
        Message::Text(text) => text,
        Message::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Message::Data(data) => data.to_string(),
        _ => String::new(),
    }
}
