//! Stands in for the errands where there are none: the workloads that need them need Linux.

use std::process::ExitCode;

/// What a workload starts this program again for.
pub(crate) enum Errand {}

impl Errand {
    pub(crate) fn parse(
        _word: &str,
        _words: &mut impl Iterator<Item = String>,
    ) -> Option<Result<Self, String>> {
        None
    }

    pub(crate) fn run(self) -> ExitCode {
        match self {}
    }
}
