//! How long is waited for what.

use std::time::Duration;

use crate::fault::Fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) connect: Duration,
    pub(crate) first_token: Duration,
    pub(crate) silence: Duration,
}

impl Deadlines {
    pub(crate) const DEFAULT: Self = Self {
        connect: Duration::from_secs(10),
        first_token: Duration::from_secs(300),
        silence: Duration::from_secs(120),
    };

    pub(crate) fn no_first_token(&self) -> Fault {
        Fault::Timeout { what: "first token", after: self.first_token }
    }

    pub(crate) fn no_further_token(&self) -> Fault {
        Fault::Timeout { what: "further token", after: self.silence }
    }
}
