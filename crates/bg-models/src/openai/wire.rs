//! What a server sends: a whole answer, or the events of a streamed one. Fields that are missing
//! or null are absent; unknown ones are skipped.

use bg_core::Usage;
use serde::Deserialize;
use serde_json::Value;

/// An event, or a whole answer: there `message` stands in the place of `delta`.
#[derive(Debug, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) choices: Option<Vec<Choice>>,
    pub(crate) usage: Option<WireUsage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    pub(crate) index: Option<u64>,
    #[serde(alias = "message")]
    pub(crate) delta: Option<Delta>,
    pub(crate) finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Delta {
    pub(crate) content: Option<Content>,
    pub(crate) reasoning_content: Option<String>,
    /// The same, in the words of other servers.
    pub(crate) reasoning: Option<String>,
    pub(crate) refusal: Option<String>,
    pub(crate) tool_calls: Option<Vec<CallDelta>>,
}

/// Text, or pieces of it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Pieces(Vec<Piece>),
}

impl Content {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Pieces(pieces) => pieces.into_iter().filter_map(|piece| piece.text).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Piece {
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CallDelta {
    pub(crate) index: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) function: Option<FunctionDelta>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FunctionDelta {
    pub(crate) name: Option<String>,
    /// A text; some servers send the object itself.
    pub(crate) arguments: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    /// The same as `cached_tokens`, in the words of another server.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl WireUsage {
    /// One request, and what it cost as far as the server says.
    pub(crate) fn usage(this: Option<Self>) -> Usage {
        let mut usage = Usage::default();
        usage.requests = 1;
        if let Some(wire) = this {
            let cached = wire.prompt_tokens_details.and_then(|details| details.cached_tokens);
            usage.input_tokens = wire.prompt_tokens.unwrap_or_default();
            usage.output_tokens = wire.completion_tokens.unwrap_or_default();
            usage.cached_tokens = cached.or(wire.prompt_cache_hit_tokens).unwrap_or_default();
        }
        usage
    }
}
