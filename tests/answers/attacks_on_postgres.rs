//! Where the promises break, on PostgreSQL.

use crate::postgres;
use crate::queue_store_postgres::{Own, QUEUES_VIEW, SPAWNS, Spawns};
use crate::support::calls::{all_failed, call, call_meanwhile, first_detail, pairs, planned, reasons};
use crate::support::queue_store::profile;
use crate::support::runners::wait_for;
use serde_json::{Value, json};

/// Each run that is answered is there when the transaction has been committed, and no two answers are one run.
#[track_caller]
fn all_are_there(store: &Own, answer: &Value) {
    let triggered = answer["triggered"].as_array().unwrap();
    let mut ids: Vec<&str> = triggered.iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    for id in &ids {
        let found = format!("SELECT count(*) FROM jobs WHERE id::text = '{id}' AND state = 'queued'");
        assert_eq!(store.lines(&found), ["1"], "{id} is not there: {answer:.1000}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), triggered.len(), "one run is answered twice: {answer:.1000}");
}

fn trigger(store: &Own, when: &str, act: &str) {
    store.execute(&format!(
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} RETURN NEW; END $$;
         CREATE TRIGGER act {when} INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION act()"
    ));
}

const ONLY_ONE: &str = "DELETE FROM jobs WHERE queue = NEW.queue AND state = 'queued' AND id <> NEW.id;";

/// A trigger of the host's keeps one waiting job a queue: the second new one takes the first one's place.
#[test]
fn a_new_run_that_a_later_one_replaces_is_not_answered() {
    for spawns in &SPAWNS {
        let store = spawns.store(&[("a", 1, "broken", "p"), ("a", 2, "broken", "q")]);
        trigger(&store, "AFTER", ONLY_ONE);
        let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
        all_are_there(&store, &answer);
    }
}

/// The same, one of the first thousand and one of the following.
#[test]
fn a_new_run_that_one_of_a_later_batch_replaces_is_not_answered() {
    let spawns = &SPAWNS[1];
    let store = spawns.store(&[]);
    store.execute(
        "INSERT INTO jobs (queue, id, state, params)
         SELECT to_char(n, 'FM0000'), n, 'broken', 'p' FROM generate_series(1, 1500) AS n",
    );
    trigger(
        &store,
        "AFTER",
        "IF NEW.queue = '1500' THEN DELETE FROM jobs WHERE queue = '0001' AND state = 'queued'; END IF;",
    );
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(store.lines("SELECT count(*) FROM jobs WHERE state = 'queued'"), [pairs(&answer).len().to_string()]);
}

/// A spawn that finds the waiting job of a queue and leaves it at that: two groups have got one new run.
#[test]
fn one_new_run_is_not_two_groups() {
    let store = SPAWNS[0].store(&[("a", 1, "broken", "p"), ("a", 2, "broken", "q")]);
    store.execute("CREATE UNIQUE INDEX only_one ON jobs (queue) WHERE state = 'queued'");
    let upsert = "ON CONFLICT (queue) WHERE state = 'queued' DO UPDATE SET made = now()\nRETURNING";
    store.set_profile(&profile("postgres", QUEUES_VIEW, &SPAWNS[0].spawn.replace("RETURNING", upsert)));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    all_are_there(&store, &answer);
}

/// No trigger, and still not all new runs are alike: what is copied from the source run decides how the view shows them.
#[test]
fn a_new_run_that_the_view_calls_ended_is_none_though_the_first_is_none_such() {
    for spawns in &SPAWNS[..3] {
        let store = spawns.store(&[("a", 1, "broken", "p"), ("b", 2, "broken", "cancelled"), ("c", 3, "broken", "p")]);
        let view = QUEUES_VIEW.replace(
            "CASE state WHEN 'queued'",
            "CASE CASE params WHEN 'cancelled' THEN '' ELSE state END WHEN 'queued'",
        );
        let text = spawns.profile().replace(QUEUES_VIEW, &view);
        store.set_profile(&text);
        let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
        let two = spawns.text(2);
        assert_eq!(reasons(&answer), [format!("b, {two}: refused")], "{}: {answer}", spawns.key);
    }
}

/// The runner's public view of its private table, which has a trigger.
#[test]
fn a_trigger_on_the_table_behind_the_runners_view_is_seen() {
    let store = SPAWNS[0].store(&[("a", 1, "broken", "p"), ("b", 2, "broken", "p"), ("c", 3, "broken", "p")]);
    trigger(&store, "BEFORE", "IF NEW.queue = 'b' THEN NEW.state := 'fine'; END IF;");
    store.execute("ALTER TABLE jobs RENAME TO private_jobs; CREATE VIEW jobs AS SELECT * FROM private_jobs; ALTER VIEW jobs ALTER state SET DEFAULT 'queued', ALTER made SET DEFAULT now()");
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(reasons(&answer), ["b, 2: refused"], "{answer}");
    all_are_there(&store, &answer);
}

/// One key of two tenants: the view shows both, and no column says which.
#[test]
fn a_key_of_which_a_part_is_one_of_several_shows_a_run_twice() {
    let view = format!("{QUEUES_VIEW} WHERE tenant IN ('x', 'y')");
    let spawn = "INSERT INTO jobs (tenant, queue, id, params) VALUES ('x', :task_name, :new_id, :params)";
    let store = Own::new(
        "CREATE TABLE jobs (tenant text, queue text, id text, state text DEFAULT 'queued', made timestamptz DEFAULT '2026-04-15T12:00:00Z',
             params text, PRIMARY KEY (id, queue, tenant));
         INSERT INTO jobs (tenant, queue, id, state, params) VALUES ('x', 'a', '1', 'broken', 'of x'), ('y', 'a', '1', 'broken', 'of y')",
        &profile("postgres", &view, spawn),
    );
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer).len(), store.waiting().len()), (1, 1), "{answer}");
}

