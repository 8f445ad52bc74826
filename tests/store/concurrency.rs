//! A host that writes all the while: nobody's work is lost, and nothing is spawned on stale knowledge.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::calls::{all_failed, call, config, open, rows};
use crate::support::{NEWEST, Row, Store, insert};
use bulk_rerun::{Plugin, RunFilter, Selector};
use rusqlite::types::Value as Column;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";
const TASKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(2);
const CALLERS: usize = 3;
const HOST_RUNS: usize = 150;

/// What a host does: small transactions of its own, over runs of its own.
struct Host {
    connection: Connection,
    /// What it has written, as it should be found in the end.
    rows: Vec<Row>,
}

impl Host {
    fn new(store: &Store) -> Host {
        Host { connection: store.open(), rows: Vec::new() }
    }

    /// Takes a new run through its life: pending, running, ended.
    fn live_through_a_run(&mut self) {
        let id = format!("host-{:05}", self.rows.len());
        let task = format!("task-{:02}", self.rows.len() % TASKS);
        let params = Some(format!(r#"{{"number":{}}}"#, self.rows.len()));
        let mut row = Row::failed(&id, &task, NOON).with(|row| {
            row.status = "pending".to_owned();
            row.end_reason = None;
            row.params_json = params;
        });
        insert(&mut self.connection, std::slice::from_ref(&row));
        self.update("UPDATE runs SET status = 'running' WHERE id = ?1", &id);
        let end = "UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 7 WHERE id = ?1";
        self.update(end, &id);
        row.status = "ended".to_owned();
        row.end_reason = Some("failed".to_owned());
        row.exit_code = 7;
        self.rows.push(row);
        // SQLite's queue for a lock is not fair: without a moment's pause, one may starve the others.
        thread::sleep(PAUSE);
    }

    /// As RunWisp's driver does it: reads and writes in one transaction that is begun for writing.
    fn update(&mut self, sql: &str, id: &str) {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        assert_eq!(transaction.execute(sql, [id]).unwrap(), 1);
        transaction.commit().unwrap();
    }
}

/// Raises a flag at the end, also at that of a host whose write failed.
struct WhenDropped<'a>(&'a AtomicBool);

impl Drop for WhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What one caller asks for the nth time: everything, with and without options, and single runs.
fn request(number: usize) -> Value {
    match number % 4 {
        0 => all_failed(json!({})),
        1 => all_failed(json!({"unique_by": "params", "limit": 100_000})),
        2 => json!({"ids": ["seed-00", "seed-07", "no such run"], "options": {"unique_by": "run"}}),
        _ => all_failed(json!({"skip_active": true})),
    }
}

fn write_and_rerun(journal_mode: &str) {
    let seeds: Vec<Row> =
        (0..TASKS).map(|n| Row::failed(&format!("seed-{n:02}"), &format!("task-{n:02}"), NOON)).collect();
    let store = Store::of_generation(NEWEST, journal_mode).holding(&seeds);
    let plugin = open(&store.path);
    let done = AtomicBool::new(false);
    let (host, spawned) = thread::scope(|scope| {
        let (plugin, done) = (&plugin, &done);
        let keep_calling = move |caller: usize| {
            let numbers = (caller..).take_while(|_| !done.load(Ordering::Relaxed));
            numbers.flat_map(|number| new_ids(&call_until_done(plugin, &request(number)))).collect::<Vec<_>>()
        };
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || keep_calling(caller))).collect();
        let host = scope.spawn(|| {
            let _done = WhenDropped(done);
            let mut host = Host::new(&store);
            (0..HOST_RUNS).for_each(|_| host.live_through_a_run());
            host.rows
        });
        let spawned = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<_>>();
        (host.join().unwrap(), spawned)
    });

    println!("{journal_mode}: the host wrote {} runs, {} were spawned", host.len(), spawned.len());
    assert_eq!(store.integrity(), "ok");
    let expected: HashSet<&String> = spawned.iter().collect();
    assert_eq!(expected.len(), spawned.len(), "an id was given twice");
    // Everything that is neither the host's nor there before is what the answers say.
    let found = rows(&store.path, "SELECT id FROM runs WHERE id NOT LIKE 'host-%' AND id NOT LIKE 'seed-%'");
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().flatten().all(|id| matches!(id, Column::Text(id) if expected.contains(id))));
    // And what is the host's is as the host wrote it, every column.
    let reference = Store::of_generation(NEWEST, "delete").holding(&seeds).holding(&host);
    let hosts =
        |store: &Store| rows(&store.path, "SELECT * FROM runs WHERE id LIKE 'host-%' OR id LIKE 'seed-%' ORDER BY id");
    assert_eq!(hosts(&store), hosts(&reference));
}

