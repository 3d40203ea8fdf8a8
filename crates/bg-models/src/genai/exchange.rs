//! One request and its answer.

use std::pin::pin;

use bg_sessions::{ModelReply, ModelRequest};
use futures_util::stream::{Stream, StreamExt};
use genai::chat::{ChatStream, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint};
use genai::{Error, ServiceTarget};
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::answer::{Progress, reply};
use super::relay::{Relay, Vendor};
use super::request::{chat_request, options};
use crate::fault::Fault;
use crate::key::without_key;
use crate::server_error::ServerError;

impl Inner {
    pub(super) async fn ask(&self, request: &ModelRequest) -> Result<ModelReply, Fault> {
        let first_token = Instant::now() + self.deadlines.first_token;
        let relay = Relay::open().await?;
        let stream = self.stream(request, &relay).await?;
        let vendor = Vendor {
            client: &self.client,
            base: &self.base,
            key: self.key.as_ref(),
            deadlines: self.deadlines,
        };
        let served = relay.serve(vendor, first_token);
        let turn = request.messages.len();
        let reply = self.receive(stream, served, first_token, turn).await?;
        Ok(without_key(self.key.as_ref(), reply))
    }

    /// What `genai` will make of the answer. Nothing is sent before it is asked for an event.
    async fn stream(&self, request: &ModelRequest, relay: &Relay) -> Result<ChatStream, Fault> {
        let target = ServiceTarget {
            endpoint: Endpoint::from_owned(relay.base(&self.base)?),
            auth: AuthData::from_single(relay.word()),
            model: self.model.clone(),
        };
        let options = options(request, self.max_output_tokens);
        let stream = self.genai.exec_chat_stream(target, chat_request(request), Some(&options));
        let stream = stream.await.map_err(|error| Fault::Unwritable { source: error.into() });
        stream.map(|answer| answer.stream)
    }

    /// Serves the relay and receives the answer. What the relay says of an end goes before what
    /// `genai` makes of it.
    async fn receive(
        &self,
        events: impl Stream<Item = Result<ChatStreamEvent, Error>>,
        served: impl Future<Output = Result<(), Fault>>,
        first_token: Instant,
        turn: usize,
    ) -> Result<ModelReply, Fault> {
        let (mut events, mut served) = (pin!(events), pin!(served));
        let mut progress = Progress::default();
        let (mut is_served, mut fault) = (false, None);
        let (mut until, mut count) = (first_token, 0);
        loop {
            let event = tokio::select! {
                biased;
                served = &mut served, if !is_served => {
                    (is_served, fault) = (true, served.err());
                    continue;
                }
                event = timeout_at(until, events.next()) => event,
            };
            let event = match event {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Err(fault.unwrap_or_else(|| fault_of(error, count))),
                Ok(None) => return Err(fault.unwrap_or(Fault::Cut { events: count })),
                Err(_) if progress.has_begun() => return Err(self.deadlines.no_further_token()),
                Err(_) => return Err(self.deadlines.no_first_token()),
            };
            if let Some(end) = progress.add(event)? {
                let cut = || fault.unwrap_or(Fault::Cut { events: count });
                return reply(end, turn)?.ok_or_else(cut);
            }
            count += 1;
            if progress.has_begun() {
                until = Instant::now() + self.deadlines.silence;
            }
        }
    }
}

/// What `genai` says of an event that the relay has passed on.
fn fault_of(error: Error, events: u64) -> Fault {
    match error {
        Error::ChatResponse { body, .. } => match ServerError::find(&body) {
            Some(error) => Fault::Server(error),
            None => Fault::Malformed { problem: body.to_string() },
        },
        Error::StreamParse { serde_error, .. } => {
            Fault::Malformed { problem: serde_error.to_string() }
        }
        // The connection to the relay, which has nothing more to say.
        Error::WebStream { .. } => Fault::Cut { events },
        error => Fault::Malformed { problem: error.to_string() },
    }
}
