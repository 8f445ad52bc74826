//! The company's clock: tasks are due by it, and nights are nights by it.

use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// A time zone without summer time.
pub(super) struct Zone {
    pub(super) name: &'static str,
    hours_ahead_of_utc: i64,
}

const ZONES: [Zone; 2] =
    [Zone { name: "UTC", hours_ahead_of_utc: 0 }, Zone { name: "Asia/Tokyo", hours_ahead_of_utc: 9 }];

/// When the database's host was down, in minutes since midnight: from 01:10 to 04:40.
const OUTAGE: Range<i64> = 70..280;

/// From ten past five on, what comes round every half an hour has succeeded again.
const MORNING: i64 = 310;

impl Zone {
    /// Somewhere where last night is over and the next one's tasks are not due yet: they would
    /// succeed, and the story would be over.
    pub(super) fn by_day_at(now: DateTime<Utc>) -> Zone {
        let [utc, tokyo] = ZONES;
        let at_night = (OUTAGE.start..MORNING).contains(&utc.minute(now));
        if at_night { tokyo } else { utc }
    }

    /// The last night's outage.
    pub(super) fn outage_before(&self, now: DateTime<Utc>) -> Range<DateTime<Utc>> {
        let today = self.date(now);
        let date = if self.minute(now) < MORNING { today - Days::new(1) } else { today };
        self.instant(date, OUTAGE.start)..self.instant(date, OUTAGE.end)
    }

    pub(super) fn date(&self, at: DateTime<Utc>) -> NaiveDate {
        self.local(at).date()
    }

    /// The moment that is so many minutes after a day's midnight.
    pub(super) fn instant(&self, date: NaiveDate, minute: i64) -> DateTime<Utc> {
        (NaiveDateTime::from(date) + TimeDelta::minutes(minute) - self.ahead()).and_utc()
    }

    fn minute(&self, at: DateTime<Utc>) -> i64 {
        let local = self.local(at);
        (local - NaiveDateTime::from(local.date())).num_minutes()
    }

    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.ahead()
    }

    fn ahead(&self) -> TimeDelta {
        TimeDelta::hours(self.hours_ahead_of_utc)
    }
}
