//! What becomes of each source run.

use bulk_rerun::contract::Run;
use serde_json::json;

use crate::store::{Store, all_failed, assert_error, call, skipped, triggered};

#[test]
fn thousands_of_runs_are_started_each_with_its_own_parameters() {
    let store = Store::with_failed(9_345);
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), 9_345);
    for run in answer["triggered"].as_array().unwrap() {
        assert_ne!(run["run_id"], run["rerun_of"]);
    }
    let same =
        "SELECT count(*) FROM job a JOIN job b USING (task, payload) WHERE a.state = 'failed' AND b.state = 'waiting'";
    assert_eq!(store.client.value(same).as_deref(), Some("9345"));
    // The new run's id belongs to the source run that it is named with.
    let pair = &answer["triggered"][7_234];
    let sql = format!("SELECT task FROM job WHERE id IN ({}, {})", pair["run_id"], pair["rerun_of"]).replace('"', "");
    let tasks = store.client.rows(&sql);
    assert_eq!(tasks[0], tasks[1]);
}

#[test]
fn a_unique_rule_declines_its_own_run_and_the_others_go_on() {
    let store = Store::with_failed(3);
    store.client.execute("UPDATE job SET once = task WHERE task = 'task2'");
    let plugin = store.open();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    // The run that was started is waiting still, and its rule lets no other wait beside it.
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task2: refused".to_owned()]));
    let detail = answer["skipped"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("job_once"), "it does not say which rule: {detail}");
    assert_eq!(store.count(), 3 + 3 + 2);
}

#[test]
fn a_trigger_that_raises_declines_its_run_in_its_own_words() {
    let store = Store::with_failed(3);
    store.client.execute(
        "CREATE FUNCTION decline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.task = 'task1' THEN RAISE EXCEPTION 'task1 is on holiday'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER decline BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION decline();",
    );
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task1: refused".to_owned()]));
    assert_eq!(answer["skipped"][0]["detail"], "task1 is on holiday");
}

/// The first and the last, neighbours, and two far from all others.
#[test]
fn runs_that_are_declined_among_thousands_are_found_wherever_they_stand() {
    const DECLINED: [u32; 6] = [1, 1_001, 1_002, 7_000, 7_900, 14_000];
    for statements in ["", MANY] {
        let store = Store::with_failed(14_000);
        store.add_to_profile(statements);
        store.client.execute(&format!(
            "CREATE FUNCTION decline() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (NEW.payload->>'n')::int IN ({}) THEN RAISE EXCEPTION 'it is on holiday'; END IF; RETURN NEW; END $$;
             UPDATE job SET task = 'task' || to_char((payload->>'n')::int, 'FM00000');
             CREATE TRIGGER decline BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION decline();",
            DECLINED.map(|n| n.to_string()).join(", ")
        ));
        let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
        assert_eq!(skipped(&answer), DECLINED.map(|n| format!("task{n:05}: refused")));
        let triggered = answer["triggered"].as_array().unwrap();
        let expected = (1..=14_000).filter(|n| !DECLINED.contains(n)).map(|n| format!("task{n:05}"));
        assert!(triggered.iter().map(|run| run["task_name"].as_str().unwrap()).eq(expected), "{statements}");
        assert_eq!(store.count(), 14_000 + triggered.len());
        let pairs = triggered.iter().map(|run| format!("({}, {})", run["rerun_of"], run["run_id"]).replace('"', ""));
        let same = format!(
            "SELECT count(*) FROM (VALUES {}) AS pair(old, new) JOIN job old ON old.id = pair.old
             JOIN job new ON new.id = pair.new AND new.payload = old.payload AND new.state = 'waiting'",
            pairs.collect::<Vec<_>>().join(", ")
        );
        assert_eq!(store.client.value(&same), Some(triggered.len().to_string()), "{statements}");
    }
}

