//! What can be wrong with a plan, and where.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::model::ChoiceError;

/// A plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// There is no such plan, or it cannot be read.
    #[error(
        "there is no plan \"{name}\": no file of that name can be read, and the built-in plans are: {builtin}"
    )]
    Unreadable {
        name: String,
        builtin: String,
        #[source]
        source: io::Error,
    },
    /// What it says of the model does not fit together with what was asked for.
    #[error(transparent)]
    Model(#[from] ChoiceError),
    /// Something in it is wrong.
    #[error("{place}: {problem}")]
    Wrong { place: Place, problem: String },
}

impl PlanError {
    /// Shows the error with its cause.
    pub(crate) fn chain(&self) -> String {
        match self {
            Self::Unreadable { source, .. } => format!("{self} ({source})"),
            Self::Model(_) | Self::Wrong { .. } => self.to_string(),
        }
    }
}

/// A place in a file, counted from 1; columns in letters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    name: String,
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.line, self.column)
    }
}

/// A plan's text, for telling where something is wrong.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Makes the error for a span of the text.
    pub(crate) fn wrong(self, span: &Range<usize>, problem: impl fmt::Display) -> PlanError {
        self.wrong_lines_after(span, 0, problem)
    }

    /// Makes the error for a line some way below the beginning of a span.
    pub(crate) fn wrong_lines_after(
        self,
        span: &Range<usize>,
        lines: usize,
        problem: impl fmt::Display,
    ) -> PlanError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1 + lines;
        let column = if lines > 0 { 1 } else { before[line_start..].chars().count() + 1 };
        let place = Place { name: self.name.to_owned(), line, column };
        PlanError::Wrong { place, problem: problem.to_string() }
    }
}
