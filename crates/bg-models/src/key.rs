//! The secret by which a server knows its user.

use std::borrow::Cow;
use std::env;
use std::fmt;

use bg_sessions::{ModelReply, Part};
use reqwest::header::HeaderValue;

use crate::error::BuildError;

/// A key shorter than this is taken for a word that stands where a local server wants any key at
/// all. Looking for it in foreign texts would tear those apart and hide nothing.
const SHORTEST_SECRET: usize = 8;

/// What stands where a key was.
const INSTEAD: &str = "[key]";

/// A key. Nothing that it can be printed with shows it.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    /// Reads the key from a variable of the environment.
    pub(crate) fn from_env(name: &str) -> Result<Self, BuildError> {
        let missing = || BuildError::NoKey { variable: name.to_owned() };
        let value = env::var_os(name).ok_or_else(missing)?;
        let unusable = || BuildError::UnusableKey { variable: name.to_owned() };
        let key = Self(value.to_str().ok_or_else(unusable)?.trim().to_owned());
        if key.0.is_empty() {
            return Err(missing());
        }
        key.header().map(|_| key).ok_or_else(unusable)
    }

    /// The header that carries the key, marked so that no library prints it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        sensitive(&format!("Bearer {}", self.0))
    }

    /// A header in which a word stands where the key belongs, marked in the same way.
    #[cfg(feature = "genai")]
    pub(crate) fn in_place_of(&self, word: &str, value: &str) -> Option<HeaderValue> {
        sensitive(&value.replace(word, &self.0))
    }

    /// Takes the key out of a foreign text.
    pub(crate) fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.len() < SHORTEST_SECRET || !text.contains(&self.0) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.replace(&self.0, INSTEAD))
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INSTEAD)
    }
}

/// Takes the key, if there is one, out of a text that a server sent.
pub(crate) fn scrub(key: Option<&Key>, text: &mut String) {
    let Some(key) = key else { return };
    if let Cow::Owned(scrubbed) = key.scrub(text) {
        *text = scrubbed;
    }
}

/// Takes the key out of an answer: a server that sends it back does not get it into a transcript.
pub(crate) fn without_key(key: Option<&Key>, mut reply: ModelReply) -> ModelReply {
    let clean = |text: &mut String| scrub(key, text);
    for part in &mut reply.parts {
        match part {
            Part::Text(text) => clean(text),
            Part::Thinking(thinking) => clean(&mut thinking.text),
            Part::ToolCall(call) => {
                [&mut call.id, &mut call.name, &mut call.args].into_iter().for_each(clean);
            }
            _ => {}
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_no_debug_output_and_in_no_foreign_text() {
        let key = Key("sk-secret-123".to_owned());
        assert_eq!(format!("{key:?} {:?}", key.header().unwrap()), "[key] Sensitive");
        assert_eq!(key.scrub("a sk-secret-123 b sk-secret-123"), "a [key] b [key]");
    }

    #[test]
    fn a_word_in_the_place_of_a_key_tears_no_text_apart() {
        assert_eq!(Key("none".to_owned()).scrub("none of them"), "none of them");
    }
}
