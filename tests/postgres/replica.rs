//! Searches on a standby: what it shows is old, and what is started is the primary's affair.

use std::thread;
use std::time::Duration;

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::failover::replicated;
use crate::postgres::{Client, Kind, Server, server};
use crate::store::{Store, all_failed, assert_error, call, skipped, triggered};

/// A store, and a standby of its server.
struct Pair {
    store: Store,
    standby: Server,
    there: Client,
}

impl Pair {
    /// With so many failed runs, each its own task, on either.
    fn with_failed(failed: u32) -> Pair {
        let (store, standby, _) = replicated(failed);
        let there = Client::connect(&standby.url("postgres", &store.database.name));
        Pair { store, standby, there }
    }

    fn replica(&self) -> String {
        self.standby.url("postgres", &self.store.database.name)
    }

    fn open(&self) -> Plugin {
        Plugin::open(&with_replica(&self.store, &self.replica())).unwrap()
    }

    /// From now on the standby shows no more than it has, and it has all.
    fn stand_still(&self) {
        // So that it has replayed one at least.
        self.store.client.execute("COMMENT ON TABLE job IS 'stirred'");
        self.until_all_is_there();
        self.there.execute("SELECT pg_wal_replay_pause()");
        self.until(&self.there, "SELECT pg_get_wal_replay_pause_state()", "paused");
    }

    fn go_on(&self) {
        self.there.execute("SELECT pg_wal_replay_resume()");
        self.until_all_is_there();
    }

