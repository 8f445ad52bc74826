//! A new run that is the old one but for a part of its JSON, and for a hash of it: every other value stays as it is spelled.

use crate::queue_store_postgres;
use crate::support::calls::{all_failed, assert_error, call, first_detail, skipped, triggered};
use crate::support::queue_store::{Own, profile};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What is written otherwise by whoever reads it as numbers, texts and objects.
const VALUES: [(&str, &str); 11] = [
    ("z", "1.50E2"),
    ("huge", "1e400"),
    ("long", "123456789012345678901234567890"),
    ("zero", "-0"),
    ("nul", r#""\u0000""#),
    ("half", r#""\ud800""#),
    ("slash", r#""\/\u00e9é""#),
    ("twice", "1"),
    ("twice", "2"),
    ("nested", r#"{"b":1.0,"a":[1E5,{}],"b":2}"#),
    ("a", "null"),
];

const VIEW: &str = "
SELECT id, queue AS task_name, CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase,
       CASE state WHEN 'broken' THEN 'failed' END AS end_reason, message AS params
FROM jobs";

/// A message, which has the job's own id in the middle.
fn message(id: &str) -> String {
    let mut members: Vec<_> = VALUES.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    members.insert(3, format!("\"id\":\"{id}\""));
    format!("{{{}}}", members.join(","))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn on_sqlite(once: &str) -> Own {
    let spawn = format!(
        "
INSERT INTO jobs SELECT :new_uuid, queue, 'queued', json_set(message, '$.id', :new_uuid), {once}
FROM jobs WHERE id = :id"
    );
    let own = Own::new(
        "CREATE TABLE jobs (id PRIMARY KEY, queue, state, message, once UNIQUE)",
        &profile("sqlite", VIEW, &spawn),
    );
    own.execute(&format!("INSERT INTO jobs VALUES ('old', 'mail', 'broken', '{}', NULL)", message("old")));
    own
}

#[test]
fn sqlite_keeps_the_text_of_all_other_values() {
    let store = on_sqlite("bulk_rerun_sha256(queue || :new_uuid)");
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    let id = answer["triggered"][0]["run_id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let new = store.lines("SELECT message, once FROM jobs WHERE state = 'queued'");
    assert_eq!(new, [format!("{}|{}", message(id), sha256(&format!("mail{id}")))]);
}

/// A view may have it too, but nothing in the host's own schema: that would fail without us.
#[test]
fn sqlite_hashes_the_bytes_of_texts_and_blobs() {
    let empty = sha256("");
    for (value, hash) in
        [("'abc'", sha256("abc")), ("x'616263'", sha256("abc")), ("''", empty), ("NULL", "NULL".into())]
    {
        let store = on_sqlite(&format!("bulk_rerun_sha256({value})"));
        assert_eq!(triggered(&call(&store.plugin(), &all_failed(json!({}))).unwrap()), ["mail"]);
        assert_eq!(store.lines("SELECT once FROM jobs WHERE state = 'queued'"), [hash], "{value}");
    }
    let store = on_sqlite("bulk_rerun_sha256(7)");
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(skipped(&answer), ["old: refused"]);
    assert!(first_detail(&answer).contains("takes a text or a blob"), "{answer}");
    let store = on_sqlite("NULL");
    store.set_profile(&profile(
        "sqlite",
        &VIEW.replace("message AS", "bulk_rerun_sha256(message) AS"),
        "DELETE FROM jobs WHERE id = :id RETURNING id",
    ));
    let planned = call(&store.plugin(), &all_failed(json!({"dry_run": true, "with_runs": true}))).unwrap();
    assert_eq!(planned["planned"][0]["run"]["params"], sha256(&message("old")), "{planned}");
    store.execute("CREATE TRIGGER rule AFTER DELETE ON jobs BEGIN SELECT bulk_rerun_sha256(OLD.id); END");
    assert_error(&store.try_plugin().err().unwrap(), 500, &["spawn (generation", "unsafe use of bulk_rerun_sha256()"]);
}

/// What `replace` does not touch stays as it is, white space too; a message without the id as the runner spells it starts
/// nothing.
#[test]
fn replace_puts_an_id_anew_and_nothing_else() {
    let spawn = |id: &str, new: &str| {
        format!(
            "
INSERT INTO jobs
SELECT {new}, queue, 'queued', {id}, NULL
FROM jobs WHERE id = :id AND message LIKE '%\"id\":\"' || :id || '\"%'"
        )
    };
    let replaced = "replace(message, '\"id\":\"' || :id || '\"', '\"id\":\"' || :new_uuid || '\"')";
    let schema = "CREATE TABLE jobs (id text PRIMARY KEY, queue text, state text, message text, once text UNIQUE)";
    let spaced = |id: &str| message(id).replace(':', " :\t").replace("\"id\" :\t", "\"id\":");
    let old = format!(
        "INSERT INTO jobs VALUES ('old', 'mail', 'broken', '{}', NULL), ('odd', 'other', 'broken', '{{\"id\": \"odd\"}}', NULL)",
        spaced("old")
    );
    let sqlite = Own::new(schema, &profile("sqlite", VIEW, &spawn(replaced, ":new_uuid")));
    sqlite.execute(&old);
    // The column is of the type json, which keeps a text as it is.
    let on_json = spawn(&format!("{}::json", replaced.replace("message", "message::text")), ":new_uuid");
    let on_json = on_json.replace("message LIKE", "message::text LIKE");
    let postgres = queue_store_postgres::Own::new(
        &schema.replace("message text", "message json"),
        &profile("postgres", VIEW, &on_json),
    );
    postgres.execute(&old);
    for (plugin, lines) in [
        (sqlite.plugin(), &(|sql: &str| sqlite.lines(sql)) as &dyn Fn(&str) -> Vec<String>),
        (postgres.plugin(), &|sql: &str| postgres.lines(sql)),
    ] {
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        assert_eq!((triggered(&answer), skipped(&answer)), (vec!["mail"], vec!["odd: refused".to_owned()]));
        let id = answer["triggered"][0]["run_id"].as_str().unwrap();
        assert_eq!(lines("SELECT message FROM jobs WHERE state = 'queued'"), [spaced(id)]);
    }
}

#[test]
fn postgresql_keeps_the_text_of_all_other_values() {
    let spawn = "
INSERT INTO jobs
SELECT :new_uuid, queue, 'queued',
       (SELECT json_object_agg(key, CASE key WHEN 'id' THEN to_json(:new_uuid) ELSE value END ORDER BY place)
        FROM json_each(message) WITH ORDINALITY AS member(key, value, place)),
       encode(sha256(convert_to(queue || :new_uuid, 'UTF8')), 'hex')
FROM jobs WHERE id = :id";
    let schema = "CREATE TABLE jobs (id text PRIMARY KEY, queue text, state text, message json, once text UNIQUE)";
    let store = queue_store_postgres::Own::new(schema, &profile("postgres", VIEW, spawn));
    let read = |message: String| message.replace("\\u0000", "").replace("\\ud800", "");
    store.execute(&format!("INSERT INTO jobs VALUES ('old', 'mail', 'broken', '{}', NULL)", read(message("old"))));
    // A sign that PostgreSQL can't have in a text is in its way: that is no new run, and never another value.
    store.execute(&format!("INSERT INTO jobs VALUES ('nul', 'other', 'broken', '{}', NULL)", message("nul")));
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(skipped(&answer), ["nul: refused"]);
    let id = answer["triggered"][0]["run_id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let mut members: Vec<_> = VALUES.iter().map(|(key, value)| read(format!("{key}|{value}"))).collect();
    members.insert(3, format!("id|\"{id}\""));
    let new = "SELECT key, value::text FROM jobs, json_each(message) WITH ORDINALITY AS member(key, value, place)
               WHERE state = 'queued' ORDER BY place";
    assert_eq!(store.lines(new), members);
    assert_eq!(store.lines("SELECT once FROM jobs WHERE state = 'queued'"), [sha256(&format!("mail{id}"))]);
}
