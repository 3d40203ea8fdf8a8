//! The plans that come with the command.

/// Names and texts.
pub(crate) const BUILTIN: [(&str, &str); 1] = [("survey", include_str!("../../plans/survey.toml"))];