/// A join that multiplies.
#[test]
fn a_join_on_one_of_several_values_shows_a_run_twice() {
    let view =
        QUEUES_VIEW.replace("FROM jobs", "FROM jobs LEFT JOIN note ON note.job = jobs.id AND note.kind IN ('x', 'y')");
    let store = SPAWNS[2].store(&[("a", 1, "broken", "p")]);
    store.execute("CREATE TABLE note (job text COLLATE \"C\", kind text, PRIMARY KEY (job, kind)); INSERT INTO note VALUES ('1', 'x'), ('1', 'y')");
    store.set_profile(&SPAWNS[2].profile().replace(QUEUES_VIEW, &view));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer).len(), store.waiting().len()), (1, 1), "{answer}");
}

/// The planner leaves out the part of the view that is of another task than the one it is asked about.
#[test]
fn a_union_with_a_task_of_its_own_shows_a_run_twice() {
    let archive = QUEUES_VIEW.replace("queue AS task_name", "'a' AS task_name").replace("FROM jobs", "FROM archive");
    let view = format!("{QUEUES_VIEW}\nUNION ALL\n{archive}");
    let store = SPAWNS[2].store(&[("a", 1, "broken", "p")]);
    store.execute("CREATE TABLE archive (LIKE jobs INCLUDING ALL); INSERT INTO archive SELECT * FROM jobs");
    store.set_profile(&SPAWNS[2].profile().replace(QUEUES_VIEW, &view));
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!((pairs(&answer).len(), store.waiting().len()), (1, 1), "{answer}");
}

