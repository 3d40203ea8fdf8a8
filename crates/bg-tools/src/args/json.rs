//! The text of the arguments as JSON.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::parse::echoed;
use crate::error::ToolError;

/// Longest arguments that are parsed, in bytes.
const MAX_ARGS_BYTES: usize = 1 << 20;
/// Deepest nesting that is parsed.
const MAX_ARGS_DEPTH: usize = 64;

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// Turns the text of the arguments into JSON, after a look at its size and depth.
///
/// Tolerant of what says nothing: no text at all, a byte order mark, an object that was written
/// into a string. Strict where a meaning would have to be guessed: a key that is there twice.
pub(crate) fn parse_json(tool: &str, args: &str) -> Result<Value, ToolError> {
    let value = parsed(tool, args)?;
    match value.as_str() {
        // Parsed once more only: what begins like an object is no string in a string.
        Some(inner) if begins_an_object(inner) => parsed(tool, inner),
        _ => Ok(value),
    }
}

/// Returns the text of arguments that are not meant as an object: what a JSON string holds, or all of
/// it as it came. `None` if that says nothing, is meant as an object after all, or is too long.
pub(crate) fn plain_text(args: &str) -> Option<Cow<'_, str>> {
    let whole = without_mark(args);
    if args.len() > MAX_ARGS_BYTES || whole.trim() == "null" || !is_plain(whole) {
        return None;
    }
    let text = serde_json::from_str(whole).map_or(Cow::Borrowed(whole), Cow::Owned);
    is_plain(&text).then_some(text)
}

/// Says something, and nothing that looks like an object: where that is broken it is an error and no
/// text, so marks do not count wherever they stand.
fn is_plain(text: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c == BYTE_ORDER_MARK;
    let text = text.trim_start_matches(is_blank);
    !text.is_empty() && !text.starts_with('{')
}

fn parsed(tool: &str, args: &str) -> Result<Value, ToolError> {
    let too_big = |what, limit| ToolError::TooBig { tool: tool.to_owned(), what, limit };
    if args.len() > MAX_ARGS_BYTES {
        return Err(too_big("long", "1 MiB"));
    }
    if depth(args) > MAX_ARGS_DEPTH {
        return Err(too_big("deep", "64 levels"));
    }
    let args = without_mark(args);
    // Some models send nothing at all where there is nothing to say.
    let args = if args.trim().is_empty() { "{}" } else { args };
    // Twice, so that numbers are what serde_json makes of them, with whatever features it is built.
    serde_json::from_str::<UniqueKeys>(args)
        .and_then(|UniqueKeys| serde_json::from_str(args))
        .map_err(|source| ToolError::InvalidJson { tool: tool.to_owned(), source })
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn begins_an_object(text: &str) -> bool {
    without_mark(text).trim_start().starts_with('{')
}

/// Returns the depth of nesting. Brackets inside strings do not count.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// JSON in which no object has a key twice: parsers differ about which one counts.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                let key = echoed(&key);
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            keys.insert(key);
            entries.next_value::<Self>()?;
        }
        Ok(self)
    }
}
