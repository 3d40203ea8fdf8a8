//! When a server wants to be asked again.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Reads `retry-after-ms`, or `retry-after` as seconds or as a date. A date that has passed means
/// now. `None` if there is neither, or neither makes sense.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    let millis = headers.get("retry-after-ms").and_then(text);
    let millis = millis.and_then(|text| text.trim().parse::<u64>().ok()).map(Duration::from_millis);
    let seconds_or_date = || parse(headers.get(RETRY_AFTER).and_then(text)?.trim(), now);
    millis.or_else(seconds_or_date)
}

fn parse(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse("7", now), Some(Duration::from_secs(7)));
        assert_eq!(parse("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(parse(date, now), Some(Duration::from_secs(7)));
        assert_eq!(parse(date, now + Duration::from_secs(60)), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "NaN", "1e99"] {
            assert_eq!(parse(nonsense, now), None, "{nonsense}");
        }
    }
}
