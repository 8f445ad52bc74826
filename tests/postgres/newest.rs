//! The newest runs of tasks are found at the server, and are the same as those that are found by looking at all.

use std::fs;

use serde_json::{Value, json};

use crate::store::{PROFILE, Store, call};

/// Names that an array's text, a statement or a collation could trip over.
const NAMES: [&str; 8] = ["plain", "O'Neil\"s", "{a,b}", "NULL", r"back\slash", "größe", " ", "$1; --"];

/// Some thousand runs of those tasks, many of them made in the same minute, so that ids decide; the newest of every
/// second task has succeeded. The server's statements are in its log, with the database's name in them.
fn store() -> Store {
    let store = Store::new();
    let (names, marker) = (NAMES.map(|name| format!("$name${name}$name$")).join(", "), &store.database.name);
    store.client.execute(&format!(
        "INSERT INTO job (task, state, made, payload)
         SELECT (ARRAY[{names}])[1 + n % 8], CASE WHEN n % 3 = 0 THEN 'success' ELSE 'failed' END,
                '2026-11-01'::timestamptz + n / 100 * interval '1 minute', '1'
         FROM generate_series(1, 20000) AS n;
         INSERT INTO job (task, state, made, payload)
         SELECT (ARRAY[{names}])[n], CASE WHEN n % 2 = 0 THEN 'success' ELSE 'failed' END, '2026-11-20', '1'
         FROM generate_series(1, 8) AS n;
         ALTER DATABASE {marker} SET log_statement = 'all'"
    ));
    store.client.execute("VACUUM ANALYZE job");
    fs::write(store.profile(), PROFILE.replacen("SELECT id,", &format!("SELECT id /* {marker} */,"), 1)).unwrap();
    store
}

/// Whether a statement of the store's sessions had these words.
fn was_asked(store: &Store, words: &str) -> bool {
    let log = fs::read(store.database.server.folder.join("log")).unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    let mut statements = log.split("LOG:  ").filter(|text| text.contains(&format!("/* {} */", store.database.name)));
    statements.any(|text| text.contains(words) && !text.contains("EXPLAIN"))
}

const COUNTED: &str = "GROUP BY 1";
const NEWEST_ONLY: &str = "LATERAL";

/// A dry run's answer, without what is told of single runs.
fn plan(store: &Store, filter: &Value, options: Value) -> Value {
    let mut options = options;
    options["dry_run"] = true.into();
    let mut answer = call(&store.open(), &json!({"match_all": true, "filter": filter, "options": options})).unwrap();
    for list in ["planned", "skipped"] {
        for entry in answer[list].as_array_mut().into_iter().flatten() {
            entry.as_object_mut().unwrap().retain(|field, _| !["run", "first", "parameter_sets"].contains(&&**field));
            if list == "skipped" {
                entry.as_object_mut().unwrap().remove("matched");
            }
        }
    }
    answer
}

/// The plan is the same as where every run is looked at, since more is told of each.
#[track_caller]
fn check(store: &Store, filter: Value, options: Value) -> Value {
    let mut with_runs = options.clone();
    with_runs["with_runs"] = true.into();
    let answer = plan(store, &filter, options);
    assert_eq!(answer, plan(store, &filter, with_runs));
    answer
}

#[test]
fn the_newest_of_each_task_is_the_same_as_by_looking_at_all() {
    let store = store();
    let answer = check(&store, json!({}), json!({}));
    assert_eq!((answer["matched"].as_u64(), answer["planned"].as_array().unwrap().len()), (Some(20_008), 8));
    assert!(was_asked(&store, COUNTED), "this store is not large enough for this test");
    for filter in [
        json!({"status": "failed"}),
        json!({"status": "failed", "created_before": "2026-11-01T02:00:00Z"}),
        json!({"created_after": "2026-11-01T01:00:00.000000500Z", "created_before": "2026-11-19T00:00:00Z"}),
        json!({"task_name": "{a,b}"}),
        json!({"task_name": "nothing"}),
        json!({"search": "O'N"}),
    ] {
        check(&store, filter, json!({}));
    }
    let answer = check(&store, json!({}), json!({"except_tasks": ["NULL", "nothing"]}));
    assert_eq!((answer["matched"].as_u64(), answer["planned"].as_array().unwrap().len()), (Some(17_507), 7));
}

