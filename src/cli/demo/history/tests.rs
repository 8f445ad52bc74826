use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::types::Value;
use serde_json::json;

use super::*;
use crate::catalogue::Catalogue;
use crate::{BulkRerunBody, Config, Plugin, Reason, Request};

/// A demo's folder, which goes with it.
struct Demo {
    history: History,
    store: PathBuf,
    tasks: PathBuf,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn at(now: &str) -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let (store, tasks) = (folder.path().join("runwisp.db"), folder.path().join("runwisp.toml"));
        let now = utc(now);
        let history = create(&store, now).unwrap();
        std::fs::write(&tasks, catalogue(now)).unwrap();
        Demo { history, store, tasks, _folder: folder }
    }

    fn open(&self) -> Connection {
        Connection::open(&self.store).unwrap()
    }

    fn plugin(&self) -> Plugin {
        let config = Config::new(self.store.to_str().unwrap());
        Plugin::open(&Config { tasks: Some(self.tasks.clone()), ..config }).unwrap()
    }

    /// What a dry run says about the bad night's failures.
    fn bad_night(&self) -> BulkRerunBody {
        let (after, before) = self.history.bad_night;
        let request = json!({
            "match_all": true,
            "filter": {
                "status": "failed,timeout,crashed",
                "created_after": after.to_rfc3339(),
                "created_before": before.to_rfc3339(),
            },
            "options": {"dry_run": true, "skip_active": true, "skip_superseded": true},
        });
        let request = Request::from_json(request.to_string().as_bytes()).unwrap();
        self.plugin().rerun(&request).unwrap()
    }

    fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM runs WHERE {condition}");
        self.open().query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    fn rows(&self) -> Vec<Vec<Value>> {
        let connection = self.open();
        let mut statement = connection.prepare("SELECT * FROM runs ORDER BY id").unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn the_story_holds_at_any_time() {
    for now in [
        "2026-10-15T00:30:00Z",
        "2026-10-15T01:10:00Z",
        "2026-01-01T05:09:59Z",
        "2026-10-15T05:10:00Z",
        "2026-03-02T12:00:00Z",
        "2024-02-29T23:59:00Z",
    ] {
        let demo = Demo::at(now);
        let (after, before) = demo.history.bad_night;
        assert!(after < before && before < utc(now), "{now}");
        assert!(utc(now) - after < TimeDelta::hours(36), "{now}");

        let body = demo.bad_night();
        let planned = body.planned.unwrap();
        let mut reasons = BTreeMap::<Reason, u32>::new();
        for skipped in &body.skipped {
            *reasons.entry(skipped.reason).or_default() += 1;
        }
        assert_eq!(planned.len(), 8, "{now}: {planned:?}");
        let count = |reason| reasons.get(&reason).copied().unwrap_or(0);
        for reason in [Reason::Service, Reason::UnknownTask, Reason::TriggerDisabled] {
            assert_eq!(count(reason), 1, "{now}: {:?}", body.skipped);
        }
        // What comes round often may just be running.
        assert!(count(Reason::Active) >= 1 && count(Reason::Superseded) >= 2, "{now}: {:?}", body.skipped);
        assert_eq!(count(Reason::Active) + count(Reason::Superseded), 5, "{now}: {:?}", body.skipped);
        assert!((10..=18).contains(&(planned.len() + body.skipped.len())));
    }
}

#[test]
fn the_store_is_one_that_the_plugin_reads() {
    let demo = Demo::at("2026-10-15T12:00:00Z");
    let survey = demo.plugin().survey().unwrap();
    assert_eq!(survey.unreadable_times, 0);
    assert_eq!((survey.runs, survey.tasks), (demo.history.runs, demo.history.tasks));
    assert!((15_000..40_000).contains(&survey.runs), "{survey:?}");
    assert_eq!(demo.count("deleted_at IS NOT NULL"), demo.history.deleted as i64);
    assert!(demo.history.deleted > 0);
    let mode: String = demo.open().pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    Catalogue::read(&demo.tasks).unwrap();
    toml::from_str::<toml::Table>(&catalogue(utc("2026-10-15T03:00:00Z"))).unwrap();
}

#[test]
fn the_same_moment_makes_the_same_store() {
    let [one, other] = [(); 2].map(|()| Demo::at("2026-10-15T12:00:00Z"));
    assert!(one.rows() == other.rows());
}

#[test]
fn rows_are_as_the_daemon_leaves_them() {
    let demo = Demo::at("2026-10-15T12:00:00Z");
    for never in [
        "status <> 'ended' AND (exit_code <> 0 OR end_reason IS NOT NULL OR ended_at IS NOT NULL)",
        "status = 'ended' AND (end_reason IS NULL OR ended_at IS NULL)",
        "end_reason IN ('skipped', 'missed', 'start_failed') AND (exit_code <> -1 OR started_at IS NOT NULL)",
        "end_reason = 'crashed' AND exit_code <> -2",
        "end_reason IN ('success', 'succeeded') AND exit_code <> 0",
        "is_failure <> coalesce(end_reason IN ('failed', 'timeout', 'crashed', 'log_overflow', 'start_failed', 'missed'), 0)",
        "(retry_attempt = 0) <> (retry_of_run_id IS NULL)",
        "retry_of_run_id NOT IN (SELECT id FROM runs)",
        "params_json IS NOT NULL AND (json_type(params_json) <> 'object' OR triggered_by = 'cron')",
        "(triggered_by = 'service') <> (task_name IN ('web-api', 'queue-worker'))",
    ] {
        assert_eq!(demo.count(never), 0, "{never}");
    }
    for (at_least, some) in [
        (1, "status = 'pending'"),
        (3, "status = 'running'"),
        (2, "status = 'running' AND triggered_by = 'service'"),
        (1, "exit_code = 1"),
        (1, "exit_code = 2"),
        (1, "exit_code = 75"),
        (1, "exit_code = 124"),
        (1, "exit_code = 137"),
        (1, "exit_code = 255"),
        (1, "retry_attempt = 3"),
        (1, "triggered_by = 'cli'"),
        (1, "triggered_by = 'startup'"),
        (1, "end_reason = 'missed'"),
        (1, "end_reason = 'log_overflow'"),
        (1, "params_json LIKE '%株式会社%'"),
    ] {
        assert!(demo.count(some) >= at_least, "{some}");
    }
    let ordinary = "deleted_at IS NULL AND is_failure AND created_at < '2026-10-14'";
    let share = demo.count(ordinary) as f64 / demo.history.runs as f64;
    assert!((0.01..0.02).contains(&share), "{share}");
}

#[test]
fn every_layout_of_times_occurs() {
    let demo = Demo::at("2026-10-15T12:00:00Z");
    let connection = demo.open();
    let mut statement = connection.prepare("SELECT created_at FROM runs").unwrap();
    let texts = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let layouts: BTreeSet<String> = texts.map(|text| shape(&text.unwrap())).collect();
    let expected = [
        "9-9-9 9:9:9",
        "9-9-9 9:9:9.9 +9 +9 m=+9.9",
        "9-9-9 9:9:9.9 +9 SAST m=+9.9",
        "9-9-9 9:9:9.9 +9 UTC",
        "9-9-9 9:9:9.9+9:9",
        "9-9-9T9:9:9+9:9",
        "9-9-9T9:9:9.9Z",
    ];
    assert_eq!(layouts.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// A text with every number as 9.
fn shape(text: &str) -> String {
    let mut shape = text.replace(|sign: char| sign.is_ascii_digit(), "9");
    while shape.contains("99") {
        shape = shape.replace("99", "9");
    }
    shape
}
