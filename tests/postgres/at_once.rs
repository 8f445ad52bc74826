//! Several callers at once.

use std::sync::Barrier;
use std::thread;

use serde_json::json;

use crate::store::{Store, all_failed, assert_error, call, triggered};

#[test]
fn two_bulk_reruns_at_once_with_skip_active_start_each_task_once() {
    for _ in 0..5 {
        let store = Store::with_failed(300);
        let together = Barrier::new(4);
        let started: Vec<usize> = thread::scope(|scope| {
            let calls: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let plugin = bulk_rerun::Plugin::open(&bulk_rerun::Config {
                            busy_timeout_ms: 30_000,
                            ..store.config(&store.database.url)
                        });
                        let plugin = plugin.unwrap();
                        together.wait();
                        triggered(&call(&plugin, &all_failed(json!({"skip_active": true}))).unwrap())
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert_eq!(started.iter().sum::<usize>(), 300, "{started:?}");
        assert_eq!(store.count(), 600);
    }
}

#[test]
fn threads_share_a_plugin() {
    let store = Store::with_failed(50);
    let plugin =
        bulk_rerun::Plugin::open(&bulk_rerun::Config { busy_timeout_ms: 30_000, ..store.config(&store.database.url) });
    let plugin = plugin.unwrap();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 50));
        }
    });
    assert_eq!(store.count(), 50 * 13);
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_and_no_longer() {
    let store = Store::with_failed(3);
    let plugin = store.open();
    store.client.execute("BEGIN; LOCK TABLE job IN SHARE MODE");
    // Reading goes on.
    assert_eq!(call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["planned"].as_array().unwrap().len(), 3);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["busy", "300 ms"]);
    store.client.execute("ROLLBACK");
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(store.count(), 6);
}

/// Two transactions that each wait for the other: the server gives one up, and it begins anew.
#[test]
fn a_deadlock_is_tried_again() {
    let store = Store::with_failed(2);
    // Starting task1 takes the first row of `gate`, starting task2 the second.
    store.client.execute(
        "CREATE TABLE gate (task text PRIMARY KEY, passed integer NOT NULL DEFAULT 0);
         INSERT INTO gate VALUES ('task1'), ('task2');
         CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE gate SET passed = passed + 1 WHERE task = NEW.task; PERFORM pg_sleep(0.2); RETURN NEW; END $$;
         CREATE TRIGGER pass BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION pass();",
    );
    let url = format!("{}?options=-cdeadlock_timeout%3D50ms", store.database.url);
    let plugin =
        bulk_rerun::Plugin::open(&bulk_rerun::Config { busy_timeout_ms: 30_000, ..store.config(&url) }).unwrap();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let other = store.database.client();
            // The other way round, and more patient: the server ends whoever looks first.
            other.execute(
                "SET deadlock_timeout = '10s'; BEGIN; UPDATE gate SET passed = passed + 1 WHERE task = 'task2'",
            );
            together.wait();
            thread::sleep(std::time::Duration::from_millis(100));
            other.execute("UPDATE gate SET passed = passed + 1 WHERE task = 'task1'; COMMIT");
        });
        together.wait();
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 2);
    });
    assert_eq!(store.count(), 4);
    assert_eq!(store.client.value("SELECT string_agg(passed::text, ',') FROM gate").as_deref(), Some("2,2"));
    let log = std::fs::read_to_string(store.database.server.folder.join("log")).unwrap();
    assert!(log.contains("deadlock detected"), "there was no deadlock");
}

/// The call is stopped while it waits for the server, and the next one is not.
#[test]
fn a_search_can_be_cancelled() {
    let store = Store::with_failed(3);
    store.reword("FROM job\n'''", "FROM job WHERE pg_sleep(30) IS NOT NULL\n'''");
    let plugin = store.open();
    let request = bulk_rerun::Request::from_json(all_failed(json!({})).to_string().as_bytes()).unwrap();
    let cancel = bulk_rerun::Cancel::new();
    let begun = std::time::Instant::now();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(std::time::Duration::from_millis(300));
            assert!(cancel.cancel());
        });
        plugin.rerun_unless(&cancel, &request).unwrap_err()
    });
    assert_error(&error, 503, &["stopped"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it waited for the server");
    assert_eq!(plugin.describe().unwrap().runner, "Small");
    assert_eq!(store.count(), 3);
}
