//! Who has to be told of an end when it comes, and not when somebody looks.

use crate::sync::Arc;

/// The machine keeps one, and each clone stands for somebody who would not look by himself.
#[derive(Clone, Default)]
pub(super) struct Interest(Arc<()>);

impl Interest {
    /// Returns whether somebody else has a clone. They are made under the lock, so whoever holds
    /// it sees all of them.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
