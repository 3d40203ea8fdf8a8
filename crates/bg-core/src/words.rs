//! Texts that many see and nobody changes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use crate::sync::Arc;

/// A label or a prompt: a static text costs nothing, a short one is kept as it came, and a long one
/// is shared by everything that shows it, so that a list does not copy it.
#[derive(Clone)]
pub(crate) enum Words {
    Static(&'static str),
    Short(Box<str>),
    Long(Arc<str>),
}

impl Words {
    /// The longest text that is copied for those who show it, in bytes.
    const SHORT: usize = 512;
}

impl From<Cow<'static, str>> for Words {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) if text.len() <= Self::SHORT => Self::Short(text.into_boxed_str()),
            Cow::Owned(text) => Self::Long(Arc::from(text)),
        }
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::Static("")
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Words {}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
