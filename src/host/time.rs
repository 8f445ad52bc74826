//! Reads the times that runners write as text.

use chrono::DateTime;
#[cfg(feature = "sqlite")]
use chrono::NaiveDate;

use crate::contract::{Instant, is_writable};

/// The instant that a text names, `None` if it can't be read, or RFC 3339 can't write it in UTC.
///
/// Read are RFC 3339 with `T` or a space, the same without an offset (UTC) or with a shorter one (`+0900`, `+09`), and what
/// Go's `time.Time` prints: `2026-04-15 12:00:00.123456789 +0200 CEST m=+12.000345`. All of them begin
/// with `YYYY-MM-DD`, which the coarse bounds in the compiled statements rely on.
pub(crate) fn read_instant(text: &str) -> Option<Instant> {
    // A blank in front would stand before the date.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // The common layouts first: this runs once a row.
    let instant = match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => instant,
        Err(_) => DateTime::parse_from_rfc3339(&to_rfc3339(text)?).ok()?,
    };
    Some(instant.to_utc()).filter(is_writable)
}

/// The same of a text that need not be UTF-8. This runs once a row.
#[cfg(feature = "sqlite")]
pub(crate) fn read_instant_of(bytes: &[u8]) -> Option<Instant> {
    read_utc(bytes).or_else(|| str::from_utf8(bytes).ok().and_then(read_instant))
}

/// The layout that nearly all runners write, in a small part of the time: `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, perhaps a
/// fraction, and `Z`, `+00:00` or nothing. `None` says no more than that it is none of these.
#[cfg(feature = "sqlite")]
fn read_utc(text: &[u8]) -> Option<Instant> {
    let (clock, rest) = text.split_first_chunk::<19>()?;
    let [.., b'-', _, _, b'-', _, _, b'T' | b' ', _, _, b':', _, _, b':', _, _] = clock else { return None };
    let number = |digits: &[u8]| {
        let digit = |number: u32, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'));
        digits.iter().try_fold(0, digit)
    };
    let [year, month, day, hour, minute, second] =
        [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].map(|at| number(&clock[at]));
    let fraction = rest.strip_suffix(b"Z").or_else(|| rest.strip_suffix(b"+00:00")).unwrap_or(rest);
    let nanoseconds = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => number(digits)? * 10_u32.pow(9 - digits.len() as u32),
        _ => return None,
    };
    // The year has four digits, as many as RFC 3339 can write.
    let date = NaiveDate::from_ymd_opt(year?.cast_signed(), month?, day?)?;
    Some(date.and_hms_nano_opt(hour?, minute?, second?, nanoseconds)?.and_utc())
}

/// Whether a text that names an instant has `T`, and behind the seconds a fraction and `Z` at most: then it is in UTC, and
/// stands before another one of them if it is of an earlier second. Of a text that names none it says nothing.
#[cfg(feature = "sqlite")]
pub(crate) fn is_ordered_utc(text: &[u8]) -> bool {
    text.get(10) == Some(&b'T') && text.iter().skip(19).all(|sign| matches!(sign, b'.' | b'0'..=b'9' | b'Z'))
}

/// Another layout's text, as RFC 3339 would have it.
fn to_rfc3339(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let (date, time) = match first.split_once(['T', 't']) {
        Some(parts) => parts,
        None => (first, words.next()?),
    };
    let (time, offset) = match time.find(['+', '-', 'Z', 'z']).map(|at| time.split_at(at)) {
        // Nothing more is known behind an offset that stands by itself.
        Some(_) if words.next().is_some() => return None,
        Some(parts) => parts,
        // Go's; a zone's name and a monotonic reading may follow, and add nothing.
        None => (time, words.next().unwrap_or("Z")),
    };
    let offset = match (offset.len(), offset.contains(':')) {
        // The next word could be its minutes.
        (3, _) if words.next().is_some() => return None,
        (3, _) => format!("{offset}:00"),
        (5, false) => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
        _ => offset.to_owned(),
    };
    Some(format!("{date}T{time}{offset}"))
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
            ("2026-04-15T21:00:00+0900", "2026-04-15T12:00:00Z"),
            ("2026-04-15 21:00:00+0900", "2026-04-15T12:00:00Z"),
            ("2026-04-15 21:00:00.5+09", "2026-04-15T12:00:00.500Z"),
            ("2026-04-15T12:00:00+00", "2026-04-15T12:00:00Z"),
            ("2026-04-15t12:00:00-00", "2026-04-15T12:00:00Z"),
            ("2026-04-15T08:30:00-0330", "2026-04-15T12:00:00Z"),
            ("2026-04-15 12:00:00 Z", "2026-04-15T12:00:00Z"),
            ("2026-04-15 14:00:00 +02:00", "2026-04-15T12:00:00Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("2026-04-15 08:30:00 -0330 -0330", "2026-04-15T12:00:00Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    /// Whatever is changed in a text: what the quick way reads, the long way reads as the same.
    #[cfg(feature = "sqlite")]
    #[test]
    fn the_quick_way_reads_what_the_long_way_does() {
        let mut random = fastrand::Rng::with_seed(1);
        let endings =
            ["", "Z", "+00:00", ".5", ".123Z", ".123456789", ".000000001+00:00", ".Z", ".1234567890Z", "z", "+0000"];
        let signs = b"0123456789-:.TtZz +ZT9\xff";
        let mut read = 0;
        for _ in 0..200_000 {
            let date = ["2026-04-15", "2024-02-29", "0000-01-01", "9999-12-31", "2026-13-01"][random.usize(..5)];
            let clock = ["12:00:00", "23:59:59", "23:59:60", "24:00:00"][random.usize(..4)];
            let text = format!(
                "{date}{}{clock}{}",
                ["T", " ", "t"][random.usize(..3)],
                endings[random.usize(..endings.len())]
            );
            let mut bytes = text.into_bytes();
            for _ in 0..random.usize(..3) {
                let at = random.usize(..bytes.len());
                bytes[at] = signs[random.usize(..signs.len())];
            }
            let long = str::from_utf8(&bytes).ok().and_then(read_instant);
            assert_eq!(read_instant_of(&bytes), long, "{}", String::from_utf8_lossy(&bytes));
            read += u32::from(read_utc(&bytes).is_some());
        }
        assert!(read > 10_000, "{read} of them were read");
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
            "2026-04-15 17:45:00 +05 45",
            "15.04.2026 12:00:00",
            "2026-04-15T12:00:00+9",
            "2026-04-15T12:00:00+090",
            "2026-04-15T12:00:00+09000",
            "2026-04-15T12:00:00+0900 and more",
            "2026-04-15T12:00:00+2500",
            "2026-04-15T12:00:00+é",
            "-2026-04-15T12:00:00Z",
            "+12026-04-15T12:00:00Z",
            // In UTC, these are of years that RFC 3339 does not have.
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+0100",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}