/// As a client does it: a store that was busy for too long is asked again.
fn call_until_done(plugin: &Plugin, request: &Value) -> Value {
    loop {
        match call(plugin, request) {
            Ok(answer) => {
                thread::sleep(PAUSE);
                return answer;
            }
            Err(error) => assert_eq!(error.status, 503, "{error}"),
        }
    }
}

fn new_ids(answer: &Value) -> Vec<String> {
    let triggered = answer["triggered"].as_array().unwrap();
    triggered.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_that_writes_in_wal_loses_nothing() {
    write_and_rerun("wal");
}

#[test]
fn a_host_that_writes_with_a_rollback_journal_loses_nothing() {
    write_and_rerun("delete");
}

#[test]
fn a_search_keeps_no_host_from_writing_in_wal() {
    let failed: Vec<Row> = (0..50).map(|id| Row::failed(&format!("{id:02}"), "backup", NOON)).collect();
    let store = Store::new().holding(&failed);
    let plugin = open(&store.path);
    let host = store.open();
    // Not a moment's wait: what blocks is an error.
    host.busy_timeout(Duration::ZERO).unwrap();
    let mut seen = 0;
    let (filter, except_ids, except_tasks) = (RunFilter::default(), HashSet::new(), HashSet::new());
    let everything = Selector::Matching { filter, except_ids, except_tasks };
    plugin
        .select(&everything, &mut |_| {
            seen += 1;
            host.execute("UPDATE runs SET exit_code = exit_code + 1 WHERE id = '07'", []).unwrap();
            let sql = "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES (?1, 'x', 'pending', 'cron', ?2)";
            host.execute(sql, [format!("new-{seen}").as_str(), NOON]).unwrap();
            Ok(())
        })
        .unwrap();
    // The search sees the store as it was when it began.
    assert_eq!(seen, 50);
    assert_eq!(store.dump().len(), 100);
}

#[test]
fn a_plugin_that_searched_holds_no_lock_between_calls() {
    for journal_mode in ["wal", "delete"] {
        let store = Store::of_generation(NEWEST, journal_mode).holding(&[Row::failed("1", "backup", NOON)]);
        let plugin = Plugin::open(&config(&store.path)).unwrap();
        let host = store.open();
        host.busy_timeout(Duration::ZERO).unwrap();
        let exclusive = || host.execute_batch("BEGIN EXCLUSIVE; COMMIT").unwrap();
        exclusive();
        call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
        exclusive();
        call(&plugin, &all_failed(json!({"limit": 1}))).unwrap();
        exclusive();
        // Calls that failed or did nothing let go as well.
        call(&plugin, &all_failed(json!({"expect_plan": "another"}))).unwrap_err();
        exclusive();
        call(&plugin, &json!({"ids": ["no such run"]})).unwrap();
        exclusive();
        host.execute_batch("BEGIN IMMEDIATE").unwrap();
        call(&plugin, &all_failed(json!({}))).unwrap_err();
        host.execute_batch("COMMIT").unwrap();
        exclusive();
    }
}
