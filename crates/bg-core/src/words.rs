//! The label and the prompt of a task: texts that many see and nobody changes.

use std::borrow::Cow;
use std::fmt;

use crate::sync::Arc;

/// A label and a prompt. A static text costs nothing, a short prompt is kept as it came, and a long
/// one is shared by everything that shows it, so that a list does not copy it.
///
/// One tag for both, and labels that are not static out of the way, which are few: it lies in every
/// record. Beside the tag is room for a number, which is the keeper's.
#[derive(Clone)]
pub(crate) enum Text {
    Static(u32, &'static str, &'static str),
    Short(u32, &'static str, Box<str>),
    Long(u32, &'static str, Arc<str>),
    Labelled(u32, Box<(Box<str>, Arc<str>)>),
}

impl Text {
    /// The longest prompt that is copied for those who show it, in bytes.
    const SHORT: usize = 512;

    pub(crate) fn new(label: Cow<'static, str>, prompt: Cow<'static, str>) -> Self {
        match (label, prompt) {
            (Cow::Borrowed(label), Cow::Borrowed(prompt)) => Self::Static(0, label, prompt),
            (Cow::Borrowed(label), Cow::Owned(prompt)) if prompt.len() <= Self::SHORT => {
                Self::Short(0, label, prompt.into_boxed_str())
            }
            (Cow::Borrowed(label), Cow::Owned(prompt)) => Self::Long(0, label, prompt.into()),
            (Cow::Owned(label), prompt) => {
                Self::Labelled(0, Box::new((label.into_boxed_str(), prompt.into())))
            }
        }
    }

    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Static(_, label, _) | Self::Short(_, label, _) | Self::Long(_, label, _) => label,
            Self::Labelled(_, both) => &both.0,
        }
    }

    pub(crate) fn prompt(&self) -> &str {
        match self {
            Self::Static(_, _, prompt) => prompt,
            Self::Short(_, _, prompt) => prompt,
            Self::Long(_, _, prompt) => prompt,
            Self::Labelled(_, both) => &both.1,
        }
    }

    /// Returns the keeper's number; 0 if none was set.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Static(number, ..)
            | Self::Short(number, ..)
            | Self::Long(number, ..)
            | Self::Labelled(number, _) => *number,
        }
    }

    pub(crate) fn set_number(&mut self, value: u32) {
        match self {
            Self::Static(number, ..)
            | Self::Short(number, ..)
            | Self::Long(number, ..)
            | Self::Labelled(number, _) => *number = value,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Static(0, "", "")
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        (self.label(), self.prompt()) == (other.label(), other.prompt())
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text")
            .field("label", &self.label())
            .field("prompt", &self.prompt())
            .finish()
    }
}
