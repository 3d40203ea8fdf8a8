//! Tokens: who a client over HTTP is.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// A bearer token, by which a client is known. It is in no log and no error, and not in its own `Debug`.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

/// This is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The environment variable is not set, or is not text.
    #[error("the environment variable {0} holds no token")]
    NotSet(String),
    /// It is too short to be secret.
    #[error("a token has at least {} characters", Token::MIN_BYTES)]
    TooShort,
    /// It has a blank, a control character or another one that a header cannot have.
    #[error("a token is made of visible ASCII characters")]
    Characters,
}

impl Token {
    /// Fewest bytes of a token.
    pub const MIN_BYTES: usize = 16;

    /// Takes a text as a token, without the blanks around it.
    ///
    /// # Errors
    ///
    /// [`TokenError`], without the text.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_mcp::{Token, TokenError};
    ///
    /// let token = Token::new("3b1f0c9a7d5e4826\n")?;
    /// assert_eq!(format!("{token:?}"), "Token(..)");
    /// assert_eq!(Token::new("secret").unwrap_err(), TokenError::TooShort);
    /// # Ok::<(), TokenError>(())
    /// ```
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        if text.len() < Self::MIN_BYTES {
            return Err(TokenError::TooShort);
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// Takes what an environment variable holds.
    ///
    /// # Errors
    ///
    /// [`TokenError`], without the text.
    pub fn of_variable(variable: &str) -> Result<Self, TokenError> {
        let text = std::env::var(variable);
        Self::new(&text.map_err(|_| TokenError::NotSet(variable.to_owned()))?)
    }

    /// Compares in a time that tells nothing but the length.
    fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Returns which of the tokens a request bears. All are looked at, whichever it is.
pub(crate) fn borne<'a>(
    headers: &HeaderMap,
    tokens: impl Iterator<Item = &'a Token>,
) -> Option<usize> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, given) = value.split_at_checked("Bearer ".len())?;
    let given = scheme.eq_ignore_ascii_case(b"Bearer ").then_some(given.trim_ascii())?;
    tokens.enumerate().filter(|(_, token)| token.is(given)).map(|(nth, _)| nth).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[&str], nth: Option<usize>) {
        let tokens = ["a".repeat(16), "b".repeat(16)].map(|text| Token::new(&text).unwrap());
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(borne(&map, tokens.iter()), nth, "{headers:?}");
    }

    #[test]
    fn only_one_whole_token_is_one() {
        check(&["Bearer bbbbbbbbbbbbbbbb"], Some(1));
        check(&["bearer  aaaaaaaaaaaaaaaa"], Some(0));
        check(&[], None);
        check(&["Bearer "], None);
        check(&["Bearer"], None);
        check(&["Bearer aaaaaaaaaaaaaaa"], None);
        check(&["Bearer aaaaaaaaaaaaaaaaa"], None);
        check(&["Basic aaaaaaaaaaaaaaaa"], None);
        check(&["Bearer aaaaaaaaaaaaaaaa", "Bearer aaaaaaaaaaaaaaaa"], None);
    }
}
