//! How large a conversation is, in tokens.
//!
//! A text is taken to have a token for every four bytes or every two characters, whichever is more
//! (`docs/design/0006-compaction.md` says why). Bytes that are attached are taken to be the text that
//! they are in a request, base64, because what else they cost differs from provider to provider. What
//! the provider has counted wins over that.

use bg_core::text::prefix as bytes_prefix;
use bg_tools::{Resource, ResourceContent, ToolDefinition};

use crate::message::{Message, Part};

/// Estimates the tokens of a text, rounded up.
pub(crate) fn text(text: &str) -> u64 {
    let chars = if text.is_ascii() { text.len() } else { text.chars().count() };
    let tokens = text.len().div_ceil(4).max(chars.div_ceil(2));
    tokens.try_into().unwrap_or(u64::MAX)
}

/// Returns how many bytes a text can have that surely has no more than so many tokens.
pub(crate) fn bytes_within(tokens: u64) -> usize {
    usize::try_from(tokens.saturating_mul(2)).unwrap_or(usize::MAX)
}

/// Returns a prefix of no more than so many tokens.
pub(super) fn prefix(text: &str, tokens: u64) -> &str {
    bytes_prefix(text, bytes_within(tokens))
}

pub(super) fn sum(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

pub(super) fn part(part: &Part) -> u64 {
    match part {
        Part::Text(said) => text(said),
        Part::Thinking(thinking) => {
            sum([text(&thinking.text), text(thinking.signature.as_deref().unwrap_or(""))])
        }
        Part::ToolCall(call) => sum([&call.id, &call.name, &call.args].map(|said| text(said))),
        Part::ToolResult(result) => {
            sum([&result.call_id, &result.name, &result.output].map(|said| text(said)))
        }
        Part::Resource(attached) => resource(attached),
    }
}

/// Most tokens that a picture counts for. Providers charge pictures by what they show, not by their
/// bytes; 2,000 is what defect-agent takes for one. What the provider has counted takes its place.
const IMAGE_TOKENS: u64 = 2000;

fn resource(resource: &Resource) -> u64 {
    let [uri, mime] = [&resource.uri, &resource.mime].map(|text| text.as_deref().unwrap_or(""));
    let content = match &resource.content {
        ResourceContent::Text(said) => text(said),
        ResourceContent::Bytes(bytes) if mime.starts_with("image/") => {
            letters(base64_letters(bytes.len())).min(IMAGE_TOKENS)
        }
        ResourceContent::Bytes(bytes) => letters(base64_letters(bytes.len())),
        _ => 0,
    };
    sum([text(&resource.name), text(uri), text(mime), content])
}

/// The length of bytes in base64: four letters for every three of them (RFC 4648, section 4).
fn base64_letters(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

/// Estimates the tokens of a text of ASCII: what [`text`] makes of it.
fn letters(letters: usize) -> u64 {
    letters.div_ceil(2).try_into().unwrap_or(u64::MAX)
}

pub(super) fn message(message: &Message) -> u64 {
    sum(message.parts.iter().map(part))
}

pub(super) fn messages(messages: &[Message]) -> u64 {
    sum(messages.iter().map(message))
}

pub(super) fn definitions(tools: &[ToolDefinition]) -> u64 {
    let one = |tool: &ToolDefinition| {
        let parameters = tool.parameters.to_string();
        sum([&tool.name, &tool.description, &parameters].map(|said| text(said)))
    };
    sum(tools.iter().map(one))
}

/// Returns `value * numerator / denominator`, rounded down; `value` if there is nothing to divide by.
pub(super) fn scaled(value: u64, numerator: u64, denominator: u64) -> u64 {
    let product = u128::from(value) * u128::from(numerator);
    let scaled = product.checked_div(u128::from(denominator)).unwrap_or(u128::from(value));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// What the provider has counted of a conversation, and what had been estimated for the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// Zero if it has not said.
    counted: u64,
    estimated: u64,
}

impl Meter {
    /// Takes the provider's count of a request for which so much had been estimated.
    pub(crate) fn count(&mut self, counted: u64, estimated: u64) {
        if counted > 0 {
            *self = Self { counted, estimated };
        }
    }

    /// Returns the size of a conversation by its estimate. What was added since the count is
    /// estimated; what is left of a conversation that got smaller is a share of the count.
    pub(crate) fn total(&self, estimated: u64) -> u64 {
        match estimated.checked_sub(self.estimated) {
            _ if self.counted == 0 => estimated,
            Some(added) => self.counted.saturating_add(added),
            None => scaled(self.counted, estimated, self.estimated),
        }
    }
}
