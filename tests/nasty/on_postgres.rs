//! The nasty schemas on PostgreSQL, and keys of every type.

use serde_json::json;

use crate::a_key_of_several_columns;
use crate::queue_store_postgres::{Own, QUEUES_VIEW};
use crate::support::calls::{all_failed, assert_error, call, pairs, planned, reasons};
use crate::support::queue_store::profile;

/// A table for each queue, one of them in partitions, shown as one; each run's states in a table of their own, the last
/// of which counts. What writes, writes to the view.
const SCHEMA: &str = "
CREATE TABLE kind (no int PRIMARY KEY, label text NOT NULL);
CREATE TABLE item_mail (
    shard text, seq bigint, kind int NOT NULL, head text, body bytea, born_us bigint NOT NULL, gone boolean DEFAULT false,
    PRIMARY KEY (shard, seq)
);
CREATE TABLE item_report (
    shard text, seq bigint, kind int NOT NULL, head text, body bytea, born_us bigint NOT NULL, gone boolean DEFAULT false,
    PRIMARY KEY (shard, seq)
) PARTITION BY HASH (shard);
CREATE TABLE item_report_0 PARTITION OF item_report FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE item_report_1 PARTITION OF item_report FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE item_state (
    queue text, shard text, seq bigint, n int, state smallint NOT NULL, at_ms bigint NOT NULL, code int,
    PRIMARY KEY (queue, shard, seq, n)
);
CREATE VIEW item AS SELECT 'mail'::text AS queue, * FROM item_mail UNION ALL SELECT 'report', * FROM item_report;
CREATE FUNCTION starts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('INSERT INTO item_%s VALUES ($1, $2, $3, $4, $5, $6)', NEW.queue)
        USING NEW.shard, NEW.seq, NEW.kind, NEW.head, NEW.body, NEW.born_us;
    INSERT INTO item_state VALUES (NEW.queue, NEW.shard, NEW.seq, 1, 0, NEW.born_us / 1000);
    RETURN NEW;
END $$;
CREATE TRIGGER starts INSTEAD OF INSERT ON item FOR EACH ROW EXECUTE FUNCTION starts();
CREATE FUNCTION takes_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('DELETE FROM item_%s WHERE shard = $1 AND seq = $2', OLD.queue) USING OLD.shard, OLD.seq;
    DELETE FROM item_state WHERE queue = OLD.queue AND shard = OLD.shard AND seq = OLD.seq;
    RETURN OLD;
END $$;
CREATE TRIGGER takes_back INSTEAD OF DELETE ON item FOR EACH ROW EXECUTE FUNCTION takes_back();
INSERT INTO kind VALUES (1, 'bill'), (2, 'sum up');
INSERT INTO item_mail VALUES
    ('eu:1',  9, 1, 'billed',       '\\x01',     1776211200000000, false),
    ('eu:1', 10, 1, 'to be billed', '\\x00ff3a', 1776211200000001, false),
    ('eu:1', 11, 1, 'later',        NULL,        1776211200000002, false),
    ('eu:1', 12, 1, 'purged',       NULL,        1776211200000003, true);
INSERT INTO item_report VALUES ('eu:1', 10, 2, NULL, NULL, 1776211200000000, false);
INSERT INTO item_state SELECT queue, shard, seq, 1, 1, born_us / 1000, NULL FROM item;
INSERT INTO item_state SELECT queue, shard, seq, 2, CASE seq WHEN 9 THEN 2 WHEN 12 THEN 2 ELSE 9 END, born_us / 1000 + 5, 1 FROM item;
";

const PROFILE: &str = r#"
name = "nasty"
runner = "Nasty"
engine = "postgres"

