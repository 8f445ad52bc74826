//! When new runs are due, where that is not at once.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};

use crate::contract::{Instant, nearest_writable};

/// When each of a call's new runs is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    from: Instant,
    spread: Duration,
    /// Over which they are spread.
    runs: usize,
}

impl Due {
    /// So many runs, evenly over a time that begins at `from`: the first is due then.
    pub fn new(from: Instant, spread: Duration, runs: usize) -> Self {
        Due { from, spread, runs: runs.max(1) }
    }

    /// When one of them is, in RFC 3339 and UTC.
    pub fn of(&self, index: usize) -> String {
        let after = self.spread.as_micros() * index as u128 / self.runs as u128;
        let after = i64::try_from(after).ok().map(TimeDelta::microseconds);
        // What can't be written is due at the end of days.
        let due = after.and_then(|after| self.from.checked_add_signed(after)).unwrap_or(Instant::MAX_UTC);
        nearest_writable(due).to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_fall_due_evenly_and_none_beyond_what_can_be_written() {
        let from: Instant = "2026-04-15T02:00:00Z".parse().unwrap();
        let minutes = Due::new(from, Duration::from_secs(600), 3);
        let due = ["2026-04-15T02:00:00.000000Z", "2026-04-15T02:03:20.000000Z", "2026-04-15T02:06:40.000000Z"];
        assert_eq!([0, 1, 2].map(|index| minutes.of(index)), due);
        assert_eq!(Due::new(from, Duration::ZERO, 0).of(0), due[0]);
        for spread in [Duration::from_secs(1 << 40), Duration::MAX] {
            assert!(Due::new(from, spread, 2).of(1).starts_with("9999-12-31T23:59:59"));
        }
    }
}
