//! Reads the times that runners write as text.

use std::fmt::Write;

use chrono::DateTime;

use crate::contract::Instant;

/// The instant that a text names, `None` if it can't be read.
///
/// Read are RFC 3339 with `T` or a space, the same without an offset (UTC), and what Go's
/// `time.Time` prints: `2026-04-15 12:00:00.123456789 +0200 CEST m=+12.000345`. All of them begin
/// with `YYYY-MM-DD`, which the coarse bounds in the compiled statements rely on.
pub(crate) fn read_instant(text: &str) -> Option<Instant> {
    // A blank in front would stand before the date.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // The common layouts first: this runs once a row.
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    let mut words = text.split_ascii_whitespace();
    let mut rfc3339 = String::with_capacity(40);
    rfc3339.push_str(words.next()?);
    if !rfc3339.contains('T') {
        write!(rfc3339, "T{}", words.next()?).ok()?;
    }
    match words.next() {
        None => rfc3339.push('Z'),
        // Go's `+0200`; a zone's name and a monotonic reading may follow, and add nothing.
        Some(offset) => {
            let (hours, minutes) = offset.split_at_checked(3)?;
            write!(rfc3339, "{hours}:{minutes}").ok()?;
        }
    }
    DateTime::parse_from_rfc3339(&rfc3339).ok().map(|instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<String> {
        read_instant(text).map(|instant| instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn reads_every_layout_found_in_the_field() {
        for (text, expected) in [
            ("2026-04-15T12:00:00.123Z", "2026-04-15T12:00:00.123Z"),
            ("2026-04-15T14:00:00+02:00", "2026-04-15T12:00:00Z"),
            ("2026-04-15 12:00:00.123+00:00", "2026-04-15T12:00:00.123Z"),
            ("2026-04-15 12:00:00", "2026-04-15T12:00:00Z"),
            ("2026-04-15T12:00:00.5", "2026-04-15T12:00:00.500Z"),
            ("2026-04-15 12:00:00.123456789 +0000 UTC", "2026-04-15T12:00:00.123456789Z"),
            ("2026-04-15 12:00:00 +0000 UTC m=+12.000345", "2026-04-15T12:00:00Z"),
            ("2026-04-15 14:00:00.5 +0200 CEST m=+0.000000001", "2026-04-15T12:00:00.500Z"),
            ("2026-04-15 17:45:00 +0545 +0545", "2026-04-15T12:00:00Z"),
            ("2026-04-15 08:30:00 -0330 -0330", "2026-04-15T12:00:00Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn does_not_guess() {
        for text in [
            "",
            " ",
            " 2026-04-15 12:00:00",
            "\n2026-04-15T12:00:00Z",
            "yesterday",
            "2026-04-15",
            "1776254400",
            "2026-04-31 12:00:00",
            "2026-04-15 25:00:00",
            "2026-04-15 12:00:00 UTC",
            "2026-04-15 12:00:00 +é",
            "15.04.2026 12:00:00",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}