#[test]
fn a_statement_that_starts_nothing_is_a_refusal() {
    let store = Store::with_failed(3);
    store.reword("WHERE id = :id::bigint", "WHERE id = :id::bigint AND task <> 'task3'");
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task3: refused".to_owned()]));
}

#[test]
fn a_statement_that_starts_many_is_an_error_and_nothing_is_changed() {
    let store = Store::with_failed(3);
    store.reword("WHERE id = :id::bigint", "WHERE id <> :id::bigint");
    let error = call(&store.open(), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["small.toml", "spawn", "more than one run"]);
    assert_eq!(store.count(), 3);
}

/// The predicate is asked while the search goes on: what it deletes is gone at the moment of the spawn.
#[test]
fn a_source_run_that_vanished_is_gone() {
    let store = Store::with_failed(3);
    let mut delete = |run: &Run| {
        if run.task_name == "task2" {
            store.client.execute("DELETE FROM job WHERE task = 'task2'");
        }
        Ok(true)
    };
    let request = all_failed(json!({})).to_string();
    let answer = store.open().call_where(request.as_bytes(), &mut delete).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (2, vec!["task2: gone".to_owned()]));
    assert_eq!(store.count(), 2 + 2);
}

/// As the snapshot has it, whatever others commit while it is searched.
#[test]
fn a_search_sees_one_moment() {
    let store = Store::with_failed(2_000);
    let mut seen = 0;
    let mut each = |_: &Run| {
        if seen == 0 {
            store.client.execute("INSERT INTO job (task, state) SELECT 'late', 'failed' FROM generate_series(1, 1000)");
        }
        seen += 1;
        Ok(false)
    };
    store.open().call_where(all_failed(json!({})).to_string().as_bytes(), &mut each).unwrap();
    assert_eq!(seen, 2_000);
}

#[test]
fn a_search_that_is_broken_off_leaves_the_plugin_usable() {
    let store = Store::with_failed(20_000);
    let plugin = store.open();
    let mut each = |_: &Run| Err(bulk_rerun::ErrorModel::new(500, "the script failed"));
    for request in [all_failed(json!({})), json!({"ids": (1..5_000).map(|id| id.to_string()).collect::<Vec<_>>()})] {
        let error = plugin.call_where(request.to_string().as_bytes(), &mut each).unwrap_err();
        assert_eq!(error.detail, "the script failed");
    }
    assert_eq!(triggered(&call(&plugin, &json!({"ids": ["1"]})).unwrap()), 1);
}

/// All parameters that a statement may take, and one that returns nothing.
#[test]
fn a_statement_may_take_the_new_id_instead_of_returning_one() {
    let store = Store::with_failed(3);
    store.client.execute("ALTER TABLE job ALTER id DROP IDENTITY; ALTER TABLE job ALTER id TYPE text");
    store.reword(
        "INSERT INTO job (task, payload, once) SELECT task, payload, once FROM job WHERE id = :id::bigint\nRETURNING id::text",
        "INSERT INTO job (id, task, payload, made) VALUES (:new_id, :task_name, :params::jsonb, :now::timestamptz)",
    );
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), 3);
    let id = answer["triggered"][0]["run_id"].as_str().unwrap();
    assert_eq!(id.len(), 26, "{id} is no ULID");
    let sql = format!("SELECT task, payload->>'n' FROM job WHERE id = '{id}' AND made > now() - interval '1 minute'");
    assert_eq!(store.client.rows(&sql), [[Some("task1".to_owned()), Some("1".to_owned())]]);
}

/// One statement for many runs.
const MANY: &str = "
spawn_many = '''
WITH source AS MATERIALIZED (
    SELECT job.*, nextval(pg_get_serial_sequence('job', 'id')) AS new_id
    FROM unnest(:id::bigint[]) AS wanted(id) JOIN job USING (id)
), started AS (
    INSERT INTO job (id, task, payload, once) OVERRIDING SYSTEM VALUE SELECT new_id, task, payload, once FROM source
)
SELECT id::text, new_id::text FROM source
'''
";

