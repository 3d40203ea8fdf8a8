//! Notifications of tasks: a client listens (`subscriptions/listen`), and is told what `tasks/get` would
//! say.
//!
//! The filter that rmcp reads has no ids of tasks, and it acknowledges without them. So both transports
//! give the request another method before rmcp reads it, and it comes to the handler as it was written.
//!
//! # Invariants
//!
//! - N1: nothing is told before the acknowledgement, which names the tasks that will be: the client's own.
//! - N2: each of them is told as it is then, and if it was at work, once more when it has ended. After
//!   that there is nothing to tell, and the stream ends.
//! - N3: what a notification delivers is acknowledged when it was written; over HTTP, where that is not
//!   known of a part of a stream, at the end of the stream.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use rmcp::RoleServer;
use rmcp::model::{
    ClientCapabilities, ClientJsonRpcMessage, ClientRequest, CustomNotification, CustomResult,
    ErrorCode, ErrorData, GetMeta, ProtocolVersion, ServerNotification, TaskStatus,
    TaskStatusNotification,
};
use rmcp::service::RequestContext;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::delivery;
use crate::client::Visit;
use crate::delivery::Delivery;
use crate::handler::bad_params;
use crate::tasks::{self, internal};

/// What the protocol calls it.
const METHOD: &str = "subscriptions/listen";

/// What it is called on its way through rmcp.
const RENAMED: &str = "bg/subscriptions/listen";

/// The header that repeats the method.
const METHOD_HEADER: &str = "mcp-method";

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Returns whether a request that rmcp has no type for is one to listen.
pub(crate) fn is_listen(method: &str) -> bool {
    [METHOD, RENAMED].contains(&method)
}

/// Returns a message as it was written if it is a request to listen, else as rmcp reads it.
pub(crate) fn as_written(message: ClientJsonRpcMessage, text: &[u8]) -> ClientJsonRpcMessage {
    let is_listen = match &message {
        ClientJsonRpcMessage::Request(request) => {
            matches!(request.request, ClientRequest::SubscriptionsListenRequest(_))
        }
        _ => false,
    };
    let written = is_listen.then(|| renamed(text)).flatten();
    written.and_then(|written| serde_json::from_value(written).ok()).unwrap_or(message)
}

/// Returns a message under the other method; `None` if it is no request to listen.
fn renamed(message: &[u8]) -> Option<Value> {
    let mut message: Value = serde_json::from_slice(message).ok()?;
    let method = message.get_mut("method").filter(|method| **method == METHOD)?;
    *method = RENAMED.into();
    Some(message)
}

/// The same over HTTP, where a header says what the body is.
pub(crate) fn renamed_body(headers: &mut HeaderMap, body: Bytes) -> Bytes {
    if headers.get(METHOD_HEADER).is_none_or(|method| method != METHOD) {
        return body;
    }
    let Some(message) = renamed(&body) else { return body };
    headers.insert(METHOD_HEADER, HeaderValue::from_static(RENAMED));
    headers.remove(CONTENT_LENGTH);
    message.to_string().into()
}

/// What a client wants to hear of; the lists of things that it may name as well do not change here.
#[derive(Deserialize)]
struct Params {
    notifications: Filter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    task_ids: Option<BTreeSet<String>>,
}

/// Tells a client of its tasks until all of them have ended, or it has heard enough.
pub(crate) async fn listen(
    params: Option<Value>,
    visit: &Visit,
    context: &RequestContext<RoleServer>,
) -> Result<CustomResult, ErrorData> {
    if context.protocol_version().is_none_or(|version| version < ProtocolVersion::V_2026_07_28) {
        return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, METHOD, None));
    }
    let params = Params::deserialize(params.unwrap_or_default());
    let asked = params.map_err(|_| bad_params(METHOD))?.notifications.task_ids;
    if asked.is_some() && !tasks::are_taken(context) {
        let missing = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(missing));
    }
    let tasks = &visit.room().tasks;
    let _place = tasks.listeners.try_acquire().map_err(|_| {
        ErrorData::invalid_request("too many subscriptions are open: end one of them first", None)
    })?;
    let own: Vec<String> = asked.into_iter().flatten().filter(|id| tasks.has(id).is_ok()).collect();
    Listener { visit, context }.tell_all(own).await?;
    let id = &context.id;
    Ok(CustomResult::new(json!({"resultType": "complete", "_meta": {SUBSCRIPTION_ID: id}})))
}

struct Listener<'a> {
    visit: &'a Visit,
    context: &'a RequestContext<RoleServer>,
}

impl Listener<'_> {
    async fn tell_all(&self, ids: Vec<String>) -> Result<(), ErrorData> {
        let filter = if ids.is_empty() { json!({}) } else { json!({"taskIds": ids}) };
        let acknowledged = CustomNotification::new(
            "notifications/subscriptions/acknowledged",
            Some(json!({"notifications": filter})),
        );
        self.send(ServerNotification::CustomNotification(acknowledged)).await?;
        let tasks = &self.visit.room().tasks;
        let mut ends = FuturesUnordered::new();
        for id in ids {
            if self.tell(&id).await? {
                ends.push(async move {
                    tasks.ended(&id).await;
                    id
                });
            }
        }
        loop {
            let ended = tokio::select! {
                ended = ends.next() => ended,
                () = self.context.ct.cancelled() => None,
            };
            let Some(id) = ended else { return Ok(()) };
            self.tell(&id).await?;
        }
    }

    /// Tells how a task is, if it is kept; returns whether it is at work.
    async fn tell(&self, id: &str) -> Result<bool, ErrorData> {
        let is_http = self.context.extensions.get::<http::request::Parts>().is_some();
        let delivery = if is_http { delivery(self.context) } else { Delivery::new(None) };
        let room = self.visit.room();
        let Ok(task) = room.tasks.get(id, &room.scope, &delivery) else { return Ok(false) };
        let is_at_work = task.status() == TaskStatus::Working;
        let told = TaskStatusNotification::new(task.into());
        self.send(ServerNotification::TaskStatusNotification(told)).await?;
        if !is_http {
            delivery.done();
        }
        Ok(is_at_work)
    }

    /// Returns when it was written, or over HTTP when it is in the stream.
    async fn send(&self, mut notification: ServerNotification) -> Result<(), ErrorData> {
        notification.get_meta_mut().set_subscription_id(self.context.id.clone());
        self.context.peer.send_notification(notification).await.map_err(internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_listen_is_renamed_in_header_and_body_and_nothing_else_is() {
        let listen = br#"{"id":1,"method":"subscriptions/listen","params":{"notifications":{}}}"#;
        let other = br#"{"id":1,"method":"tools/list"}"#;
        let of = |method: &'static str, body: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(METHOD_HEADER, HeaderValue::from_static(method));
            let body = renamed_body(&mut headers, Bytes::from_static(body));
            (headers[METHOD_HEADER].to_str().unwrap().to_owned(), body)
        };
        let (method, body) = of(METHOD, listen);
        assert_eq!(method, RENAMED);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({"id": 1, "method": RENAMED, "params": {"notifications": {}}}));
        // What does not agree with itself is left for rmcp to refuse.
        for (method, body) in [("tools/list", &listen[..]), (METHOD, other), (METHOD, b"{")] {
            assert_eq!(of(method, body), (method.to_owned(), Bytes::from_static(body)));
        }
    }
}
