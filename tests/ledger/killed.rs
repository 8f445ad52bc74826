//! Keyed calls by processes that are killed, and by threads beside them, on RunWisp's store: each key is done once, and
//! the ledger has what the store has. `BULK_RERUN_CASES=10000` makes ten thousand of them. (On PostgreSQL:
//! `runner_procrastinate`.)

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;

use crate::support::calls::open;
use crate::support::killed::Calls;
use crate::support::queue_store::lines;
use crate::support::random::number;
use crate::support::{NEWEST, Row, Store, fast_folder};

const FAILED: usize = 100;

/// Stops a process where it is, and tells whether it holds SQLite's write lock: in WAL that is byte 120 of the `-shm`
/// file.
fn is_writing(store: &Store, process: &Child) -> bool {
    // SAFETY: a signal to a child that was not waited for yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(process.id() as i32, libc::SIGSTOP) }, 0);
    let Ok(shared) = fs::metadata(store.path.with_file_name("runwisp.db-shm")) else { return false };
    let (pid, inode) = (process.id().to_string(), format!(":{}", shared.ino()));
    fs::read_to_string("/proc/locks").is_ok_and(|locks| {
        locks.lines().any(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, _, _, "WRITE", whose, file, first, last] => {
                whose == pid && file.ends_with(&inode) && (first, last) == ("120", "120")
            }
            _ => false,
        })
    })
}

#[test]
fn every_key_is_done_once_and_the_ledger_has_what_the_store_has() {
    let params = |number| Some(format!(r#"{{"number":{number}}}"#));
    let row = |number: usize| {
        let row = Row::failed(&format!("{number:03}"), &format!("task {}", number % 7), "2026-04-15T12:00:00Z");
        row.with(|row| row.params_json = params(number))
    };
    let rows: Vec<Row> = (0..FAILED).map(row).collect();
    let store = Store::in_folder(fast_folder(), NEWEST, "wal").holding(&rows);
    assert_eq!(open(&store.path).create_ledger(), Ok(true));
    let failed: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let is_writing = |process: &Child| is_writing(&store, process);
    let count = number(1_000);
    let answers = Calls { address: store.path_str(), failed: &failed, count, is_writing: &is_writing }.make();

    let connection = store.open();
    let keys = "SELECT count(*), count(DISTINCT idempotency_key) FROM bulk_rerun_operations";
    assert_eq!(lines(&connection, keys), [format!("{0}|{0}", answers.keys())]);
    let ledger = "SELECT idempotency_key, task_name, rerun_of, run_id
                  FROM bulk_rerun_runs JOIN bulk_rerun_operations ON number = operation";
    let new = "SELECT task_name, id FROM runs WHERE triggered_by = 'api' AND status = 'pending'";
    answers.agree_with(lines(&connection, ledger), lines(&connection, new));
    let others = "SELECT count(*) FROM runs WHERE triggered_by <> 'api' OR status <> 'pending'";
    assert_eq!(lines(&connection, others), [FAILED.to_string()]);
    let copied = "SELECT count(*) FROM bulk_rerun_runs JOIN runs AS source ON source.id = rerun_of
                  JOIN runs AS new ON new.id = run_id WHERE new.params_json IS NOT source.params_json";
    assert_eq!(lines(&connection, copied), ["0"]);
    assert_eq!(store.integrity(), "ok");
}
