//! Time per unit of work.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Divides a time by a count, in nanoseconds.
pub(crate) fn ns_each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

/// Divides a time by a count, in microseconds.
pub(crate) fn us_each(time: Duration, count: usize) -> f64 {
    ns_each(time, count) / 1e3
}

/// Times so many calls in a row, in nanoseconds per call. What a call returns is dropped within
/// the measured time.
pub(crate) fn ns_per_call<R>(calls: usize, mut call: impl FnMut() -> R) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        black_box(call());
    }
    ns_each(start.elapsed(), calls)
}
