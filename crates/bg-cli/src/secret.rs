//! The key of the model's server, kept out of what is printed and saved.
//!
//! The adapter keeps it out of its own errors. But what agents and processes run inherits the
//! environment, and `env` in a shell prints it.

use std::borrow::Cow;
use std::sync::Arc;

/// A text that is not to be shown, or none.
#[derive(Clone, Default)]
pub(crate) struct Secret {
    key: Option<Arc<str>>,
}

/// Keys that are shorter protect nothing ("none", "sk-1" for a server of one's own), and to take
/// them out would mangle what is no key.
const SHORTEST: usize = 8;

impl Secret {
    /// Takes what an environment variable holds.
    pub(crate) fn of_variable(variable: &str) -> Self {
        Self::new(&std::env::var(variable).unwrap_or_default())
    }

    fn new(key: &str) -> Self {
        let key = Some(key.trim()).filter(|key| key.len() >= SHORTEST);
        Self { key: key.map(Arc::from) }
    }

    /// Returns the text without the key.
    pub(crate) fn hidden_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(key) = self.key.as_deref().filter(|key| text.contains(key)) else {
            return Cow::Borrowed(text);
        };
        Cow::Owned(text.replace(key, "[key]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hidden_wherever_it_is_and_a_word_is_none() {
        let secret = Secret::new(" sk-0123456789\n");
        assert_eq!(secret.hidden_in("a=sk-0123456789 b=sk-0123456789"), "a=[key] b=[key]");
        assert_eq!(Secret::new("none").hidden_in("none of it"), "none of it");
        assert_eq!(Secret::default().hidden_in("x"), "x");
    }
}
