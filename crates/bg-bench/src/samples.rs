//! Medians, percentiles and rounding.

/// Returns the value below which the given share (0 to 1) of the samples lies; NaN without any.
pub(crate) fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to len - 1")]
    let index = (last * share).round() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}

/// Returns the middle sample.
pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(&mut samples.to_vec(), 0.5)
}

/// Rounds to so many significant digits.
pub(crate) fn significant(value: f64, digits: usize) -> f64 {
    // Through text: the result is the nearest float to a short decimal, so it prints short.
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}
