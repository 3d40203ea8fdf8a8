//! How hard a model is asked to think.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How hard a model is asked to think. What a provider makes of it is the adapter's affair.
///
/// # Examples
///
/// ```
/// use bg_sessions::Effort;
///
/// assert_eq!(" High ".parse(), Ok(Effort::High));
/// assert_eq!(Effort::Max.to_string(), "max");
/// let error = "extreme".parse::<Effort>().unwrap_err();
/// assert_eq!(error.to_string(), "expected minimal, low, medium, high or max, not \"extreme\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effort {
    /// As little as the model can.
    Minimal,
    /// Little.
    Low,
    /// In between.
    Medium,
    /// Much.
    High,
    /// As much as the model can.
    Max,
}

/// A text is no effort.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected minimal, low, medium, high or max, not \"{got}\"")]
pub struct EffortError {
    /// What it was, cut and escaped.
    got: String,
}

impl Effort {
    const ALL: [Self; 5] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Max];

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Max => "max",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Effort {
    type Err = EffortError;

    fn from_str(text: &str) -> Result<Self, EffortError> {
        let word = text.trim();
        let means = |effort: &Self| effort.as_str().eq_ignore_ascii_case(word);
        let got = || bg_core::text::prefix(word, 64).escape_debug().to_string();
        Self::ALL.into_iter().find(means).ok_or_else(|| EffortError { got: got() })
    }
}