[[generation]]
requires.item = ["queue", "shard", "seq", "kind", "head", "body", "born_us", "gone"]
requires.item_state = ["queue", "shard", "seq", "n", "state", "code"]
requires.kind = ["no", "label"]
rights.item = ["SELECT", "INSERT", "DELETE"]
key.queue = "split_part(:id, ':', 1)"
key.seq = "split_part(:id, ':', 2)::bigint"
key.shard = "substr(:id, length(split_part(:id, ':', 1)) + length(split_part(:id, ':', 2)) + 3)"
runs = '''
SELECT i.queue, i.seq, i.shard,
       i.queue || ':' || i.seq || ':' || i.shard AS id,
       k.label AS task_name,
       CASE s.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' ELSE 'ended' END AS phase,
       CASE s.state WHEN 2 THEN 'succeeded' WHEN 9 THEN 'failed' END AS end_reason,
       s.code AS exit_code,
       to_timestamp(i.born_us / 1e6) AS created_at,
       jsonb_build_array(i.head, encode(i.body, 'hex')) AS params,
       i.gone AS deleted
FROM item i JOIN kind k ON k.no = i.kind
JOIN LATERAL (
    SELECT state, code FROM item_state s
    WHERE s.queue = i.queue AND s.shard = i.shard AND s.seq = i.seq ORDER BY n DESC LIMIT 1
) s ON true
'''
spawn = '''
INSERT INTO item (queue, shard, seq, kind, head, body, born_us)
SELECT queue, shard, (SELECT max(seq) + 1 FROM item m WHERE m.queue = i.queue AND m.shard = i.shard),
       kind, head, body, (extract(epoch FROM :now::timestamptz) * 1e6)::bigint
FROM item i
WHERE queue = :queue AND seq = :seq AND shard = :shard
RETURNING queue || ':' || seq || ':' || shard
'''
undo = '''
DELETE FROM item
WHERE queue = :queue AND seq = :seq AND shard = :shard
    AND 0 = (SELECT max(state) FROM item_state s WHERE s.queue = item.queue AND s.shard = item.shard AND s.seq = item.seq)
'''
"#;

const WAITING: &str = "
SELECT label, head, encode(body, 'hex') FROM item JOIN kind ON no = kind JOIN item_state USING (queue, shard, seq)
GROUP BY label, head, body, queue, shard, seq HAVING max(state) = 0 ORDER BY 1";

fn nasty() -> Own {
    Own::new(SCHEMA, PROFILE)
}

#[test]
fn runs_of_a_key_of_several_columns_are_found_started_and_taken_back() {
    let store = nasty();
    a_key_of_several_columns(&store.plugin(), &|| store.lines(WAITING));
}

#[test]
fn check_has_nothing_to_say_against_it() {
    let told = nasty().tool("check", &["--try"]);
    told.says(
        0,
        &["4 runs of 2 tasks, 0 pending or running", "3 failed, 1 succeeded", "was started again, and rolled back"],
    );
    for label in ["ids ", "times", "phases", "rows", "missing"] {
        assert!(!told.out.contains(&format!("\n{label}")), "{label}: {told:?}");
    }
}

#[test]
fn each_of_many_ids_is_found() {
    let store = nasty();
    store.execute(
        "INSERT INTO item_mail SELECT 'us', i, 1, i, NULL, 1776211200000000 + i FROM generate_series(100, 20099) AS i;
         INSERT INTO item_report SELECT 'us', i, 1, i, NULL, 1776211200000000 + i FROM generate_series(100, 20099) AS i;
         INSERT INTO item_state SELECT queue, shard, seq, 1, 9, 0 FROM item WHERE shard = 'us'; ANALYZE",
    );
    let ids: Vec<String> = (100..20_100).map(|i| format!("{}:{i}:us", ["report", "mail"][i % 2])).collect();
    let plan = call(&store.plugin(), &json!({"ids": ids, "options": {"dry_run": true}})).unwrap();
    assert_eq!(planned(&plan), ["bill: mail:20099:us (20000)"]);
    // As many that are none.
    let ids: Vec<String> = (100..2_100).map(|i| format!("mail:{i}x:us")).collect();
    let plan = call(&store.plugin(), &json!({"ids": ids, "options": {"dry_run": true}})).unwrap();
    assert_eq!(reasons(&plan).len(), 2_000);
}

