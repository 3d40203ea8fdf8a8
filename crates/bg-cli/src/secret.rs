//! The key of the model's server, kept out of what is printed and saved.
//!
//! The adapter keeps it out of its own errors. But what agents and processes run inherits the
//! environment, and `env` in a shell prints it.

use std::borrow::Cow;
use std::sync::Arc;

/// A text that is not to be shown, or none.
#[derive(Clone, Default)]
pub(crate) struct Secret {
    /// The key as it is, and as it is in JSON where that is something else.
    forms: Arc<[String]>,
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
        let key = key.trim();
        if key.len() < SHORTEST {
            return Self::default();
        }
        let quoted = serde_json::Value::from(key).to_string();
        let mut forms = vec![key.to_owned(), quoted.trim_matches('"').to_owned()];
        forms.dedup();
        Self { forms: forms.into() }
    }

    /// Returns the text without the key.
    pub(crate) fn hidden_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hide = |text: Cow<'a, str>, form: &String| {
            if text.contains(form) { Cow::Owned(text.replace(form, "[key]")) } else { text }
        };
        self.forms.iter().fold(Cow::Borrowed(text), hide)
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
        let odd = Secret::new("sk-\\\"0123456789");
        let text = r#"sk-\"0123456789 {"a":"sk-\\\"0123456789"}"#;
        assert_eq!(odd.hidden_in(text), r#"[key] {"a":"[key]"}"#);
        assert_eq!(Secret::default().hidden_in("x"), "x");
    }
}
