//! A text as a time: what is read is what chrono reads, and lies near the date that the text begins with.

use bulk_rerun::fuzzing::read_instant;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = read_instant(text);
    let is_plain = |instant: &DateTime<Utc>| (0..=9999).contains(&instant.year());
    let rfc3339 = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc());
    if let Some(expected) = rfc3339.filter(is_plain) {
        assert_eq!(read, Some(expected), "{text:?}");
    }
    // RFC 3339 has no other years.
    let Some(instant) = read.filter(is_plain) else { return };
    // The compiled statements compare the texts first, with a day of slack.
    let date = text.get(..10).and_then(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").ok());
    let date = date.unwrap_or_else(|| panic!("{text:?} begins with no date"));
    let noon = date.and_hms_opt(12, 0, 0).unwrap().and_utc();
    assert!((instant - noon).abs() <= TimeDelta::hours(36), "{text:?} is {instant}");
    for layout in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(naive) = NaiveDateTime::parse_from_str(text, layout) {
            assert_eq!(instant, naive.and_utc(), "{text:?}");
        }
    }
    for layout in ["%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(zoned) = DateTime::parse_from_str(text, layout) {
            assert_eq!(instant, zoned.to_utc(), "{text:?}");
        }
    }
    assert_eq!(read_instant(&instant.to_rfc3339()), Some(instant), "{text:?}");
}
