//! Ids of tasks and their one text form.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest word a [`Kind`] can have, in bytes: with it every id fits in [`MAX_ID_BYTES`].
pub const MAX_KIND_BYTES: usize = 11;

/// Longest text that is read as a task id, in bytes.
pub const MAX_ID_BYTES: usize = 32;

/// The kind of a task: a lower-case word that prefixes the text form of its id.
///
/// Four kinds are known to every registry: [`AGENT`](Kind::AGENT), [`SESSION`](Kind::SESSION),
/// [`PROCESS`](Kind::PROCESS) and [`TASK`](Kind::TASK). A host adds its own words with
/// [`RegistryBuilder::kind`](crate::RegistryBuilder::kind).
///
/// # Examples
///
/// ```
/// use bg_core::Kind;
///
/// const BROWSER: Kind = Kind::new("browser");
/// assert_eq!(BROWSER.as_str(), "browser");
/// assert!(Kind::try_new("Not A Word").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind([u8; MAX_KIND_BYTES]);

impl Kind {
    /// A sub-agent run.
    pub const AGENT: Self = Self::new("agent");
    /// A sub-agent conversation that stays alive between prompts.
    pub const SESSION: Self = Self::new("session");
    /// A child process.
    pub const PROCESS: Self = Self::new("process");
    /// A future of the host's own that was given no kind.
    pub const TASK: Self = Self::new("task");

    /// Makes a kind from a word that is known when the host is compiled.
    ///
    /// # Panics
    ///
    /// Panics where [`try_new`](Self::try_new) would return an error; in a `const` that is a
    /// compile error.
    pub const fn new(word: &str) -> Self {
        match Self::checked(word) {
            Some(kind) => kind,
            None => {
                panic!("a kind is 1 to 11 bytes of a-z, 0-9, '-' and '_', starting with a letter")
            }
        }
    }

    /// Makes a kind from a word.
    ///
    /// # Errors
    ///
    /// [`InvalidKind`] unless the word is 1 to 11 bytes of `a-z`, `0-9`, `-` and `_` and starts
    /// with a letter.
    pub const fn try_new(word: &str) -> Result<Self, InvalidKind> {
        match Self::checked(word) {
            Some(kind) => Ok(kind),
            None => Err(InvalidKind),
        }
    }

    const fn checked(word: &str) -> Option<Self> {
        let bytes = word.as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_KIND_BYTES || !bytes[0].is_ascii_lowercase() {
            return None;
        }
        let mut padded = [0; MAX_KIND_BYTES];
        let mut at = 0;
        while at < bytes.len() {
            if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') {
                return None;
            }
            padded[at] = bytes[at];
            at += 1;
        }
        Some(Self(padded))
    }

    /// Returns the word.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(MAX_KIND_BYTES);
        // Only ASCII is ever stored.
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }
}

/// The word cannot be a [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kind is 1 to 11 bytes of a-z, 0-9, '-' and '_', starting with a letter")]
pub struct InvalidKind;

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a task: its number within a root, and its kind.
///
/// Numbers count up from 1 within a root over all kinds and are not reused. The text form is
/// `kind:N`, for example `agent:7`. An id says nothing about which root it belongs to: it is
/// read through a [`Scope`](crate::Scope), and a scope sees its own root only.
///
/// # Examples
///
/// ```
/// use bg_core::TaskId;
///
/// let id: TaskId = "agent:7".parse()?;
/// assert_eq!(id.number(), 7);
/// assert_eq!(id.to_string(), "agent:7");
/// # Ok::<(), bg_core::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    // First, so that ids sort by number.
    number: NonZeroU64,
    kind: Kind,
}

impl TaskId {
    pub(crate) fn from_parts(kind: Kind, number: NonZeroU64) -> Self {
        Self { number, kind }
    }

    pub(crate) fn nonzero(self) -> NonZeroU64 {
        self.number
    }

    /// Returns the number, counted from 1 within the root.
    pub fn number(self) -> u64 {
        self.number.get()
    }

    /// Returns the kind.
    pub fn kind(self) -> Kind {
        self.kind
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.number)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let read: TaskRef = text.parse()?;
        let kind = read.kind.ok_or_else(|| ParseIdError::new(text))?;
        Ok(Self::from_parts(kind, read.number))
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A task as somebody wrote it: `kind:N` with the kind in any case, or a bare `N`.
///
/// Surrounding blanks are ignored. [`Scope::resolve`](crate::Scope::resolve) turns it into the
/// [`TaskId`] that it means.
///
/// # Examples
///
/// ```
/// use bg_core::{Kind, TaskRef};
///
/// let written: TaskRef = " Agent:7 ".parse()?;
/// assert_eq!(written.kind(), Some(Kind::AGENT));
/// assert_eq!("7".parse::<TaskRef>()?.kind(), None);
/// assert!("agent:-1".parse::<TaskRef>().is_err());
/// # Ok::<(), bg_core::ParseIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskRef {
    kind: Option<Kind>,
    number: NonZeroU64,
}

impl TaskRef {
    /// Returns the kind, if one was written.
    pub fn kind(self) -> Option<Kind> {
        self.kind
    }

    /// Returns the number.
    pub fn number(self) -> u64 {
        self.number.get()
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_ID_BYTES {
            return None;
        }
        let (kind, digits) = match text.split_once(':') {
            Some((word, digits)) => (Some(Kind::checked(&word.to_ascii_lowercase())?), digits),
            None => (None, text),
        };
        // `u64::from_str` alone would take a plus sign.
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { kind, number: digits.parse().ok()? })
    }
}

impl FromStr for TaskRef {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::read(text).ok_or_else(|| ParseIdError::new(text))
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self { kind: Some(id.kind), number: id.number }
    }
}

/// The text is not a task id.
///
/// The message shows the grammar and at most 64 bytes of the text, escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task id is \"kind:N\" or \"N\" (for example \"agent:7\"), got \"{got}\"")]
pub struct ParseIdError {
    got: String,
}

impl ParseIdError {
    /// Longest part of the text that is repeated in the message, in bytes before escaping.
    const ECHOED_BYTES: usize = 64;

    pub(crate) fn new(text: &str) -> Self {
        let shown = crate::text::prefix(text, Self::ECHOED_BYTES);
        Self { got: shown.escape_debug().flat_map(ascii_only).collect() }
    }
}

/// Escapes what `escape_debug` leaves: bidirectional controls and look-alike letters.
fn ascii_only(c: char) -> impl Iterator<Item = char> {
    let plain = c.is_ascii().then_some(c);
    let escaped = (!c.is_ascii()).then(|| c.escape_unicode()).into_iter().flatten();
    plain.into_iter().chain(escaped)
}
