//! What may go wrong around the ledger of a PostgreSQL store: a disk that is full where the ledger's row comes, a role
//! that may not write it, clocks that disagree. A key stands for what was done, and for nothing else.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::{Value, json};

use crate::postgres::{Kind, Server};
use crate::store::{Store, all_failed, assert_error, call, triggered};

fn kept(store: Store) -> Store {
    assert_eq!(store.open().create_ledger(), Ok(true));
    store
}

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

fn value(store: &Store, sql: &str) -> String {
    store.client.value(sql).unwrap_or_default()
}

/// The keys in the ledger, in the order in which they came.
fn keys(store: &Store) -> String {
    value(store, "SELECT string_agg(idempotency_key, ' ' ORDER BY number) FROM bulk_rerun.operations")
}

/// Nothing of the call is there, in the store or in the ledger.
#[track_caller]
fn assert_nothing_was_done(store: &Store, failed: usize) {
    assert_eq!((store.count(), keys(store)), (failed, String::new()));
    assert_eq!(value(store, "SELECT count(*) FROM bulk_rerun.runs"), "0");
}

/// Once the trouble is over, the same call is done, once.
#[track_caller]
fn assert_the_key_is_free(store: &Store, plugin: &Plugin, request: &Value, spawned: usize) {
    let before = store.count();
    let first = call(plugin, request).unwrap();
    assert_eq!((triggered(&first), first.get("replayed")), (spawned, None));
    let again = call(plugin, request).unwrap();
    assert_eq!((&again["triggered"], &again["replayed"]), (&first["triggered"], &json!(true)));
    assert_eq!(store.count(), before + spawned);
}

fn assert_disk_is_full(error: &ErrorModel) {
    assert_error(error, 500, &["the disk of postgres://", "is full", "nothing was changed", "try again"]);
}

#[test]
fn a_disk_that_is_full_at_the_ledgers_row_leaves_no_new_run() {
    let may_mount = "mount -t tmpfs none /mnt";
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "sh", "-c", may_mount]).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        // Written past the test harness, which would keep it to itself.
        let text = "\nNOT TESTED: a full disk of a PostgreSQL server (only root may mount one, and not everywhere)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return;
    }
    let server: &'static Server = Box::leak(Box::new(Server::start(Kind::SmallDisk)));
    let store = kept(Store::on(server, 1));
    let small = server.folder.join("small");
    store.client.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", small.display()));
    store.client.execute("ALTER TABLE bulk_rerun.operations SET TABLESPACE small");
    // Ids that are no run's are in the ledger's row twice, and hardly to be compressed.
    let stranger = |_| (0..40).map(|_| format!("{:032x}", fastrand::u128(..))).collect::<String>();
    let strangers = (0..1_000).map(stranger);
    let ids: Vec<String> = std::iter::once("1".to_owned()).chain(strangers).collect();
    let request = json!({"ids": ids, "options": {"idempotency_key": "k"}});
    let plugin = store.open();
    assert_disk_is_full(&call(&plugin, &request).unwrap_err());
    assert_nothing_was_done(&store, 1);
    store.client.execute("ALTER TABLE bulk_rerun.operations SET TABLESPACE pg_default");
    assert_the_key_is_free(&store, &plugin, &request, 1);
}

/// The same at each of the ledger's tables, wherever the tests run.
#[test]
fn a_server_that_is_out_of_room_at_the_ledgers_rows_leaves_no_new_run() {
    for table in ["operations", "runs"] {
        let store = kept(Store::with_failed(2));
        store.client.execute(&format!(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON bulk_rerun.{table} FOR EACH ROW EXECUTE FUNCTION full_disk()"
        ));
        let plugin = store.open();
        assert_disk_is_full(&call(&plugin, &keyed("k")).unwrap_err());
        assert_nothing_was_done(&store, 2);
        store.client.execute(&format!("DROP TRIGGER full_disk ON bulk_rerun.{table}"));
        assert_the_key_is_free(&store, &plugin, &keyed("k"), 2);
    }
}

