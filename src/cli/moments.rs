//! Times as people write them: as an age, as a wait, or as the tool itself shows them.

use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat, TimeDelta, Utc};

use crate::contract::{Instant, is_writable};

/// A moment: a duration ago, counted from now, or an RFC 3339 time. It is fixed here, once for the whole command.
pub(super) fn moment(text: &str) -> Result<String, String> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| chrono::Duration::from_std(ago).ok());
    // A year before 0 can't be written.
    if let Some(moment) = ago.and_then(|ago| Utc::now().checked_sub_signed(ago)).filter(|moment| moment.year() >= 0) {
        return Ok(moment.to_rfc3339_opts(SecondsFormat::Millis, true));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected how long ago (24h, 7d, 90m) or an RFC 3339 time (2026-04-15T02:00:00Z)".to_owned()),
    }
}

/// A moment to come: a duration from now, or an RFC 3339 time.
pub(super) fn later(text: &str) -> Result<Instant, String> {
    let after = humantime::parse_duration(text).ok().and_then(|after| chrono::Duration::from_std(after).ok());
    if let Some(moment) = after.and_then(|after| Utc::now().checked_add_signed(after)).filter(is_writable) {
        return Ok(moment);
    }
    let moment = DateTime::parse_from_rfc3339(text).map(|moment| moment.to_utc());
    moment.map_err(|_| "expected in how long (2h, 90m) or an RFC 3339 time (2026-04-15T02:00:00Z)".to_owned())
}

/// The last moment of what is written. Times are shown to the second, so a run whose time is copied was created somewhere
/// within that second.
pub(super) fn until(text: &str) -> Result<String, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(shown) => Ok(end_of(shown, text).to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Err(_) => moment(text),
    }
}

/// The end of the second, or of the part of one, that `text` says.
fn end_of(shown: DateTime<FixedOffset>, text: &str) -> DateTime<FixedOffset> {
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    let unit = 10_i64.pow(9_u32.saturating_sub(u32::try_from(digits).unwrap_or(9)));
    shown.checked_add_signed(TimeDelta::nanoseconds(unit - 1)).unwrap_or(shown)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn until_means_all_of_what_is_written() {
        for (text, last) in [
            ("2026-04-15T02:00:00Z", "2026-04-15T02:00:00.999999999Z"),
            ("2026-04-15T02:00:00.25+02:00", "2026-04-15T02:00:00.259999999+02:00"),
            ("2026-04-15t02:00:00.123456789z", "2026-04-15T02:00:00.123456789Z"),
            ("2026-04-15T02:00:00.1234567891Z", "2026-04-15T02:00:00.123456789Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(until(text).unwrap(), last);
        }
        assert!(until("2026-04-15").is_err() && until("1h").unwrap().ends_with('Z'));
    }
}
