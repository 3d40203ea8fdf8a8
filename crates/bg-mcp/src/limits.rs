//! What a client may take up.

use std::time::Duration;

/// Most bytes of a message. The arguments of a call have a limit of their own, of 1 MiB.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Most requests of a connection, or over HTTP of a client, that are under way at once.
pub(crate) const MAX_CALLS: usize = 256;

/// Most subscriptions of a client at once.
pub(crate) const MAX_LISTENERS: usize = 64;

/// Most connections over HTTP at once.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Most sessions of older protocols of a client at once.
pub(crate) const MAX_SESSIONS: usize = 1024;

/// How long a connection may take to say what it wants.
pub(crate) const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long it may take to send the body of a request.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// How long a client that has closed its end may take to read a message.
pub(crate) const LAST_READ: Duration = Duration::from_secs(5);
