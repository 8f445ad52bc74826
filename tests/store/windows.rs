//! Bounds on the time of creation, where an index finds it: the instants decide, however each time is written.

use std::collections::BTreeSet;

use crate::support::calls::{call, open};
use crate::support::{Row, Store};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

/// How a runner may write a time; each begins with the date where it was written.
fn written(at: DateTime<Utc>) -> Vec<String> {
    let at_offset = |minutes: i32, layout: &str| {
        at.with_timezone(&FixedOffset::east_opt(minutes * 60).unwrap()).format(layout).to_string()
    };
    vec![
        at_offset(0, "%Y-%m-%dT%H:%M:%S%.fZ"),
        at_offset(0, "%Y-%m-%dT%H:%M:%S%.9fZ"),
        at_offset(0, "%Y-%m-%d %H:%M:%S%.3fZ"),
        at_offset(0, "%Y-%m-%dt%H:%M:%S%.3fz"),
        at_offset(0, "%Y-%m-%dT%H:%M:%S%.f"),
        at_offset(0, "%Y-%m-%d %H:%M:%S%.f"),
        at_offset(0, "%Y-%m-%d %H:%M:%S%.6f+00:00"),
        at_offset(1_439, "%Y-%m-%dT%H:%M:%S%.f%:z"),
        at_offset(-1_439, "%Y-%m-%dT%H:%M:%S%.f%:z"),
        at_offset(-720, "%Y-%m-%dT%H:%M:%S%.f%z"),
        at_offset(840, "%Y-%m-%d %H:%M:%S%.f %z +14"),
        // Only the sign at the end says UTC, and it is a zone's name.
        at_offset(-720, "%Y-%m-%dT%H:%M:%S%.f %z BAZ"),
        at_offset(780, "%Y-%m-%dT%H:%M:%S%.f\t%z\tNZ"),
        at_offset(-720, "%Y-%m-%dT%H:%M:%S%.f\t%z\tZ"),
    ]
}

#[test]
fn the_instants_decide_however_a_time_is_written() {
    let noon: DateTime<Utc> = "2026-04-15T12:00:00Z".parse().unwrap();
    let milliseconds = |number| TimeDelta::milliseconds(number);
    let hour = 3_600_000;
    let apart =
        [-47 * hour, -24 * hour, -12 * hour, -1_000, -500, 0, 1, 500, 999, 1_000, 12 * hour, 24 * hour, 47 * hour];
    let instants = apart.map(|apart| noon + milliseconds(apart));
    let mut rows: Vec<Row> = Vec::new();
    for (number, at) in instants.iter().enumerate() {
        let texts = written(*at).into_iter().enumerate();
        rows.extend(texts.map(|(layout, text)| Row::failed(&format!("{number:02}-{layout:02}"), "backup", &text)));
    }
    // A window of some days is a small part of all time.
    rows.extend([
        Row::failed("first", "backup", "2020-01-01T00:00:00Z"),
        Row::failed("last", "backup", "2030-01-01T00:00:00Z"),
    ]);
    // What is no time is within no bound, and stands between those that are.
    let none =
        ["2026-04-15", "2026-04-15T12:00:00+02:00Z", "2026-04-15T99:00:00Z", "2026-04-15T12:00:00ZZ", "2026-04-15Z"];
    rows.extend(none.iter().enumerate().map(|(number, text)| Row::failed(&format!("none-{number}"), "backup", text)));
    let store = Store::new().holding(&rows);
    let plugin = open(&store.path);
    let ends = instants.iter().flat_map(|at| [*at, *at + milliseconds(250), *at - milliseconds(1)]);
    for (after, before) in ends.flat_map(|end| [(end, end + milliseconds(hour)), (end - milliseconds(49 * hour), end)])
    {
        let [from, to] = [after, before].map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        let filter = json!({"created_after": from, "created_before": to});
        let request = json!({"match_all": true, "filter": filter, "options": {"dry_run": true, "unique_by": "run"}});
        let answer = call(&plugin, &request).unwrap();
        let planned = answer["planned"].as_array().unwrap().iter();
        let found: BTreeSet<String> = planned.map(|plan| plan["rerun_of"].as_str().unwrap().to_owned()).collect();
        let within = instants.iter().enumerate().filter(|(_, at)| (after..=before).contains(at));
        let expected: BTreeSet<String> = within
            .flat_map(|(number, at)| (0..written(*at).len()).map(move |layout| format!("{number:02}-{layout:02}")))
            .collect();
        assert_eq!(found, expected, "from {from} to {to}");
    }
}
