//! A refusal, as the run keeps it.

use bg_core::{Failure, text};

use super::shield;
use crate::model::BoxError;

/// A hook said no.
#[derive(Debug, thiserror::Error)]
#[error("a hook refused {what}")]
pub(crate) struct Refused {
    what: &'static str,
    #[source]
    reason: Said,
}

impl Refused {
    /// Keeps the words of an error and of its causes: the error itself is code of the host's, which
    /// is asked once, here.
    pub(super) fn new(what: &'static str, error: BoxError) -> Self {
        let failure = shield::run(|| Failure::from(&*error));
        let failure = failure.unwrap_or_else(|fault| Failure::new(format!("its error {fault}")));
        // What its destructor says concerns nobody.
        let _ = shield::run(|| drop(error));
        Self { what, reason: Said::of(failure) }
    }
}

/// What an error said, and its cause.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Said {
    message: String,
    #[source]
    cause: Option<Box<Said>>,
}

impl Said {
    fn of(failure: Failure) -> Self {
        let causes = failure.causes.into_iter().rev();
        let cause = causes.fold(None, |cause, said| Some(Box::new(Self::new(said, cause))));
        Self::new(failure.message, cause)
    }

    fn new(message: String, cause: Option<Box<Self>>) -> Self {
        Self { message: text::cut(message, Failure::MAX_MESSAGE_BYTES), cause }
    }
}
