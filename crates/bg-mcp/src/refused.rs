//! What is not taken for a message, and what is said to it.

use rmcp::model::{ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage};
use serde_json::Value;
use serde_json::error::Category;

use crate::id_scan::IdScan;
use crate::limits::{MAX_CALLS, MAX_MESSAGE_BYTES};

/// The code of a server that has too much to do, from the range that JSON-RPC leaves to servers.
const BUSY: ErrorCode = ErrorCode(-32000);

/// An answer to what is not let in.
#[derive(Debug)]
pub(crate) struct Refused {
    id: Option<RequestId>,
    code: ErrorCode,
    problem: String,
}

impl Refused {
    pub(crate) fn too_long(id: Option<RequestId>) -> Self {
        let problem =
            format!("the message is too long: at most {MAX_MESSAGE_BYTES} bytes are taken");
        Self { id, code: ErrorCode::INVALID_REQUEST, problem }
    }

    pub(crate) fn too_many(id: RequestId) -> Self {
        let problem = format!("too many calls at once: {MAX_CALLS} wait for their answers");
        Self { id: Some(id), code: BUSY, problem }
    }

    /// Without the id in its place: there, this would be the answer to the first call.
    pub(crate) fn id_in_use(id: &RequestId) -> Self {
        let problem = format!("the id {id} is in use by a call that is not answered");
        Self { id: None, code: ErrorCode::INVALID_REQUEST, problem }
    }

    pub(crate) fn into_message(self) -> ServerJsonRpcMessage {
        ServerJsonRpcMessage::error(ErrorData::new(self.code, self.problem, None), self.id)
    }
}

/// What is said to a line that is no message; `None` if nothing is: to an answer, which would only
/// be answered again, and to a notification that we do not know.
pub(crate) fn not_a_message(line: &[u8], error: &serde_json::Error) -> Option<Refused> {
    let id = IdScan::of(line).request();
    let shape = error.classify() == Category::Data;
    if shape && id.is_none() && is_tolerated(line) {
        return None;
    }
    let (code, problem) = if shape {
        (ErrorCode::INVALID_REQUEST, format!("this is no request: {error}"))
    } else {
        (ErrorCode::PARSE_ERROR, format!("this is no JSON: {error}"))
    };
    Some(Refused { id, code, problem })
}

fn is_tolerated(line: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(line).unwrap_or_default();
    message.get("id").is_none() && message.get("method").is_some_and(Value::is_string)
        || message.get("result").is_some()
        || message.get("error").is_some()
}
