//! The plans that come with the command.

/// Names and texts.
pub(crate) const BUILTIN: [(&str, &str); 2] = [
    ("survey", include_str!("../../plans/survey.toml")),
    ("review", include_str!("../../plans/review.toml")),
];
