//! What a stop did.

use bg_core::{Exit, Failure, Output};
use serde::Serialize;

/// What a stop did: which signals were sent, and how the process exited then.
///
/// It is made once the kernel has said that the process is gone, and is delivered with the outcome,
/// under `receipt` in [`Output::data`](bg_core::Output::data) of the partial output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StopReceipt {
    /// The signals that were sent while the process lived, in order. What it left of its group then
    /// got SIGKILL.
    pub signals: Vec<&'static str>,
    /// How the process exited.
    #[serde(flatten)]
    pub exit: Exit,
    /// What the signals were sent to.
    pub containment: Containment,
}

/// What a stop reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Containment {
    /// The process group; a descendant that has left it is not reached.
    Group,
    /// The process alone.
    Process,
}

impl Containment {
    /// What the system at hand has.
    pub(crate) const HERE: Self = if cfg!(unix) { Self::Group } else { Self::Process };
}

impl StopReceipt {
    /// Puts the receipt into the error with which a stopped process ends.
    pub(crate) fn into_failure(self) -> Failure {
        let message = format!("stopped; {}", self.exit);
        let partial = Output::exited(self.exit);
        Failure::new(message).with_partial(partial.with_data(serde_json::json!({"receipt": self})))
    }
}