#[test]
fn a_key_that_no_index_serves_is_said() {
    let store = nasty();
    store.execute("ALTER TABLE item_mail DROP CONSTRAINT item_mail_pkey");
    // One table without an index has the server read all of those that are shown as one.
    let read_whole = store.plugin().describe().unwrap().read_whole_for_an_id;
    assert_eq!(read_whole, ["item_mail", "item_report_0", "item_report_1"]);
    let answer = call(&store.plugin(), &all_failed(json!({}))).unwrap();
    assert_eq!(pairs(&answer), ["bill: mail:11:eu:1", "sum up: report:10:eu:1"]);
}

#[test]
fn check_says_that_milliseconds_were_taken_for_seconds() {
    let store = nasty();
    store.set_profile(&PROFILE.replace("i.born_us / 1e6", "i.born_us / 1e3"));
    store.tool("check", &[]).says(0, &["4 runs with a time that can't be read", "milliseconds"]);
    store.set_profile(&PROFILE.replace("i.born_us / 1e6", "i.born_us / 1e5"));
    store.tool("check", &[]).says(0, &["newest     2532-", "in the future"]);
}

#[test]
fn check_says_that_an_id_does_not_find_its_own_run() {
    let store = nasty();
    store.set_profile(
        &PROFILE.replace("key.queue = \"split_part(:id, ':', 1)", "key.queue = \"upper(split_part(:id, ':', 1))"),
    );
    store.tool("check", &[]).says(0, &["\nids ", "mail:9:eu:1 does not find its own run"]);
    let answer = call(&store.plugin(), &json!({"ids": ["mail:9:eu:1"]})).unwrap();
    assert_eq!(reasons(&answer), ["-, mail:9:eu:1: not_found"]);
    store.set_profile(&PROFILE.replace("':', 2)::bigint", "':', 1)::bigint"));
    store.tool("check", &[]).says(1, &["key (", "invalid input syntax"]);
}

#[test]
fn what_is_wrong_with_the_key_is_said_by_its_place() {
    for (from, to, words) in [
        ("key.seq", "key.number", &["key.number", "no such column"][..]),
        ("split_part(:id, ':', 2)::bigint\"", "'7'::bigint\"", &["key.seq", "does not use :id"]),
        ("':', 2)::bigint", "':', 2)", &["key (", "bigint = text"]),
        ("':', 2)::bigint", "':', $2)::bigint", &["key (", "parameter"]),
    ] {
        let store = nasty();
        let profile = PROFILE.replacen(from, to, 1);
        assert_ne!(profile, PROFILE, "{from}");
        store.set_profile(&profile);
        assert_error(&store.try_plugin().err().unwrap(), 500, words);
    }
}

/// A key's type, how the statements say it, three ids of it, and what is none though it looks like the first.
struct Kind {
    column: &'static str,
    cast: &'static str,
    new: &'static str,
    ids: [&'static str; 3],
    none: &'static [&'static str],
}

