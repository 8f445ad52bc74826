//! What the built-in profiles make of their runners' rows. The runners themselves are in `runner_*`.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::support::calls::{all_failed, assert_error, call, open, open_error, rows, skipped, triggered};
use bulk_rerun::Config;
use bulk_rerun::contract::{Request, Run};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use ulid::Ulid;

const APALIS: &str = include_str!("../support/schemas/apalis-sqlite-1.0.sql");
const DJANGO: &str = include_str!("../support/schemas/django-tasks-db-0.13.sql");

/// A store with a runner's own schema.
struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    fn of(schema: &str) -> Store {
        let store = Store { folder: tempfile::tempdir().unwrap() };
        store.open().execute_batch(schema).unwrap();
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn open(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        // Nothing here has to outlive a power cut.
        connection.pragma_update(None, "synchronous", "off").unwrap();
        connection
    }

    fn runs(&self) -> Vec<Run> {
        let request = Request::from_json(br#"{"match_all": true}"#).unwrap();
        let mut runs = Vec::new();
        open(&self.path())
            .select(&request.selector, &mut |run| {
                runs.push(run);
                Ok(())
            })
            .unwrap();
        runs
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        rows(&self.path(), sql)
    }
}

/// A job of apalis's, and its id.
fn push(store: &Store, id: &str, status: &str, attempts: i64, max_attempts: i64) {
    let sql = "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts) VALUES (x'7B7D', ?1, 'app::Mail', ?2, ?3, ?4)";
    store.open().execute(sql, (id, status, attempts, max_attempts)).unwrap();
}

#[test]
fn apalis_an_id_tells_when_its_job_was_created() {
    let store = Store::of(APALIS);
    let mut random = fastrand::Rng::with_seed(8);
    // A year is 31,556,952,000 ms: from 1970 to the end of 9999, which is as far as a date's four digits go.
    let times = [0, 1, 999, 1_469_922_850_259, 253_402_300_799_999];
    let times = times.into_iter().chain(std::iter::repeat_with(|| random.u64(..253_402_300_800_000)).take(500));
    let ids: Vec<String> = times.map(|ms| Ulid::from_parts(ms, u128::from(ms) * 7_919).to_string()).collect();
    ids.iter().for_each(|id| push(&store, id, "Done", 1, 1));
    let runs = store.runs();
    assert_eq!(runs.len(), ids.len());
    for run in runs {
        let expected: SystemTime = Ulid::from_string(&run.id).unwrap().datetime();
        let created_at: SystemTime = run.created_at.expect("its time can be read").into();
        assert_eq!(created_at, expected, "{}", run.id);
    }
}

#[test]
fn apalis_a_job_with_attempts_left_has_not_failed_yet() {
    let store = Store::of(APALIS);
    let cases = [
        ("Pending", 0, 3, "pending", None, 0),
        ("Queued", 0, 3, "pending", None, 0),
        ("Running", 1, 3, "running", None, 0),
        ("Failed", 1, 3, "pending", None, 0),
        ("Failed", 2, 3, "pending", None, 1),
        ("Failed", 3, 3, "ended", Some("failed"), 2),
        ("Done", 3, 3, "ended", Some("succeeded"), 2),
        ("Killed", 1, 3, "ended", Some("killed"), 0),
    ];
    let ids = cases.map(|(status, attempts, max_attempts, ..)| {
        let id = Ulid::generate().to_string();
        push(&store, &id, status, attempts, max_attempts);
        id
    });
    let runs = store.runs();
    for ((status, attempts, _, phase, end_reason, retry_attempt), id) in cases.into_iter().zip(ids) {
        let run = runs.iter().find(|run| run.id == id).unwrap();
        assert_eq!(run.phase.as_deref(), Some(phase), "{status} after {attempts}");
        assert_eq!(
            (run.end_reason.as_deref(), run.retry_attempt),
            (end_reason, Some(retry_attempt)),
            "{status} after {attempts}"
        );
    }
    let answer = call(&open(&store.path()), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(triggered(&answer).len(), 1);
}

/// Applications choose their own codec: a job may be any bytes.
#[test]
fn apalis_a_job_is_copied_byte_for_byte() {
    let store = Store::of(APALIS);
    for (job, queue) in
        [("x'00FF7B22'", "bytes"), ("CAST('{\"to\": \"Zoë\" }' AS BLOB)", "json"), ("'as text'", "text")]
    {
        let sql = format!(
            "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts, priority, metadata, idempotency_key)
             VALUES ({job}, ?1, ?2, 'Failed', 2, 2, 5, '{{\"trace\":\"7\"}}', 'once')"
        );
        store.open().execute(&sql, (Ulid::generate().to_string(), queue)).unwrap();
    }
    let answer = call(&open(&store.path()), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["bytes", "json", "text"]);
    let same = "SELECT count(*) FROM Jobs AS old JOIN Jobs AS new USING (job_type, job, max_attempts, priority, metadata)
                WHERE old.status = 'Failed' AND new.status = 'Pending' AND typeof(old.job) = typeof(new.job)
                  AND new.attempts = 0 AND new.idempotency_key IS NULL AND new.run_at BETWEEN unixepoch() - 60 AND unixepoch()";
    assert_eq!(store.rows(same), [[Value::Integer(3)]]);
}

#[test]
fn apalis_an_older_schema_is_told_from_the_one_that_is_known() {
    // As apalis-sql 0.7 has it: no result but an error, no metadata, no key.
    let store = Store::of(APALIS);
    store
        .open()
        .execute_batch(
            "DROP INDEX idx_jobs_idempotency_key; ALTER TABLE Jobs DROP COLUMN idempotency_key;
             ALTER TABLE Jobs DROP COLUMN metadata; ALTER TABLE Jobs RENAME COLUMN last_result TO last_error",
        )
        .unwrap();
    let lacks = "lacks the column Jobs.last_result, the column Jobs.metadata, the column Jobs.idempotency_key";
    let path = store.path().to_str().unwrap().to_owned();
    let found = open_error(&Config::new(&path));
    assert_error(&found, 500, &["apalis comes nearest", lacks, "bulk-rerun profiles apalis"]);
    let asked = open_error(&Config { profile: Some("apalis".to_owned()), ..Config::new(path) });
    assert_error(&asked, 500, &["the profile apalis does not fit", lacks]);
}

fn enqueue(store: &Store, id: &str, status: &str, enqueued_at: &str, worker_ids: &str) {
    store
        .open()
        .execute(
            "INSERT INTO django_tasks_database_dbtaskresult VALUES
             (?1, '{\"args\": [1], \"kwargs\": {}}', 0, 'shop.tasks.mail', 'default', 'default', '9999-01-01 00:00:00',
              ?3, NULL, NULL, NULL, '', '', ?4, ?2)",
            [id, status, enqueued_at, worker_ids],
        )
        .unwrap();
}

#[test]
fn django_a_row_is_one_run() {
    let store = Store::of(DJANGO);
    let cases = [
        ("READY", "[]", "pending", None, 0),
        ("RUNNING", "[\"a\"]", "running", None, 0),
        ("SUCCESSFUL", "[\"a\"]", "ended", Some("succeeded"), 0),
        ("FAILED", "[\"a\", \"b\"]", "ended", Some("failed"), 1),
    ];
    for (index, (status, workers, ..)) in cases.iter().enumerate() {
        enqueue(&store, &index.to_string(), status, "2026-04-15 12:00:00", workers);
    }
    for (run, (status, _, phase, end_reason, retry_attempt)) in store.runs().into_iter().zip(cases) {
        assert_eq!(run.phase.as_deref(), Some(phase), "{status}");
        assert_eq!((run.end_reason.as_deref(), run.retry_attempt), (end_reason, Some(retry_attempt)), "{status}");
    }
}

/// Django leaves a fraction out where it is zero, so times of one store differ in their layout.
#[test]
fn django_times_are_read_with_and_without_a_fraction() {
    let store = Store::of(DJANGO);
    enqueue(&store, "1", "FAILED", "2026-04-15 12:00:00.000001", "[]");
    enqueue(&store, "2", "FAILED", "2026-04-15 12:00:00", "[]");
    enqueue(&store, "3", "FAILED", "2026-04-15 11:59:59.999999", "[]");
    let from_noon =
        json!({"match_all": true, "filter": {"created_after": "2026-04-15T12:00:00Z"}, "options": {"dry_run": true}});
    let plan = call(&open(&store.path()), &from_noon).unwrap();
    assert_eq!(plan["planned"], json!([{"task_name": "shop.tasks.mail", "rerun_of": "1", "matched": 2}]));
}

#[test]
fn django_a_uuid_is_found_as_the_table_spells_it() {
    let store = Store::of(DJANGO);
    enqueue(&store, "81db4f3834294af3bfc9cb271364cc73", "FAILED", "2026-04-15 12:00:00", "[]");
    let with_hyphens = "81db4f38-3429-4af3-bfc9-cb271364cc73";
    let answer = call(&open(&store.path()), &json!({ "ids": [with_hyphens] })).unwrap();
    assert_eq!(skipped(&answer), [format!("{with_hyphens}: not_found")]);
}

#[test]
fn django_a_version_that_is_not_known_is_refused_by_its_number() {
    for (migration, number) in [("0018_rename_succeeded_status", 18), ("0022_of_a_day_to_come", 22)] {
        let store = Store::of(DJANGO);
        store.open().execute("UPDATE django_migrations SET name = ?1", [migration]).unwrap();
        let error = open_error(&Config::new(store.path().to_str().unwrap()));
        let words = format!("a schema version from 19 to 21 (it is {number})");
        assert_error(&error, 500, &["django-tasks-db comes nearest", &words, "bulk-rerun profiles django-tasks-db"]);
    }
    let store = Store::of(DJANGO);
    store.open().execute("DELETE FROM django_migrations", ()).unwrap();
    assert_error(&open_error(&Config::new(store.path().to_str().unwrap())), 500, &["(it is 0)"]);
}
