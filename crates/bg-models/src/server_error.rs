//! Errors that a server reports, in the words of many servers.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// An error that a server reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerError {
    /// The HTTP status, or the number in the error that takes its place; `None` if there is none.
    pub status: Option<u16>,
    /// The word by which the server calls the error.
    pub code: Option<String>,
    /// What the server says about it.
    pub message: String,
    /// The field of the request that is meant.
    pub param: Option<String>,
    retry_after: Option<Duration>,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// Less often.
    RateLimited,
    /// Later.
    Overloaded,
    /// Shorter.
    TooLong,
    /// Something else.
    Filtered,
    /// With another key.
    Denied,
    /// Never like this.
    Wrong,
}

/// Codes of a conversation that outgrew the window: the OpenAI protocol's, llama.cpp's.
const TOO_LONG_CODES: &[&str] =
    &["context_length_exceeded", "exceed_context_size_error", "request_too_large"];

/// What servers say that have no code for it, in lower case: vLLM, llama.cpp before it had one, LM
/// Studio, Anthropic's and Google's compatible servers, Groq.
const TOO_LONG_TEXTS: &[&str] = &[
    "maximum context length",
    "exceeds the available context size",
    "exceeds the context window",
    "greater than the context length",
    "longer than the maximum model length",
    "prompt is too long",
    "input token count",
    "reduce the length of the messages",
];

/// Codes of filters: the OpenAI protocol's, Azure's.
const FILTER_CODES: &[&str] = &[
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "ResponsibleAIPolicyViolation",
];

/// Codes of a limit that does not pass by waiting: there is no money left. They come with a 429.
const QUOTA_CODES: &[&str] = &["insufficient_quota", "billing_hard_limit_reached"];

/// Words in codes and types of errors that come without a status, and the status that they mean.
const STATUS_OF_WORDS: &[(&str, u16)] = &[
    ("rate_limit", 429),
    ("overloaded", 529),
    ("authentication", 401),
    ("invalid_api_key", 401),
    ("permission", 403),
    ("not_found", 404),
    ("invalid", 400),
    ("badrequest", 400),
];

impl ServerError {
    /// Reads the body of an answer that has the status of an error. A body that is not JSON is the
    /// message itself.
    pub(crate) fn of_status(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let error = json.as_ref().and_then(Self::find);
        let plain =
            || Self { message: String::from_utf8_lossy(body).trim().to_owned(), ..Self::default() };
        Self { status: Some(status), retry_after, ..error.unwrap_or_else(plain) }
    }

    /// Looks for an error where an answer should be: `{"error": {...}}`, `{"error": "..."}`, or
    /// the fields of an error themselves.
    pub(crate) fn find(answer: &Value) -> Option<Self> {
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(Value::String(message)) => {
                Some(Self { message: message.clone(), ..Self::default() })
            }
            Some(error) => Some(Self::read(error)),
            None if answer.get("choices").is_some() => None,
            None => answer.get("message").or(answer.get("detail")).map(|_| Self::read(answer)),
        }
    }

    fn read(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let status = error.get("code").or(error.get("status")).and_then(number);
        let says = text("message").or_else(|| error.get("detail").map(Value::to_string));
        Self {
            status,
            code: text("code").filter(|_| status.is_none()).or_else(|| text("type")),
            message: says.unwrap_or_else(|| error.to_string()),
            param: text("param"),
            retry_after: None,
        }
    }

    /// Returns when the server wants to be asked again, if it says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns whether the server refuses a field of the request, or what is in it.
    pub(crate) fn refuses_field(&self, field: &str) -> bool {
        self.means() == Means::Wrong
            && matches!(self.status, Some(400 | 422))
            && (self.param.as_deref() == Some(field) || self.message.contains(field))
    }

    pub(crate) fn means(&self) -> Means {
        let status = self.status.unwrap_or_else(|| self.status_of_words());
        let is_denied = matches!(status, 401 | 403);
        match status {
            _ if self.has_code(FILTER_CODES) => Means::Filtered,
            _ if self.has_code(QUOTA_CODES) => Means::Denied,
            _ if !is_denied && status != 429 && self.is_too_long() => Means::TooLong,
            413 => Means::TooLong,
            429 => Means::RateLimited,
            408 | 409 | 425 | 500 | 502.. => Means::Overloaded,
            401..=403 => Means::Denied,
            _ => Means::Wrong,
        }
    }

    /// An error without any word that is known is one of the server: it had taken the request.
    fn status_of_words(&self) -> u16 {
        let code = self.code.as_deref().unwrap_or_default().to_lowercase();
        let known = STATUS_OF_WORDS.iter().find(|(word, _)| code.contains(word));
        known.map_or(500, |(_, status)| *status)
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    fn is_too_long(&self) -> bool {
        let message = self.message.to_lowercase();
        self.has_code(TOO_LONG_CODES) || TOO_LONG_TEXTS.iter().any(|text| message.contains(text))
    }

    pub(crate) fn each_foreign_text(&mut self, clean: &mut dyn FnMut(&mut String)) {
        clean(&mut self.message);
        self.code.iter_mut().chain(&mut self.param).for_each(clean);
    }
}

