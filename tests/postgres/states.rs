//! A profile that says phases and end reasons in the runner's own words too: its index serves the search for them.

use serde_json::{Value, json};

use crate::postgres::Client;
use crate::store::{PROFILE, Store, assert_error, call};

const STATES: &str = "states = { pending = ['waiting'], running = [], done = ['done'], failed = ['failed'] }\n";

/// The profile, with the view's column and these words for it.
fn with(states: &str) -> String {
    let with_column = PROFILE.replace("payload AS params\n", "payload AS params, state\n");
    with_column.replace("spawn = ", &format!("{states}spawn = "))
}

/// A table with an index on what is not done, and many rows that are.
fn store() -> Store {
    let store = Store::with_failed(3);
    store.client.execute(
        "UPDATE job SET state = 'done' WHERE task = 'task3';
         CREATE INDEX not_done ON job (task, state) WHERE state IN ('waiting', 'failed');
         INSERT INTO job (task, state, payload)
             SELECT 'task1', 'done', to_jsonb(repeat('x', 200)) FROM generate_series(1, 20000);
         INSERT INTO job (task) VALUES ('task2'), ('task4')",
    );
    store.client.execute("VACUUM ANALYZE job");
    store
}

/// How often the index was used by whoever has left by now.
fn uses_of_the_index(store: &Store) -> u32 {
    // A connection's own numbers are there once it is gone.
    let others = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", store.database.name);
    let server = Client::connect(&store.database.server.url("postgres", "postgres"));
    while server.value(&others).as_deref() != Some("1") {}
    let uses = store.client.value("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'not_done'");
    uses.unwrap().parse().unwrap()
}

fn dry_run(filter: Value) -> Value {
    json!({"match_all": true, "filter": filter, "options": {"dry_run": true, "skip_active": true}})
}

#[test]
fn the_runners_own_index_serves() {
    let store = store();
    let answers = [("", false), (STATES, true)].map(|(states, is_used)| {
        std::fs::write(store.profile(), with(states)).unwrap();
        let before = uses_of_the_index(&store);
        let answer = call(&store.open(), &dry_run(json!({"status": "failed"}))).unwrap();
        assert_eq!(uses_of_the_index(&store) > before, is_used, "{answer}");
        answer
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1]["matched"], 2);
}

/// In whatever words it is asked: the same runs with the runner's own words as without.
#[test]
fn the_same_runs_are_found() {
    let store = store();
    let asked = [
        "failed",
        "pending",
        "running",
        "ended",
        "success",
        "failure",
        "failed,pending",
        "pending,ended",
        "other",
        "done",
        "done,failed",
        "done,other",
        "failed,other",
    ];
    let filters = asked.map(|status| json!({"status": status})).into_iter();
    let filters: Vec<_> =
        filters.chain([json!({"is_failure": true}), json!({"status": "pending", "is_failure": true})]).collect();
    let answers = ["", STATES].map(|states| {
        std::fs::write(store.profile(), with(states)).unwrap();
        let plugin = store.open();
        filters.iter().map(|filter| call(&plugin, &dry_run(filter.clone())).unwrap()).collect::<Vec<_>>()
    });
    for (index, filter) in filters.iter().enumerate() {
        assert_eq!(answers[0][index], answers[1][index], "{filter}");
    }
}

/// What a search by these words would pass over, `check` has seen.
#[test]
fn a_word_that_the_view_takes_for_another_is_told_by_check() {
    let store = store();
    let passed_over = |states: &str| {
        std::fs::write(store.profile(), with(states)).unwrap();
        json!(store.open().survey().unwrap().passed_over)
    };
    for right in ["", STATES] {
        assert_eq!(passed_over(right), json!({}));
    }
    let wrong = STATES.replace("['failed']", "['lost', 'done']").replace("['waiting']", "[]");
    assert_eq!(passed_over(&wrong), json!({"failed (failed)": 2, "pending (waiting)": 2}));
    assert_eq!(call(&store.open(), &dry_run(json!({"status": "failed"}))).unwrap()["matched"], 0, "as it says");
    // A failure that is not said at all is passed over by who asks for failures; another word is looked for by itself.
    let unsaid =
        STATES.replace(", failed = ['failed']", "").replace("done = ['done'], ", "").replace("done = ['done']", "");
    assert_eq!(passed_over(&unsaid), json!({"failed (failed)": 2}));
    let told = crate::check::check(&store, &store.database.url).0;
    assert!(told.contains("states     2 failed (failed): the view calls these runs so"), "{told}");
}

#[test]
fn words_that_can_not_be_are_told() {
    let store = store();
    let says = |profile: &str, words: &[&str]| {
        std::fs::write(store.profile(), profile).unwrap();
        assert_error(&store.open_error(&store.database.url), 500, words);
    };
    says(&PROFILE.replace("spawn = ", &format!("{STATES}spawn = ")), &["states", "no column `state`"]);
    says(&with("states = { pending = ['waiting'], failed = ['failed'] }\n"), &["states", "running is not said"]);
    store.client.execute(
        "DROP INDEX not_done; CREATE TYPE stand AS ENUM ('waiting', 'done', 'failed'); DROP INDEX job_once;
         ALTER TABLE job ALTER state DROP DEFAULT, ALTER state TYPE stand USING state::stand",
    );
    let cast = |states: &str| {
        with(states).replace("CASE state ", "CASE state::text ").replace("THEN state END", "THEN state::text END")
    };
    says(&cast(&STATES.replace("'done'", "'ready'")), &["states", "invalid input value for enum"]);
    // Another edition's word beside one that is there is no mistake: the store's enum has it not, and so has no run.
    for states in [STATES.to_owned(), STATES.replace("'done'", "'finished', 'done'")] {
        std::fs::write(store.profile(), cast(&states)).unwrap();
        assert_eq!(call(&store.open(), &dry_run(json!({"status": "failed,done"}))).unwrap()["matched"], 20_003);
    }
}
