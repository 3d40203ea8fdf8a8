//! What a server has been found not to take.
//!
//! # Invariants
//!
//! 1. A bit is set once and never cleared, and no other memory hangs on it: the order in which
//!    threads see the bits does not matter. Whoever misses one asks once in vain.

use std::sync::atomic::{AtomicU8, Ordering};

use bg_sessions::Effort;

use crate::server_error::ServerError;

const NO_STREAM_OPTIONS: u8 = 1 << 5;
const COMPLETION_TOKENS: u8 = 1 << 6;

/// What is remembered of a server. Values of an effort have a bit each, the lower ones: there are
/// models that take some of them.
#[derive(Debug, Default)]
pub(crate) struct Learned(AtomicU8);

/// What is left out or said in other words in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    bits: u8,
    pub(crate) has_stream_options: bool,
    /// The limit of an answer is called `max_completion_tokens`, not `max_tokens`.
    pub(crate) says_completion_tokens: bool,
}

impl Learned {
    pub(crate) fn dialect(&self) -> Dialect {
        let bits = self.0.load(Ordering::Relaxed);
        Dialect {
            bits,
            has_stream_options: bits & NO_STREAM_OPTIONS == 0,
            says_completion_tokens: bits & COMPLETION_TOKENS != 0,
        }
    }

    /// Learns from an error. Returns whether the same request in the dialect of now is another one
    /// than in that of then, so that it is worth asking again; that happens once a bit at most.
    pub(crate) fn learn(
        &self,
        then: Dialect,
        effort: Option<Effort>,
        has_limit: bool,
        error: &ServerError,
    ) -> bool {
        let effort = effort.filter(|_| error.refuses_field("reasoning_effort"));
        let lessons = [
            effort.map(bit),
            error.refuses_field("stream_options").then_some(NO_STREAM_OPTIONS),
            (has_limit && error.refuses_field("max_tokens")).then_some(COMPLETION_TOKENS),
        ];
        let news = lessons.into_iter().flatten().fold(0, |all, bit| all | bit) & !then.bits;
        self.0.fetch_or(news, Ordering::Relaxed);
        news != 0
    }
}

impl Dialect {
    /// Returns whether the server may know this effort.
    pub(crate) fn has(self, effort: Effort) -> bool {
        self.bits & bit(effort) == 0
    }
}

fn bit(effort: Effort) -> u8 {
    match effort {
        Effort::Minimal => 1,
        Effort::Low => 1 << 1,
        Effort::Medium => 1 << 2,
        // They are sent as the same word.
        Effort::High | Effort::Max => 1 << 3,
        // An effort that is newer than this file.
        _ => 1 << 4,
    }
}
