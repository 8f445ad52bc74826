//! What a user may not do and what a disk can't hold: read-only stores, full disks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::calls::{all_failed, assert_error, files, triggered};
use crate::support::{NEWEST, Row, Store, child};
use serde_json::{Value, json};

const NOON: &str = "2026-04-15T12:00:00Z";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A store that is shut while this lives: its files and its folder have lost their permissions.
struct Shut(Store);

impl Shut {
    /// `file` and `folder`: the permissions that are left.
    fn new(store: Store, file: u32, folder: u32) -> Shut {
        let path = store.path.parent().unwrap();
        files(path).keys().for_each(|name| mode(&path.join(name), file));
        mode(path, folder);
        Shut(store)
    }

    /// What a dry run and a re-run answer to a user who is bound by the permissions.
    fn ask(&self) -> [Result<Value, bulk_rerun::ErrorModel>; 2] {
        let requests = [all_failed(json!({"dry_run": true})), all_failed(json!({}))];
        let command = || child::rerun(child::bound_by_permissions(), self.0.path_str());
        requests.map(|request| child::answer(command(), &request))
    }

    fn reopen(&self) {
        let path = self.0.path.parent().unwrap();
        mode(path, 0o755);
        files(path).keys().for_each(|name| mode(&path.join(name), 0o644));
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.reopen();
    }
}

fn store(journal_mode: &str) -> Store {
    Store::of_generation(NEWEST, journal_mode).holding(&[Row::failed("1", "backup", NOON)])
}

/// A dry run works, a re-run says what is missing, and every file is as it was.
fn assert_only_dry_runs(shut: &Shut) {
    let before = files(shut.0.path.parent().unwrap());
    let [plan, error] = shut.ask();
    assert_eq!(plan.unwrap()["planned"][0]["task_name"], "backup");
    assert_error(&error.unwrap_err(), 500, &["can't be written", "read-only", "a dry run still works"]);
    assert_eq!(files(shut.0.path.parent().unwrap()), before);
}

#[test]
fn a_read_only_store_takes_dry_runs() {
    assert_only_dry_runs(&Shut::new(store("delete"), 0o444, 0o555));
}

#[test]
fn a_read_only_store_in_a_writable_folder_takes_dry_runs() {
    assert_only_dry_runs(&Shut::new(store("delete"), 0o444, 0o755));
}

#[test]
fn a_writable_store_in_a_read_only_folder_takes_dry_runs() {
    // A rollback journal has to be made beside it.
    let shut = Shut::new(store("delete"), 0o644, 0o555);
    let [plan, error] = shut.ask();
    assert_eq!(plan.unwrap()["planned"][0]["task_name"], "backup");
    assert_error(&error.unwrap_err(), 500, &["folder"]);
    assert_eq!(shut.0.dump().len(), 1);
}

#[test]
fn a_read_only_store_in_wal_that_its_host_has_open_takes_dry_runs() {
    let store = store("wal");
    let host = store.open();
    let runs: i64 = host.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(runs, 1);
    assert_only_dry_runs(&Shut::new(store, 0o444, 0o555));
    drop(host);
}

/// Not even a dry run works, and the error does not say that it does.
fn assert_shut_for_dry_runs(shut: &Shut) {
    for answer in shut.ask() {
        let error = answer.unwrap_err();
        assert_error(&error, 500, &["this user", "folder"]);
        assert!(!error.detail.contains("a dry run still works"), "{error}");
    }
}

#[test]
fn a_read_only_store_in_wal_that_nobody_has_open_promises_no_dry_run() {
    // Even reading needs the `-shm` file, which can't be made here.
    let shut = Shut::new(store("wal"), 0o444, 0o555);
    assert_shut_for_dry_runs(&shut);
    assert_eq!(files(shut.0.path.parent().unwrap()).len(), 1);
}

#[test]
fn an_unreadable_store_says_so() {
    let shut = Shut::new(store("delete"), 0o000, 0o755);
    for answer in shut.ask() {
        assert_error(&answer.unwrap_err(), 500, &["can't be opened", "read and write"]);
    }
}

