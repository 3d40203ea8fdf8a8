//! Why a run is stopped before its plan is done.

use tokio_util::sync::CancellationToken;

/// Why a run is stopped before its plan is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// By Ctrl-C or another signal, or by `/quit`.
    Interrupt,
    /// As many tokens were spent as may be.
    Tokens,
}

impl Stop {
    /// What is said when it begins.
    pub(crate) fn announcement(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupted: stopping everything (once more to kill at once)",
            Self::Tokens => "the tokens of --max-tokens are spent: stopping everything",
        }
    }

    /// Why something is not started any more.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Interrupt => "the run was interrupted",
            Self::Tokens => "the tokens of the run are spent",
        }
    }
}

/// What ends a run from inside.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) spent: CancellationToken,
    pub(crate) quit: CancellationToken,
}

impl Ends {
    /// Completes when the run is to be stopped.
    pub(crate) async fn wanted(&self) -> Stop {
        tokio::select! {
            () = self.spent.cancelled() => Stop::Tokens,
            () = self.quit.cancelled() => Stop::Interrupt,
        }
    }
}
