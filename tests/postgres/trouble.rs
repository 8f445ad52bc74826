//! The server goes away, says no, or takes too long: all or none, and a clear error.

use std::process::Command;

use serde_json::json;

use crate::postgres::{Client, Kind, Server, programs};
use crate::proxy::{Cut, Proxy};
use crate::store::{SCHEMA, Store, all_failed, assert_error, call, triggered};

#[test]
fn a_server_that_was_restarted_is_reached_again() {
    // A server of its own, since others use the common one.
    let server = Box::leak(Box::new(Server::start(Kind::Plain)));
    let store = Store::on(server, 3);
    let plugin = store.open();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    server.control(&["stop", "-m", "immediate"]);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["can't be reached", "127.0.0.1", "is the server running"]);
    server.control(&["start", "-w", "-l", "again.log", "-o", &server.options()]);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(Client::connect(&store.database.url).value("SELECT count(*) FROM job").as_deref(), Some("9"));
    server.control(&["stop", "-m", "fast"]);
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_spawn_leaves_nothing_behind() {
    let store = Store::with_failed(9_000);
    store.client.execute(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.task = 'task2500' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
         CREATE TRIGGER cut BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION cut();",
    );
    let plugin = store.open();
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["nothing was changed"]);
    assert_eq!(store.count(), 9_000);
    store.client.execute("DROP TRIGGER cut ON job");
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 9_000);
}

#[test]
fn a_commit_whose_answer_was_lost_is_asked_for() {
    let store = Store::with_failed(3);
    let proxy = Proxy::start(store.database.server.port);
    let plugin = bulk_rerun::Plugin::open(&bulk_rerun::Config {
        busy_timeout_ms: 5_000,
        ..store.config(&proxy.through(&store.database.url))
    });
    let plugin = plugin.unwrap();
    proxy.cut(Cut::AfterCommit);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(store.count(), 6);
    proxy.cut(Cut::BeforeCommit);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["lost", "nothing was changed"]);
    assert_eq!(store.count(), 6);
    // Nobody there to be asked: whoever reads this must know that it is not known.
    proxy.cut(Cut::AfterCommitForGood);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["look for the new runs, such as 10 (task1), before you try again"]);
    assert_eq!(store.count(), 9);
}

/// Whoever types a command again because it failed would have every run twice.
#[test]
fn a_server_that_goes_away_after_the_commit_makes_no_failure_of_it() {
    let store = Store::with_failed(3);
    let proxy = Proxy::start(store.database.server.port);
    proxy.cut(Cut::AfterAnswerForGood);
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
        .args(["rerun", "--status", "failed", "--yes", "--store", &proxy.through(&store.database.url), "--profile"])
        .arg(store.profile())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    for words in ["3 new runs spawned", "task2", "when they start can't be told (the store"] {
        assert!(printed.contains(words), "{words:?} is not in {printed}");
    }
    assert_eq!(store.count(), 6);
}

#[test]
fn a_statement_that_takes_too_long_is_an_error_that_says_so() {
    let store = Store::with_failed(3);
    let slow = format!("{}?options=-cstatement_timeout%3D200ms", store.database.url);
    let plugin = bulk_rerun::Plugin::open(&store.config(&slow)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    // The search.
    store.reword("FROM job\n'''", "FROM job WHERE pg_sleep(5) IS NOT NULL\n'''");
    let search = bulk_rerun::Plugin::open(&store.config(&slow)).unwrap();
    let error = call(&search, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["searching", "statement timeout", "nothing was changed"]);
    // The spawn.
    store.client.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.task = 'task2' THEN PERFORM pg_sleep(5); END IF; RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION wait();",
    );
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["starting runs", "statement timeout", "nothing was changed"]);
    assert_eq!(store.count(), 6);
}

#[test]
fn a_role_that_may_only_read_is_told_so_and_nothing_is_changed() {
    let store = Store::with_failed(3);
    let role = format!("reader_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON job TO {role}"));
    let plugin = bulk_rerun::Plugin::open(&store.config(&store.database.url_as(&role))).unwrap();
    assert_eq!(call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap()["matched"], 3);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["permission denied for table job", "bulk-rerun check", "GRANT"]);
    assert_eq!(store.count(), 3);
    store.client.execute(&format!("GRANT INSERT ON job TO {role}"));
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
}

#[test]
fn rows_that_row_level_security_hides_are_not_taken_for_none() {
    let store = Store::with_failed(3);
    let role = format!("outsider_{}", store.database.name);
    store.client.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}; ALTER TABLE job ENABLE ROW LEVEL SECURITY"
    ));
    let error = store.open_error(&store.database.url_as(&role));
    assert_error(&error, 500, &["row level security", "job", &role, "owner", "BYPASSRLS"]);
    // With a policy the role sees what it is meant to see.
    store.client.execute(&format!("CREATE POLICY mine ON job TO {role} USING (task = 'task2')"));
    let plugin = bulk_rerun::Plugin::open(&store.config(&store.database.url_as(&role))).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 1);
}

#[test]
fn a_runner_that_is_upgraded_while_we_run_is_looked_at_again() {
    let store = Store::with_failed(3);
    let plugin = store.open();
    store.client.execute("ALTER TABLE job RENAME COLUMN payload TO body");
    let error = call(&plugin, &all_failed(json!({"unique_by": "params"}))).unwrap_err();
    assert_eq!(error.status, 500);
    assert!(!error.detail.contains("SELECT"), "a statement is shown: {}", error.detail);
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["lacks", "the column job.payload"]);
    store.client.execute("ALTER TABLE job RENAME COLUMN body TO payload");
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
}

#[test]
fn rules_that_wait_for_the_commit_decline_their_own_run_alone() {
    let store = Store::with_failed(3);
    store.client.execute(
        "CREATE TABLE known (task text PRIMARY KEY); INSERT INTO known SELECT 'task' || n FROM generate_series(1, 3) AS n;
         ALTER TABLE job ADD FOREIGN KEY (task) REFERENCES known DEFERRABLE INITIALLY DEFERRED NOT VALID;
         ALTER TABLE known DISABLE TRIGGER ALL; DELETE FROM known WHERE task = 'task1'; ALTER TABLE known ENABLE TRIGGER ALL;",
    );
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), crate::store::skipped(&answer)), (2, vec!["task1: refused".to_owned()]));
}

impl Store {
    /// A store on a server of its own.
    pub fn on(server: &'static Server, count: u32) -> Store {
        let database = server.database().with(SCHEMA);
        let client = database.client();
        client.execute(&format!(
            "INSERT INTO job (task, state) SELECT 'task' || n, 'failed' FROM generate_series(1, {count}) AS n"
        ));
        let store = Store { database, client, folder: tempfile::tempdir().unwrap() };
        std::fs::write(store.profile(), crate::store::PROFILE).unwrap();
        store
    }
}

impl Server {
    /// The options that it was started with, as far as they matter.
    fn options(&self) -> String {
        format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c timezone=UTC -c fsync=off",
            self.port,
            self.folder.display()
        )
    }

    /// `pg_ctl`, as the server's own user.
    pub fn control(&self, arguments: &[&str]) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(programs().join("pg_ctl"));
        command.args(arguments).arg("-D").arg(self.folder.join("data")).current_dir(&self.folder);
        let status = command.stdout(std::process::Stdio::null()).status().unwrap();
        assert!(status.success(), "pg_ctl {arguments:?} failed");
    }
}