#[test]
fn a_folder_that_may_not_be_entered_says_so() {
    let shut = Shut::new(store("delete"), 0o644, 0o000);
    for answer in shut.ask() {
        assert_error(&answer.unwrap_err(), 500, &["can't be reached", "ermission denied"]);
    }
}

/// A store whose host was killed in a write leaves a journal that has to be played back, which is
/// a write.
#[test]
fn a_read_only_store_with_a_hot_journal_promises_no_dry_run() {
    let store = store("delete");
    let folder = tempfile::tempdir().unwrap();
    let host = store.open();
    host.execute_batch("PRAGMA cache_size = 1; BEGIN").unwrap();
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                INSERT INTO runs (id, task_name, status, triggered_by, created_at) \
                SELECT 'x' || i, 'half written', 'pending', 'cron', '2026-04-15' FROM n";
    host.execute_batch(rows).unwrap();
    // What a crash leaves: the files as they are in the middle of the transaction.
    for (name, content) in files(store.path.parent().unwrap()) {
        fs::write(folder.path().join(name), content).unwrap();
    }
    host.execute_batch("ROLLBACK").unwrap();
    drop(host);
    for name in ["runwisp.db", "runwisp.db-journal"] {
        fs::rename(folder.path().join(name), store.path.with_file_name(name)).unwrap();
    }

    let shut = Shut::new(store, 0o444, 0o555);
    assert_shut_for_dry_runs(&shut);
    shut.reopen();
    // One who may write plays it back.
    assert_eq!(shut.0.dump().len(), 1);
    assert_eq!(shut.0.integrity(), "ok");
}

/// Failed runs whose copies need far more room than a small disk has left.
fn large_store(journal_mode: &str) -> Store {
    let params = json!({"text": "x".repeat(1_000)}).to_string();
    let row = |id| Row::failed(&format!("{id:04}"), &format!("task {id}"), NOON);
    let rows: Vec<_> = (0..1_000).map(|id| row(id).with(|row| row.params_json = Some(params.clone()))).collect();
    let store = Store::of_generation(NEWEST, journal_mode).holding(&rows);
    if journal_mode == "wal" {
        store.open().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    store
}

/// A call that can't fit fails and changes nothing; a small one works afterwards.
fn assert_all_or_nothing(store: &Store, wrapper: &[&str], words: &[&str]) {
    let before = store.dump();
    let small = json!({"ids": ["0007"]});
    let answer = |request: &Value| child::answer(child::rerun(wrapper, store.path_str()), request);
    assert_error(&answer(&all_failed(json!({}))).unwrap_err(), 500, words);
    assert_eq!(store.dump(), before);
    assert_eq!(triggered(&answer(&small).unwrap()), ["task 7"]);
    let after = store.dump();
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(store.integrity(), "ok");
}

#[test]
fn a_full_disk_changes_nothing() {
    if !child::has_small_disks() {
        return;
    }
    for journal_mode in ["wal", "delete"] {
        let store = large_store(journal_mode);
        let wrapper = child::on_a_small_disk(&store.path, 300);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        assert_all_or_nothing(&store, &wrapper, &["disk", "is full", "nothing was"]);
    }
}

/// A write that fails for another reason than a full disk: no file may grow beyond a limit. It
/// needs no rights, so it is tested everywhere.
#[test]
fn a_failed_write_changes_nothing() {
    for journal_mode in ["wal", "delete"] {
        let store = large_store(journal_mode);
        let size = fs::metadata(&store.path).unwrap().len();
        let limit = format!("--fsize={}", if journal_mode == "wal" { 300_000 } else { size + 300_000 });
        // An ignored signal stays ignored in what is executed; unignored, it would end the child.
        let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", "prlimit", &limit];
        assert_all_or_nothing(&store, &wrapper, &["the store failed", "nothing was"]);
    }
}

#[test]
fn a_log_that_can_not_be_written_changes_no_answer() {
    let store = large_store("wal");
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\" 2>/dev/full", "sh", "prlimit", "--fsize=300000"];
    assert_all_or_nothing(&store, &wrapper, &["the store failed", "nothing was"]);
}