/// Statuses come as numbers and as texts.
fn number(code: &Value) -> Option<u16> {
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..1000).contains(status))
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "HTTP {status}")?,
            None => write!(f, "an error")?,
        }
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(status: Option<u16>, error: &Value, means: Means) {
        let found = match status {
            Some(status) => ServerError::of_status(status, error.to_string().as_bytes(), None),
            None => ServerError::find(error).unwrap(),
        };
        assert_eq!(found.means(), means, "{found:?}");
    }

    #[test]
    fn a_conversation_that_is_too_long_is_known_in_the_words_of_many_servers() {
        let openai = json!({"error": {"code": "context_length_exceeded", "message": "Long."}});
        check(Some(400), &openai, Means::TooLong);
        let llama = json!({"error": {"code": 400, "type": "exceed_context_size_error",
            "message": "the request exceeds the available context size, try increasing it"}});
        check(Some(400), &llama, Means::TooLong);
        check(None, &llama, Means::TooLong);
        let vllm = json!({"object": "error", "type": "BadRequestError", "code": 400, "message":
            "This model's maximum context length is 4096 tokens. However, you requested 5000"});
        check(Some(400), &vllm, Means::TooLong);
        check(Some(413), &json!("large"), Means::TooLong);
    }

    #[test]
    fn an_empty_purse_is_no_rate_limit() {
        let error = json!({"error": {"code": "insufficient_quota", "message": "Pay."}});
        check(Some(429), &error, Means::Denied);
        let error = json!({"error": {"code": "rate_limit_exceeded", "message": "Slow down."}});
        check(Some(429), &error, Means::RateLimited);
        check(None, &error, Means::RateLimited);
    }

    #[test]
    fn an_error_in_the_place_of_an_answer_is_judged_by_its_words() {
        check(None, &json!({"error": {"code": 503, "message": "later"}}), Means::Overloaded);
        check(None, &json!({"error": {"code": "502", "message": "later"}}), Means::Overloaded);
        check(None, &json!({"error": "out of memory"}), Means::Overloaded);
        check(None, &json!({"error": {"type": "invalid_request_error"}}), Means::Wrong);
        check(None, &json!({"error": {"type": "overloaded_error"}}), Means::Overloaded);
        check(None, &json!({"error": {"code": "content_filter"}}), Means::Filtered);
        assert_eq!(ServerError::find(&json!({"choices": [], "error": null})), None);
        assert_eq!(ServerError::find(&json!({"choices": [], "message": "fine"})), None);
    }

    #[test]
    fn statuses_without_a_word_are_judged_by_the_number() {
        for status in [408, 500, 502, 503, 504, 529] {
            check(Some(status), &json!("busy"), Means::Overloaded);
        }
        for status in [401, 403] {
            check(Some(status), &json!("maximum context length"), Means::Denied);
        }
        for status in [302, 400, 404, 422, 501] {
            check(Some(status), &json!("no"), Means::Wrong);
        }
    }
}