    fn until_all_is_there(&self) {
        let written = self.store.client.value("SELECT pg_current_wal_lsn()").unwrap();
        self.until(&self.there, &format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"), "t");
    }

    fn until(&self, client: &Client, question: &str, answer: &str) {
        while client.value(question).as_deref() != Some(answer) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn with_replica(store: &Store, replica: &str) -> Config {
    Config { replica: Some(replica.to_owned()), busy_timeout_ms: 5_000, ..store.config(&store.database.url) }
}

#[test]
fn what_has_changed_since_is_told_and_the_primary_decides() {
    let pair = Pair::with_failed(3);
    let plugin = pair.open();
    pair.stand_still();
    pair.store
        .client
        .execute("DELETE FROM job WHERE task = 'task1'; INSERT INTO job (task, state) VALUES ('task4', 'failed')");

    let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(plan["matched"], 3, "the standby's");
    assert!(plan["replica"]["lag_ms"].as_u64().unwrap() > 0, "{plan}");
    assert!(plan["replica"]["lag_bytes"].as_u64().unwrap() > 0, "{plan}");
    let Value::Object(told) = serde_json::to_value(plugin.describe().unwrap()).unwrap() else { panic!() };
    assert_eq!(told["writable"], true);
    assert!(told["replica"]["lag_bytes"].as_u64().unwrap() > 0, "{told:?}");
    assert!(told["replica"]["address"].as_str().unwrap().contains(&pair.standby.port.to_string()));

    let expected = json!({"expect_plan": plan["plan"]});
    assert_error(&call(&plugin, &all_failed(expected)).unwrap_err(), 409, &["no longer the expected one"]);
    assert_eq!(pair.store.count(), 3);
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task1: gone".to_owned()]), "{answer}");
    assert_eq!(answer["replica"], Value::Null, "it is a plan's");
    assert_eq!(pair.store.count(), 5);

    pair.go_on();
    let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(plan["matched"], 3, "{plan}");
}

/// A standby that is behind on purpose says how old what it shows may be.
#[test]
fn a_delay_is_told() {
    let pair = Pair::with_failed(1);
    pair.store.client.execute("COMMENT ON TABLE job IS 'stirred'");
    pair.until_all_is_there();
    pair.there.execute("ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
    pair.there.execute("SELECT pg_reload_conf()");
    pair.until(&Client::connect(&pair.replica()), "SHOW recovery_min_apply_delay", "1h");
    let plugin = pair.open();
    let told = loop {
        // Until the standby heeds it, what is written is there at once.
        pair.store.client.execute("INSERT INTO job (task, state) VALUES ('late', 'failed')");
        thread::sleep(Duration::from_millis(200));
        let plan = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
        if plan["replica"]["lag_bytes"].as_u64() > Some(0) {
            break plan["replica"]["lag_ms"].as_u64().unwrap();
        }
    };
    assert!(told >= 200, "{told}");
    let later = call(&plugin, &all_failed(json!({"dry_run": true}))).unwrap();
    assert!(later["replica"]["lag_ms"].as_u64().unwrap() >= told, "{later}");
}

/// Nobody who is active at the standby only is skipped for it, and nobody else started.
#[test]
fn who_is_active_is_asked_at_the_primary() {
    let pair = Pair::with_failed(3);
    pair.store.client.execute("INSERT INTO job (task) VALUES ('task1')");
    let plugin = pair.open();
    pair.stand_still();
    pair.store.client.execute("UPDATE job SET state = 'failed' WHERE state = 'waiting' AND task = 'task1'");
    pair.store.client.execute("INSERT INTO job (task) VALUES ('task2')");

    let few = call(&plugin, &all_failed(json!({"skip_active": true, "limit": 1}))).unwrap_err();
    assert_error(&few, 422, &["2 runs would be spawned"]);
    let answer = call(&plugin, &all_failed(json!({"skip_active": true}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task2: active".to_owned()]), "{answer}");
    pair.go_on();
}

#[test]
fn the_ledger_is_the_primarys() {
    let pair = Pair::with_failed(2);
    let plugin = pair.open();
    plugin.create_ledger().unwrap();
    pair.stand_still();
    let key = json!({"idempotency_key": "night"});
    let first = call(&plugin, &all_failed(key.clone())).unwrap();
    assert_eq!(triggered(&first), 2);
    let again = call(&plugin, &all_failed(key)).unwrap();
    assert_eq!((&again["replayed"], triggered(&again)), (&json!(true), 2));
    let operation = plugin.operation(first["operation_id"].as_str().unwrap()).unwrap();
    assert_eq!(
        operation.states.as_ref().and_then(|states| states.get("pending")),
        Some(&2),
        "the standby has none of them"
    );
    assert_eq!(pair.store.count(), 4);
    pair.go_on();
}

#[test]
fn what_is_no_standby_of_the_store_is_refused() {
    let store = Store::with_failed(1);
    let itself = Plugin::open(&with_replica(&store, &store.database.url)).unwrap();
    let error = call(&itself, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["is no standby", "leave `replica` out"]);

    let stranger = Server::start(Kind::Plain);
    let stranger = Plugin::open(&with_replica(&store, &stranger.url("postgres", "postgres"))).unwrap();
    let error = call(&stranger, &all_failed(json!({"dry_run": true}))).unwrap_err();
    assert_error(&error, 500, &["another cluster's", &server().port.to_string()]);

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = format!("postgres://postgres@127.0.0.1:{port}/{}", store.database.name);
    let away = Plugin::open(&with_replica(&store, &away)).unwrap();
    let error = call(&away, &all_failed(json!({}))).unwrap_err();
    let words = ["the replica can't be searched", &port.to_string(), "The primary is not searched in its place"];
    assert_error(&error, 500, &words);
    let told = serde_json::to_value(away.describe().unwrap()).unwrap();
    assert!(told["replica"]["error"].as_str().unwrap().contains(&port.to_string()), "{told}");
    assert_eq!(store.count(), 1);

    let unreadable = Plugin::open(&with_replica(&store, "postgres://standby:x/jobs")).err().unwrap();
    assert_error(&unreadable, 500, &["the replica can't be searched"]);
    let file = Plugin::open(&with_replica(&store, "runs.db")).err().unwrap();
    assert_error(&file, 500, &["no address of a PostgreSQL server", "postgres://user@host/database"]);
}

#[test]
fn other_stores_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    std::fs::write(&file, "no matter").unwrap();
    let config = Config { replica: Some("postgres://standby/jobs".to_owned()), ..Config::new(&file) };
    assert_error(&Plugin::open(&config).err().unwrap(), 500, &["only a store in PostgreSQL has standbys", "--replica"]);
}

/// The standby has to replay that the runs are gone which a search still reads.
#[test]
fn a_search_that_stands_in_the_way_is_told_what_to_do() {
    let pair = Pair::with_failed(20_000);
    pair.there.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0");
    pair.there.execute("SELECT pg_reload_conf()");
    let plugin = pair.open();
    pair.until_all_is_there();
    let mut is_first = true;
    let searched = plugin.call_where(all_failed(json!({"dry_run": true})).to_string().as_bytes(), &mut |_| {
        if std::mem::take(&mut is_first) {
            thread::scope(|scope| {
                scope.spawn(|| {
                    pair.store.client.execute("DELETE FROM job");
                    pair.store.client.execute("VACUUM job");
                    // It waits until the search is gone, or is through with it already.
                    let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                                 WHERE backend_type = 'startup' AND wait_event LIKE 'RecoveryConflict%'";
                    let is_through = "SELECT confl_snapshot > 0 FROM pg_stat_database_conflicts
                                      WHERE datname = current_database()";
                    pair.until(&pair.there, &format!("SELECT ({waits}) OR ({is_through})"), "t");
                });
            });
        }
        Ok(true)
    });
    let words = ["what it has to replay", "max_standby_streaming_delay", "hot_standby_feedback"];
    assert_error(&searched.unwrap_err(), 503, &words);
}
