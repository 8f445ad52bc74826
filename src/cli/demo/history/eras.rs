//! How the daemon wrote over the ninety days: it was upgraded and moved, and every version had its own way.

use chrono::{DateTime, Days, TimeDelta, Utc};

use super::zone::Zone;

/// From one start of the daemon to the next: one version of it, on one machine.
pub(super) struct Era {
    days_ago: u64,
    /// The machine's own zone, which says nothing about when tasks are due.
    minutes_ahead_of_utc: i64,
    layout: &'static str,
    /// Go prints how long the process runs (`m=+12.000345`) behind a time that it has never parsed.
    uptime: bool,
    success: &'static str,
}

#[rustfmt::skip]
const ERAS: [Era; 7] = [
    // A pilot on a colleague's laptop in Kathmandu, then a server in Johannesburg, then containers.
    Era { days_ago: 93, minutes_ahead_of_utc: 345, layout: "%Y-%m-%d %H:%M:%S%.f +0545 +0545", uptime: true,  success: "success" },
    Era { days_ago: 80, minutes_ahead_of_utc: 120, layout: "%Y-%m-%d %H:%M:%S%.f +0200 SAST",  uptime: true,  success: "success" },
    Era { days_ago: 66, minutes_ahead_of_utc: 0,   layout: "%Y-%m-%d %H:%M:%S%.f +0000 UTC",   uptime: false, success: "success" },
    Era { days_ago: 60, minutes_ahead_of_utc: 0,   layout: "%Y-%m-%d %H:%M:%S",                uptime: false, success: "success" },
    Era { days_ago: 52, minutes_ahead_of_utc: 0,   layout: "%Y-%m-%d %H:%M:%S%.3f+00:00",      uptime: false, success: "success" },
    Era { days_ago: 31, minutes_ahead_of_utc: 120, layout: "%Y-%m-%dT%H:%M:%S+02:00",          uptime: false, success: "succeeded" },
    Era { days_ago: 24, minutes_ahead_of_utc: 0,   layout: "%Y-%m-%dT%H:%M:%S%.3fZ",           uptime: false, success: "succeeded" },
];

/// An upgrade takes so long; what was due meanwhile is missed.
pub(super) const DOWNTIME: TimeDelta = TimeDelta::minutes(8);

/// The eras, each with the moment at which the daemon started.
pub(super) struct Eras(Vec<(DateTime<Utc>, Era)>);

impl Eras {
    /// Upgrades are done around ten in the morning, by the company's clock.
    pub(super) fn until(now: DateTime<Utc>, zone: &Zone) -> Eras {
        let today = zone.date(now);
        Eras(ERAS.into_iter().map(|era| (zone.instant(today - Days::new(era.days_ago), 10 * 60 + 6), era)).collect())
    }

    /// The first one is where the history begins.
    pub(super) fn starts(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.0.iter().map(|(start, _)| *start)
    }

    /// When the daemon is stopped next.
    pub(super) fn next_stop(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.starts().map(|start| start - DOWNTIME).find(|stop| *stop > after)
    }

    /// Whether the daemon was down at that moment.
    pub(super) fn down(&self, at: DateTime<Utc>) -> bool {
        self.starts().any(|start| (start - DOWNTIME..start).contains(&at))
    }

    /// The word for a success at that moment.
    pub(super) fn success(&self, at: DateTime<Utc>) -> &'static str {
        self.at(at).1.success
    }

    /// A moment as the daemon of that moment wrote it.
    pub(super) fn write(&self, at: DateTime<Utc>) -> String {
        let (start, era) = self.at(at);
        let local = at.naive_utc() + TimeDelta::minutes(era.minutes_ahead_of_utc);
        let text = local.format(era.layout).to_string();
        if !era.uptime {
            return text;
        }
        let uptime = at - *start;
        format!("{text} m=+{}.{:09}", uptime.num_seconds(), uptime.subsec_nanos())
    }

    fn at(&self, at: DateTime<Utc>) -> &(DateTime<Utc>, Era) {
        let index = self.0.partition_point(|(start, _)| *start <= at);
        &self.0[index.saturating_sub(1)]
    }
}