#[test]
fn one_statement_for_many_runs_does_what_one_for_each_does() {
    let store = Store::with_failed(9_500);
    store.add_to_profile(MANY);
    store.client.execute("UPDATE job SET once = 'both' WHERE task IN ('task7', 'task8')");
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    // Of the two that exclude each other the first goes on.
    assert_eq!((triggered(&answer), skipped(&answer)), (9_499, vec!["task8: refused".to_owned()]));
    let same =
        "SELECT count(*) FROM job a JOIN job b USING (task, payload) WHERE a.state = 'failed' AND b.state = 'waiting'";
    assert_eq!(store.client.value(same).as_deref(), Some("9499"));
    let pair = &answer["triggered"][8_000];
    let sql = format!("SELECT task FROM job WHERE id IN ({}, {})", pair["run_id"], pair["rerun_of"]).replace('"', "");
    let tasks = store.client.rows(&sql);
    assert_eq!(tasks[0], tasks[1]);
}

/// A key of UUIDs: the new ones come from us, and sort as the runs were named.
#[test]
fn a_statement_for_many_runs_may_take_the_new_ids_instead_of_returning_them() {
    let store = Store::with_failed(9_500);
    store
        .client
        .execute("ALTER TABLE job ALTER id DROP IDENTITY; ALTER TABLE job ALTER id TYPE uuid USING gen_random_uuid()");
    let spawns = "INSERT INTO job (id, task, payload, once)
SELECT :new_uuid::uuid, task, payload, once FROM job WHERE id = :id::uuid
'''
spawn_many = '''
INSERT INTO job (id, task, payload, once)
SELECT wanted.new_id, task, payload, once FROM unnest(:id::uuid[], :new_uuid::uuid[]) AS wanted(id, new_id) JOIN job USING (id)";
    store.reword(
        "INSERT INTO job (task, payload, once) SELECT task, payload, once FROM job WHERE id = :id::bigint\nRETURNING id::text",
        spawns,
    );
    store.client.execute("UPDATE job SET once = 'both' WHERE task IN ('task7', 'task8')");
    let answer = call(&store.open(), &all_failed(json!({}))).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer)), (9_499, vec!["task8: refused".to_owned()]));
    let new_ids: Vec<&str> =
        answer["triggered"].as_array().unwrap().iter().map(|item| item["run_id"].as_str().unwrap()).collect();
    assert!(new_ids.is_sorted_by(|one, next| one < next), "they do not sort as they were made");
    assert!(new_ids.iter().all(|id| id.len() == 36 && &id[14..15] == "7"), "{} is no UUID of version 7", new_ids[0]);
    for pair in [&answer["triggered"][0], &answer["triggered"][8_000]] {
        let sql = format!("SELECT payload FROM job WHERE id IN ({}, {})", pair["run_id"], pair["rerun_of"]);
        let payloads = store.client.rows(&sql.replace('"', "'"));
        assert_eq!(payloads.len(), 2, "{pair}");
        assert_eq!(payloads[0], payloads[1], "{pair}");
    }
}

#[test]
fn a_statement_for_many_runs_says_what_became_of_each() {
    let store = Store::with_failed(1);
    for (many, words) in [
        ("INSERT INTO job (task) SELECT unnest(:task_name)", "two columns"),
        ("INSERT INTO job (task) SELECT unnest(:id) RETURNING id::text", "two columns"),
        ("INSERT INTO job (task) SELECT unnest(:task_name) RETURNING id::text, task", "array :id"),
        (
            "INSERT INTO job (task, once) SELECT * FROM unnest(:new_id, :new_uuid) WHERE :id IS NOT NULL",
            "either :new_id or :new_uuid",
        ),
    ] {
        store.add_to_profile(&format!("spawn_many = '{many}'"));
        let error = store.open_error(&store.database.url);
        assert!(error.detail.contains(words), "{many}: {}", error.detail);
    }
}
