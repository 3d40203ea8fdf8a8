//! How the output of a process that has exited came to its end.

use serde_json::{Value, json};

use crate::receipt::Leftover;

/// Exit and end of output are two events; this is what is said of the second.
pub(crate) struct OutputEnd {
    /// Who held a pipe open when the time for it was over; `None` if the output is complete.
    holders: Option<Vec<Leftover>>,
}

impl OutputEnd {
    pub(crate) const COMPLETE: Self = Self { holders: None };

    pub(crate) fn held_by(holders: Vec<Leftover>) -> Self {
        Self { holders: Some(holders) }
    }

    /// Adds what is to be said to the data of an outcome.
    pub(crate) fn with(&self, mut data: Value) -> Value {
        if let Some(holders) = &self.holders {
            data["output_incomplete"] = json!({ "holders": holders });
        }
        data
    }

    /// The same for an outcome that has no other data.
    pub(crate) fn data(&self) -> Option<Value> {
        self.holders.is_some().then(|| self.with(json!({})))
    }

    /// The line that tells of it in a trace.
    pub(crate) fn line(&self) -> Option<String> {
        let holders = self.holders.as_ref()?;
        let named: Vec<_> =
            holders.iter().map(|who| format!("{} ({})", who.pid, who.command)).collect();
        let who = if named.is_empty() { "another process".to_owned() } else { named.join(", ") };
        Some(format!("output incomplete: the pipe was held by {who}"))
    }
}
