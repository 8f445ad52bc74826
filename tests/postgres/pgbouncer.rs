//! PgBouncer in front of the server, in each of its modes.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::store::{Store, all_failed, assert_error, call, triggered};

/// A pooler with few connections to a store's server; it goes when this is dropped.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    fn start(store: &Store, mode: &str) -> Pooler {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (server, folder) = (store.database.server.port, store.folder.path());
        let file = folder.join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n* = user=postgres host=127.0.0.1 port={server}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 2\n"
        );
        fs::write(&file, settings).unwrap();
        // It does not run as root, and reads its settings before it becomes somebody else.
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let process = Command::new("pgbouncer")
            .args(is_root.then_some("--user=postgres"))
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is needed; install Debian's package pgbouncer");
        let mut pooler = Pooler { process, port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(pooler.process.try_wait().unwrap().is_none(), "PgBouncer has ended");
            thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    fn url(&self, store: &Store) -> String {
        store.database.url.replace(&format!(":{}/", store.database.server.port), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// More callers at once than the pooler has connections: each re-run is done once, and no setting of ours stays behind.
#[test]
fn re_runs_go_through_in_session_and_in_transaction_mode() {
    for mode in ["session", "transaction"] {
        let store = Store::with_failed(5);
        let pooler = Pooler::start(&store, mode);
        let config = bulk_rerun::Config { busy_timeout_ms: 20_000, ..store.config(&pooler.url(&store)) };
        let re_runs = if mode == "session" { 1 } else { 6 };
        thread::scope(|scope| {
            for _ in 0..re_runs {
                scope.spawn(|| {
                    let plugin = bulk_rerun::Plugin::open(&config).unwrap();
                    let answer = call(&plugin, &all_failed(json!({"skip_active": false}))).unwrap();
                    assert_eq!(triggered(&answer), 5, "{mode}: {answer}");
                    assert_eq!(call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 5);
                });
            }
        });
        assert_eq!(store.count(), 5 + 5 * re_runs, "{mode}");
        let settings = "SELECT concat(current_setting('lock_timeout'), ' ', current_setting('enable_seqscan'), ' ',
            current_setting('idle_in_transaction_session_timeout'), ' ', current_setting('search_path'))";
        let through = crate::postgres::Client::connect(&pooler.url(&store));
        assert_eq!(through.value(settings), store.client.value(settings), "{mode}");
    }
}

#[test]
fn a_pooler_that_knows_the_target_is_asked_for_it() {
    let store = Store::with_failed(1);
    let pooler = Pooler::start(&store, "transaction");
    let url = |word: &str| format!("{}?target_session_attrs={word}", pooler.url(&store));
    let plugin = bulk_rerun::Plugin::open(&store.config(&url("primary"))).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1);
    assert_error(&store.open_error(&url("standby")), 500, &["is a primary"]);
}

#[test]
fn what_a_pooler_can_not_do_is_said() {
    let store = Store::with_failed(1);
    let pooler = Pooler::start(&store, "statement");
    let error = store.open_error(&pooler.url(&store));
    assert_error(&error, 500, &["statement mode", "pool_mode = transaction"]);
    drop(pooler);
    let pooler = Pooler::start(&store, "transaction");
    let error = store.open_error(&format!("{}?options=-cstatement_timeout%3D60s", pooler.url(&store)));
    assert_error(&error, 500, &["pooler", "leave `options` out", "ALTER ROLE"]);
    assert_eq!(store.count(), 1);
}