/// The key was (queue, id) when the plugin was opened; a migration makes it (tenant, queue, id).
#[test]
fn a_key_that_is_none_any_more_proves_nothing() {
    let store = SPAWNS[2].store(&[("a", 1, "broken", "p")]);
    let plugin = store.plugin();
    call(&plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
    store.execute(
        "DELETE FROM jobs WHERE state = 'queued'; ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD tenant text DEFAULT 'x', ADD PRIMARY KEY (id, queue, tenant);
         INSERT INTO jobs (tenant, queue, id, state, params) VALUES ('y', 'a', '1', 'broken', 'p')",
    );
    let answer = call(&plugin, &json!({"match_all": true, "options": {"unique_by": "run", "dry_run": true}})).unwrap();
    assert_eq!(planned(&answer), ["a: 1 (1)"]);
}

/// A policy of the host's says no to one row.
#[test]
fn a_policy_that_says_no_to_one_run_declines_it_alone() {
    let store = SPAWNS[0].store(&[("a", 1, "broken", "p"), ("b", 2, "broken", "p"), ("c", 3, "broken", "p")]);
    let role = format!("attack_{}", store.database.name);
    store.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON jobs TO {role}; GRANT USAGE ON SEQUENCE numbers TO {role};
         ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY sees ON jobs FOR SELECT USING (true);
         CREATE POLICY inserts ON jobs FOR INSERT WITH CHECK (queue <> 'b')"
    ));
    let told = store.tool_as(&store.database.url_as(&role), "rerun", &["--status", "failed", "--yes", "--json"]);
    let answer = told.json();
    assert_eq!(reasons(&answer), ["b, 2: refused"], "{told:?}");
    assert_eq!(first_detail(&answer), "new row violates row-level security policy for table \"jobs\"");
}

/// Ids of other types.
#[test]
fn ids_of_any_type_are_found_and_started() {
    for (key, id, text) in [
        ("char(36)", "'9'", "9"),
        ("numeric", "1.50", "1.50"),
        ("bytea", "'\\x00ff'", "\\x00ff"),
        ("name", "'n'", "n"),
        ("varchar(10)", "'v '", "v "),
        ("inet", "'10.0.0.1'", "10.0.0.1/32"),
    ] {
        let kind = key;
        let spawns = Spawns {
            key: "bigint",
            spawn: "INSERT INTO jobs (queue, id, params) SELECT queue, '77', params FROM jobs WHERE queue = :task_name AND id::text = :id RETURNING id::text",
            spawn_many: "",
        };
        let store = Own::queues("text", key, spawns.spawn, &format!("('a', {id}, 'broken', 'p')"));
        if kind == "inet" {
            store.set_profile(&profile("postgres", QUEUES_VIEW, &spawns.spawn.replace("'77'", "'10.0.0.77'")));
        }
        if kind == "bytea" {
            store.set_profile(&profile("postgres", QUEUES_VIEW, &spawns.spawn.replace("'77'", "'\\x77'")));
        }
        let answer = call(&store.plugin(), &json!({"ids": [text]})).unwrap();
        assert_eq!(pairs(&answer), [format!("a: {text}")], "{kind}: {answer}");
        assert_eq!(store.waiting(), ["a|p"], "{kind}");
        let except =
            call(&store.plugin(), &json!({"match_all": true, "except_ids": [text], "filter": {"status": "failed"}}))
                .unwrap();
        assert_eq!(pairs(&except).len(), 0, "{kind}");
    }
}

/// A declined run among many where no index serves their ids.
#[test]
fn one_that_is_declined_makes_nobody_look_at_every_row_for_each_run() {
    let spawn = "INSERT INTO jobs (queue, id, params) VALUES (:task_name, :new_id, :params)";
    let store = Own::queues("text", "text", spawn, "('x', 'declined', 'broken', 'p')");
    store.execute(
        "INSERT INTO jobs (queue, id, state, params)
         SELECT 'q' || n, 'id' || n, CASE n % 100 WHEN 0 THEN 'broken' ELSE 'fine' END, 'p' FROM generate_series(1, 100000) AS n",
    );
    trigger(
        &store,
        "BEFORE",
        "IF NEW.queue LIKE '%00' AND NEW.queue < 'q3' OR NEW.queue = 'x' THEN RETURN NULL; END IF;",
    );
    let read_whole = || -> u32 {
        let counted = store.lines("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'");
        counted[0].parse().unwrap()
    };
    let before = read_whole();
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(pairs(&answer).len() + reasons(&answer).len(), 1001);
    assert!(reasons(&answer).len() > 100, "{:?}", reasons(&answer));
    // What a connection did is counted when it has ended, at the latest.
    wait_for("its connection has ended", || {
        let theirs = "SELECT FROM pg_stat_activity
                      WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        store.lines(theirs).is_empty().then_some(())
    });
    let times = read_whole() - before;
    assert!((1..50).contains(&times), "all rows were read {times} times");
}

