//! One request and its answer.

use std::pin::pin;

use bg_sessions::{ModelReply, ModelRequest};
use futures_util::stream::{Stream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::assemble::Answer;
use super::events::events;
use super::wire::Chunk;
use crate::body::{body, media_type, refusal};
use crate::fault::Fault;
use crate::key::without_key;
use crate::server_error::ServerError;

/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";

impl Inner {
    pub(super) async fn attempt(
        &self,
        body: Vec<u8>,
        request: &ModelRequest,
    ) -> Result<ModelReply, Fault> {
        let first_token = Instant::now() + self.deadlines.first_token;
        let sent = timeout_at(first_token, self.request(body).send()).await;
        let response = sent.map_err(|_| self.deadlines.no_first_token())??;
        if !response.status().is_success() {
            return Err(Fault::Server(refusal(response, self.deadlines.silence).await));
        }
        let answer = if is_stream(response.headers()) {
            self.streamed(events(response), first_token).await?
        } else {
            let whole = timeout_at(first_token, whole(response)).await;
            whole.map_err(|_| self.deadlines.no_first_token())??
        };
        answer.end(request.messages.len()).map(|reply| without_key(self.key.as_ref(), reply))
    }

    fn request(&self, body: Vec<u8>) -> RequestBuilder {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(body);
        match self.key.as_ref().and_then(super::super::key::Key::header) {
            Some(key) => request.header(AUTHORIZATION, key),
            None => request,
        }
    }

    /// Receives an answer until it ends. Of one that the model has finished nothing is missing but
    /// what it cost, so whatever happens after that is its end.
    async fn streamed(
        &self,
        events: impl Stream<Item = Result<String, Fault>>,
        first_token: Instant,
    ) -> Result<Answer, Fault> {
        let mut events = pin!(events);
        let mut answer = Answer::default();
        let mut count = 0;
        let mut until = first_token;
        loop {
            let data = match timeout_at(until, events.next()).await {
                Ok(Some(Ok(data))) => data,
                _ if answer.is_finished() => return Ok(answer),
                Ok(Some(Err(fault))) => return Err(fault),
                Ok(None) => return Err(Fault::Cut { events: count }),
                Err(_) if answer.has_begun() => {
                    return Err(self.deadlines.no_further_token());
                }
                Err(_) => return Err(self.deadlines.no_first_token()),
            };
            if data.trim() == DONE {
                return Ok(answer);
            }
            count += 1;
            answer.add(chunk(&data)?)?;
            if answer.has_begun() {
                until = Instant::now() + self.deadlines.silence;
            }
        }
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    media_type(headers).to_ascii_lowercase().starts_with("text/event-stream")
}

/// Reads an event, or the error that stands in its place.
fn chunk(data: &str) -> Result<Chunk, Fault> {
    let malformed = |error: serde_json::Error| Fault::Malformed { problem: error.to_string() };
    let value: Value = serde_json::from_str(data).map_err(malformed)?;
    match ServerError::find(&value) {
        Some(error) => Err(Fault::Server(error)),
        None => Chunk::deserialize(value).map_err(malformed),
    }
}

/// Reads an answer that came in one piece.
async fn whole(mut response: Response) -> Result<Answer, Fault> {
    let bytes = body(&mut response).await?;
    let kind = media_type(response.headers()).to_owned();
    let not_a_chat = |problem: String| Fault::NotAChat { kind: kind.clone(), problem };
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| not_a_chat(error.to_string()))?;
    if let Some(error) = ServerError::find(&value) {
        return Err(Fault::Server(error));
    }
    let chunk = Chunk::deserialize(value).map_err(|error| not_a_chat(error.to_string()))?;
    if chunk.choices.as_ref().is_none_or(Vec::is_empty) {
        return Err(not_a_chat("there is no answer in it".to_owned()));
    }
    let mut answer = Answer::default();
    answer.add(chunk)?;
    Ok(answer)
}