/// One who may use the runner's tables and lacks one of the rights on the ledger.
#[test]
fn a_role_that_lacks_a_right_on_the_ledger_is_told_which_and_starts_nothing() {
    let store = kept(Store::with_failed(2));
    for (number, lacks) in [
        "USAGE ON SCHEMA bulk_rerun",
        "SELECT ON bulk_rerun.ledger",
        "SELECT ON bulk_rerun.operations",
        "INSERT ON bulk_rerun.operations",
        "INSERT ON bulk_rerun.runs",
    ]
    .into_iter()
    .enumerate()
    {
        let role = format!("probe_{number}_{}", store.database.name);
        store.client.execute(&format!(
            "TRUNCATE bulk_rerun.operations, bulk_rerun.runs; DELETE FROM job WHERE id > 2;
             CREATE ROLE {role} LOGIN;
             GRANT SELECT, INSERT ON job TO {role};
             GRANT SELECT, INSERT, UPDATE ON bulk_rerun.operations, bulk_rerun.runs TO {role};
             GRANT SELECT ON bulk_rerun.ledger TO {role}; GRANT USAGE ON SCHEMA bulk_rerun TO {role};
             REVOKE {lacks} FROM {role}"
        ));
        let url = store.database.url_as(&role);
        let plugin = Plugin::open(&store.config(&url)).unwrap();
        let error = call(&plugin, &keyed("k")).unwrap_err();
        let words = ["permission denied for", "`bulk-rerun check`", "GRANT", "nothing was changed"];
        assert_error(&error, 500, &words);
        assert_nothing_was_done(&store, 2);
        let said = said(&tool(&store, &url, None, &["check"]));
        let grants: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("missing    ")).collect();
        assert_eq!(grants.len(), 1, "{lacks}: {said}");
        store.client.execute(grants[0]);
        assert_the_key_is_free(&store, &plugin, &keyed("k"), 2);
    }
}

/// The tool on a store, under another clock where one is given.
fn tool(store: &Store, url: &str, clock: Option<&str>, arguments: &[&str]) -> Output {
    let clock: &[&str] = &clock.map_or(vec![], |by| vec!["faketime", "-m", "--exclude-monotonic", "-f", by]);
    let mut words = clock.iter().chain([&env!("CARGO_BIN_EXE_bulk-rerun")]).chain(arguments);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--store", url, "--profile", store.profile().to_str().unwrap()]);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; `bash tests/run` installs what it needs"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn clocks_that_disagree_change_no_order_and_no_repeat_and_pruning_takes_nothing_newer_than_it_says() {
    let store = kept(Store::with_failed(1));
    let under = |clock: &str, arguments: &[&str]| {
        let output = tool(&store, &store.database.url, Some(clock), arguments);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let rerun = |clock: &str, key: &str| {
        let answer = under(clock, &["rerun", "--all", "--yes", "--json", "--idempotency-key", key]);
        serde_json::from_str::<Value>(&answer).unwrap().get("replayed").is_some()
    };
    let clocks = [("ahead", "+2d"), ("long_ago", "-10d"), ("now", "+0d"), ("lately", "-5d")];
    for (key, clock) in clocks {
        assert!(!rerun(clock, key), "{key}");
    }
    assert_eq!(keys(&store), "ahead long_ago now lately");
    let by_their_clocks = "SELECT string_agg(idempotency_key, ' ' ORDER BY created_at) FROM bulk_rerun.operations";
    assert_eq!(value(&store, by_their_clocks), "long_ago lately now ahead");
    for (key, _) in clocks {
        assert!(rerun("-30d", key) && rerun("+30d", key), "{key}");
    }
    let prune = |older_than: &str| {
        under("-4d", &["ledger", "prune", "--older-than", older_than]);
        keys(&store)
    };
    assert_eq!(prune("7d"), "ahead long_ago now lately");
    assert_eq!(prune("5d"), "ahead now lately");
    assert_eq!(prune("1h"), "ahead now");
    assert_eq!(prune("0s"), "ahead now");
    assert!(rerun("-4d", "now") && !rerun("-4d", "lately"));
}

/// A role that may write the ledger and not read what it has written is told so when it asks again.
#[test]
fn a_repeat_needs_the_right_to_read_what_was_done() {
    let store = kept(Store::with_failed(2));
    let role = format!("writer_{}", store.database.name);
    store.client.execute(&format!(
        "CREATE ROLE {role} LOGIN;
         GRANT USAGE ON SCHEMA bulk_rerun TO {role}; GRANT INSERT ON bulk_rerun.runs TO {role};
         GRANT SELECT, INSERT ON job, bulk_rerun.operations TO {role}; GRANT SELECT ON bulk_rerun.ledger TO {role}"
    ));
    let plugin = Plugin::open(&Config { busy_timeout_ms: 300, ..store.config(&store.database.url_as(&role)) }).unwrap();
    let first = call(&plugin, &keyed("k")).unwrap();
    let error = call(&plugin, &keyed("k")).unwrap_err();
    assert_error(&error, 500, &["permission denied for table runs", "`bulk-rerun check`", "nothing was changed"]);
    store.client.execute(&format!("GRANT SELECT ON bulk_rerun.runs TO {role}"));
    assert_eq!(call(&plugin, &keyed("k")).unwrap()["triggered"], first["triggered"]);
    assert_eq!((store.count(), keys(&store).as_str()), (4, "k"));
}