const KINDS: [Kind; 6] = [
    Kind {
        column: "char(36)",
        cast: "bpchar",
        new: ":new_uuid",
        ids: ["a", "b", "00000000-0000-4000-8000-000000000001"],
        none: &["a ", "A", " a"],
    },
    Kind { column: "varchar(40)", cast: "text", new: ":new_uuid", ids: ["a", "b ", "é"], none: &["a ", "b", "A"] },
    Kind {
        column: "numeric(30, 2)",
        cast: "numeric",
        new: "random() * 1e9",
        ids: ["9.00", "100000000000000000000.50", "-7.00"],
        none: &["9", "9.000", "09.00", "9,00", "nine", "1e5", "NaN", ""],
    },
    Kind {
        column: "uuid",
        cast: "uuid",
        new: ":new_uuid::uuid",
        ids: [
            "00000000-0000-4000-8000-000000000001",
            "00000000-0000-4000-8000-000000000002",
            "a0000000-0000-4000-8000-000000000003",
        ],
        none: &["A0000000-0000-4000-8000-000000000003", "00000000000040008000000000000001"],
    },
    Kind {
        column: "bytea",
        cast: "bytea",
        new: "uuid_send(:new_uuid::uuid)",
        ids: [r"\x00ff", r"\xff00", r"\x3a"],
        none: &[r"\x00FF", "00ff", ":", r"\x3", r"\xzz", r"\"],
    },
    Kind {
        column: "colour",
        cast: "colour",
        new: "'white'::colour",
        ids: ["red", "green", "blue's"],
        none: &["Red", "white", "pink"],
    },
];

#[test]
fn a_key_of_any_type_is_sought_in_its_index() {
    for Kind { column, cast, new, ids, none } in &KINDS {
        // How the server spells bytes to others is their own affair.
        let schema = format!(
            "CREATE TYPE colour AS ENUM ('white', 'red', 'green', 'blue''s');
             CREATE TABLE jobs (id {column} PRIMARY KEY, queue text NOT NULL, state text NOT NULL DEFAULT 'queued',
                 made timestamptz DEFAULT '2026-04-15T12:00:00Z', params text);
             DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END $$"
        );
        let spawn = format!(
            "\nINSERT INTO jobs (id, queue, params) SELECT {new}, queue, params FROM jobs WHERE id = :id::{cast}\nRETURNING id"
        );
        let store = Own::new(&schema, &profile("postgres", QUEUES_VIEW, &spawn));
        for (task, id) in ["a", "b", "c"].into_iter().zip(ids) {
            let id = id.replace('\'', "''");
            store.execute(&format!(
                "INSERT INTO jobs VALUES ('{id}'::{cast}, '{task}', 'broken', DEFAULT, 'of {task}')"
            ));
        }
        let plugin = store.plugin();
        assert_eq!(plugin.describe().unwrap().read_whole_for_an_id, [""; 0], "{column}");
        store.tool("check", &["--try"]).says(0, &["taken back"]);
        let named = [ids.as_slice(), none].concat();
        let plan = call(&plugin, &json!({"ids": named, "options": {"dry_run": true}})).unwrap();
        let found: Vec<String> =
            ["a", "b", "c"].iter().zip(ids).map(|(task, id)| format!("{task}: {id} (1)")).collect();
        assert_eq!(planned(&plan), found, "{column}");
        assert_eq!(reasons(&plan).len(), none.len(), "{column}: {plan}");
        let search = json!({"match_all": true, "filter": {"search": ids[0]}, "options": {"dry_run": true}});
        assert_eq!(planned(&call(&plugin, &search).unwrap())[0], found[0], "{column}");
        let answer = call(&plugin, &json!({"ids": [ids[0]]})).unwrap();
        assert_eq!(pairs(&answer), [format!("a: {}", ids[0])], "{column}");
        assert_eq!(store.waiting(), ["a|of a"], "{column}");
        // The new run is found by the id that was answered.
        let new = answer["triggered"][0]["run_id"].as_str().unwrap();
        let plan = call(&plugin, &json!({"ids": [new], "options": {"dry_run": true}})).unwrap();
        assert_eq!(planned(&plan), [format!("a: {new} (1)")], "{column}");
    }
}

#[test]
fn of_equally_new_runs_the_one_with_the_higher_number_is_the_newest() {
    let store = Own::new(
        "CREATE TABLE jobs (id numeric PRIMARY KEY, queue text, state text, made timestamptz DEFAULT '2026-04-15T12:00:00Z', params text);
         INSERT INTO jobs VALUES (9, 'a', 'broken'), (10, 'a', 'broken'), (-11, 'a', 'broken'), (100000, 'b', 'broken'), (99999, 'b', 'broken')",
        &profile("postgres", QUEUES_VIEW, "INSERT INTO jobs SELECT max(id) + 1, :task_name FROM jobs RETURNING id"),
    );
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true}))).unwrap();
    assert_eq!(planned(&plan), ["a: 10 (3)", "b: 100000 (2)"]);
}