#[test]
fn a_time_that_can_not_be_read_is_the_oldest() {
    let store = store();
    for time in ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", "NULL"] {
        let value = if time == "NULL" { time.to_owned() } else { format!("'{time}'") };
        store.client.execute(&format!(
            "ALTER TABLE job ALTER made DROP NOT NULL;
             INSERT INTO job (task, state, made, payload) SELECT 'plain', 'failed', {value}, '1' FROM generate_series(1, 3);
             INSERT INTO job (task, state, made, payload) VALUES ('only so', 'failed', {value}, '1')"
        ));
        check(&store, json!({}), json!({}));
        check(&store, json!({"created_before": "2026-11-02T00:00:00Z"}), json!({}));
        check(&store, json!({"created_after": "2026-11-02T00:00:00Z"}), json!({}));
        check(&store, json!({"status": "failed"}), json!({"skip_superseded": true}));
    }
}

#[test]
fn a_task_without_a_name_is_one_of_its_own() {
    let store = store();
    store.client.execute(
        "ALTER TABLE job ALTER task DROP NOT NULL;
         INSERT INTO job (task, state, payload) VALUES (NULL, 'failed', '1'), (NULL, 'failed', '1'), ('', 'failed', '1')",
    );
    let answer = check(&store, json!({"status": "failed"}), json!({}));
    assert_eq!(answer["skipped"].as_array().unwrap().len(), 2, "{answer}");
    check(&store, json!({"status": "failed"}), json!({"skip_superseded": true}));
}

/// Where the newest run of one task is refused, an older one is named that may be started.
#[test]
fn an_older_run_that_may_be_started_is_named() {
    let store = store();
    let marked = fs::read_to_string(store.profile()).unwrap().replace(
        "payload AS params\n",
        "payload AS params, CASE WHEN made = '2026-11-20' AND task = 'plain' THEN 'held back' END AS unfit\n",
    );
    fs::write(store.profile(), marked).unwrap();
    let answer = check(&store, json!({"status": "failed"}), json!({}));
    let detail = answer["skipped"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("held back; the older run"), "{answer}");
}

/// In the collation of the column, `PLAIN` is `plain`; to us they are two tasks.
#[test]
fn names_that_a_collation_takes_for_one_are_two() {
    let store = store();
    store.client.execute(
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         ALTER TABLE job ALTER task TYPE text COLLATE any_case;
         INSERT INTO job (task, state, made, payload) VALUES ('PLAIN', 'success', '2026-11-25', '1');
         INSERT INTO job (task, state, made, payload)
         SELECT 'PLAIN', 'failed', made, '1' FROM job WHERE task = 'plain' AND made < '2026-11-20'",
    );
    store.client.execute("VACUUM ANALYZE job");
    store.client.execute("CREATE INDEX newest ON job (task, made)");
    check(&store, json!({}), json!({}));
    check(&store, json!({"task_name": "plain"}), json!({}));
    check(&store, json!({"task_name": "PLAIN"}), json!({}));
    let answer = check(&store, json!({"status": "failed"}), json!({"skip_superseded": true}));
    assert_eq!(superseded(&answer), superseded_by_hand(&store), "{answer}");
    assert!(superseded(&answer).contains(&"PLAIN".to_owned()), "{answer}");
}

fn superseded(answer: &Value) -> Vec<String> {
    let skipped =
        answer["skipped"].as_array().into_iter().flatten().filter(|skipped| skipped["reason"] == "superseded");
    skipped.map(|skipped| skipped["task_name"].as_str().unwrap().to_owned()).collect()
}

/// The tasks whose newest run has succeeded, though they have failed.
fn superseded_by_hand(store: &Store) -> Vec<String> {
    let rows = store.client.rows(
        "SELECT task FROM (SELECT DISTINCT ON (task COLLATE \"C\") task, state FROM job
                           ORDER BY task COLLATE \"C\", made DESC, id DESC) AS newest
         WHERE state = 'success' ORDER BY task COLLATE \"C\"",
    );
    rows.into_iter().flatten().flatten().collect()
}

