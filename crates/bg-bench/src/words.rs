//! The texts that every side is given.

/// The name of a task.
pub(crate) const LABEL: &str = "explore";

/// What a short task is asked to do.
pub(crate) const ERRAND: &str = "warm the cache";

/// What a task is asked to do where its size matters: 103 bytes.
pub(crate) const PROMPT: &str = "Find every test that touches the parser, run those that are slow, \
    and say which of them depend on time.";

/// What a task hands back.
pub(crate) const RESULT: &str = "done";

const _: () = assert!(PROMPT.len() == 103);