/// A number that only SQLite has is harmless here.
#[test]
fn a_serial_is_harmless() {
    let store = SPAWNS[0].store(&[("a", 1, "broken", "p")]);
    let view = QUEUES_VIEW.replace("0 AS retry_attempt", "ctid AS serial, 0 AS retry_attempt");
    store.set_profile(&SPAWNS[0].profile().replace(QUEUES_VIEW, &view));
    let insert = || store.execute("INSERT INTO jobs (queue, id, state) VALUES ('a', 7, 'queued')");
    let answer = call_meanwhile(&store.plugin(), &all_failed(json!({"skip_active": true})), insert).unwrap();
    assert_eq!(reasons(&answer), ["a, 1: active"]);
}

/// The jobs are in another cluster, whose transactions this one does not count.
#[test]
fn a_run_that_is_active_by_now_in_another_database_is_seen() {
    use postgres::{Client, Kind, Server};
    let other = Server::start(Kind::Plain);
    let remote = Client::connect(&other.url("postgres", "postgres"));
    remote.execute(
        "CREATE TABLE jobs (queue text, id text, state text, made timestamptz, params text);
         INSERT INTO jobs VALUES ('a', '1', 'broken', '2026-04-15T12:00:00Z', 'p')",
    );
    let spawn =
        "INSERT INTO jobs (queue, id, state, made, params) VALUES (:task_name, :new_id, 'queued', now(), :params)";
    let store = Own::new(
        &format!(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw
                 OPTIONS (host '127.0.0.1', port '{}', dbname 'postgres');
             CREATE USER MAPPING FOR postgres SERVER other OPTIONS (user 'postgres');
             IMPORT FOREIGN SCHEMA public LIMIT TO (jobs) FROM SERVER other INTO public",
            other.port
        ),
        &profile("postgres", QUEUES_VIEW, spawn),
    );
    let insert = || remote.execute("INSERT INTO jobs VALUES ('a', '2', 'queued', now(), 'p')");
    let answer = call_meanwhile(&store.plugin(), &all_failed(json!({"skip_active": true})), insert).unwrap();
    assert_eq!(reasons(&answer), ["a, 1: active"], "{answer}");
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
    let change = || remote.execute("UPDATE jobs SET params = 'q' WHERE id = '1'");
    let error = call_meanwhile(&store.plugin(), &all_failed(json!({"expect_plan": plan})), change).unwrap_err();
    assert_eq!(error.status, 409);
}

/// The order of batches and the runner: a source run that is changed while others are started is not the one that was shown.
#[test]
fn an_expected_plan_is_what_runs() {
    let store = SPAWNS[0].store(&[("a", 1, "broken", "p"), ("b", 2, "broken", "p")]);
    trigger(&store, "BEFORE", "IF NEW.queue = 'a' THEN PERFORM pg_sleep(2); END IF;");
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap()["plan"].clone();
    let plugin = store.plugin();
    let client = store.database.client();
    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(|| call(&plugin, &all_failed(json!({"expect_plan": plan}))));
        std::thread::sleep(std::time::Duration::from_millis(700));
        client.execute("UPDATE jobs SET params = 'another' WHERE queue = 'b'");
        call.join().unwrap()
    });
    match answer {
        Ok(answer) => assert_eq!(store.waiting(), ["a|p", "b|p"], "{answer}"),
        Err(error) => assert_eq!(error.status, 409),
    }
}