#[test]
fn what_supersedes_is_the_same_with_an_index_and_without() {
    let store = store();
    let filters = [json!({"status": "failed"}), json!({"status": "failed", "created_before": "2026-11-01T00:10:00Z"})];
    let ask = || filters.clone().map(|filter| plan(&store, &filter, json!({"skip_superseded": true})));
    let without = ask();
    assert!(!was_asked(&store, NEWEST_ONLY));
    store.client.execute("CREATE INDEX newest ON job (task, made)");
    let with = ask();
    assert!(was_asked(&store, NEWEST_ONLY), "this store is not large enough for this test");
    assert_eq!(without, with);
    assert_eq!(superseded(&with[0]).len(), 4);
    assert_eq!(superseded(&with[0]), superseded_by_hand(&store));
    // All have the same parameters, so each task is one group of them.
    let by_params =
        filters.clone().map(|filter| plan(&store, &filter, json!({"skip_superseded": true, "unique_by": "params"})));
    assert_eq!(with, by_params);
}

/// Two tasks may have a run with the same id, and two runs of one task the same time.
#[test]
fn of_ids_that_tasks_share_each_is_its_own() {
    let store = store();
    store.client.execute(
        "ALTER TABLE job DROP CONSTRAINT job_pkey, ADD PRIMARY KEY (task, id);
         INSERT INTO job (id, task, state, made, payload) OVERRIDING SYSTEM VALUE
         SELECT id, 'other ' || task, state, made, payload FROM job",
    );
    store.client.execute("CREATE INDEX newest ON job (task, made)");
    store.client.execute("VACUUM ANALYZE job");
    let answer = check(&store, json!({}), json!({"skip_superseded": true}));
    assert_eq!(answer["matched"], 40_016);
    assert!(was_asked(&store, COUNTED) && was_asked(&store, NEWEST_ONLY));
}

/// A view that joins too much shows runs twice, and each counts once: few, which nobody asks the planner about, and many.
#[test]
fn a_run_that_a_view_shows_twice_is_one() {
    let store = store();
    let twice = fs::read_to_string(store.profile()).unwrap().replace("FROM job\n", "FROM job, generate_series(1, 2)\n");
    assert!(twice.contains("generate_series"), "{twice}");
    fs::write(store.profile(), twice).unwrap();
    for (filter, matched) in [
        (json!({}), 20_008),
        (json!({"created_after": "2026-11-20T00:00:00Z"}), 8),
        (json!({"task_name": "{a,b}", "created_before": "2026-11-01T00:00:30Z"}), 13),
    ] {
        let answer = check(&store, filter, json!({"unique_by": "run"}));
        assert_eq!(answer["matched"], matched);
        assert_eq!(answer["planned"].as_array().unwrap().len(), matched);
    }
    let ids = call(&store.open(), &json!({"ids": ["1", "2"], "options": {"dry_run": true}})).unwrap();
    assert_eq!(ids["matched"], 2);
}

/// From some number on, ids are joined with the table. What is no id, or none of this store's, is told as ever.
#[test]
fn many_ids_are_found_as_few_are() {
    let store = store();
    let odd = ["007", "seven", "-1", "99999999", "9223372036854775808", "", "1\u{0}"];
    let ids = |range: std::ops::Range<u32>| range.map(|id| id.to_string());
    let many: Vec<String> = ids(1..15_000).chain(odd.map(str::to_owned)).collect();
    let few: Vec<String> = ids(14_990..15_000).chain(odd.map(str::to_owned)).collect();
    let [many, few] = [many, few].map(|ids| {
        call(&store.open(), &json!({"ids": ids, "options": {"dry_run": true, "unique_by": "run"}})).unwrap()
    });
    assert_eq!((many["matched"].as_u64(), few["matched"].as_u64()), (Some(14_999), Some(10)));
    assert_eq!(many["skipped"], few["skipped"]);
    assert_eq!(many["planned"].as_array().unwrap().len(), 14_999);
}
