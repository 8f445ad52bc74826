//! The nasty schemas on SQLite.

use serde_json::json;

use crate::a_key_of_several_columns;
use crate::support::calls::{all_failed, assert_error, call, pairs, planned, reasons};
use crate::support::queue_store::{Own, lines};

/// A table for each queue, shown as one; each run's states in a table of their own, the last of which counts.
const SCHEMA: &str = "
CREATE TABLE kind (no INTEGER PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE item_mail (
    shard TEXT, seq INTEGER, kind INTEGER NOT NULL, head TEXT, body BLOB, born_us INTEGER NOT NULL, gone INTEGER DEFAULT 0,
    PRIMARY KEY (shard, seq)
) WITHOUT ROWID;
CREATE TABLE item_report (
    shard TEXT, seq INTEGER, kind INTEGER NOT NULL, head TEXT, body BLOB, born_us INTEGER NOT NULL, gone INTEGER DEFAULT 0,
    PRIMARY KEY (shard, seq)
) WITHOUT ROWID;
CREATE TABLE item_state (
    queue TEXT, shard TEXT, seq INTEGER, n INTEGER, state INTEGER NOT NULL, at_ms INTEGER NOT NULL, code INTEGER,
    PRIMARY KEY (queue, shard, seq, n)
) WITHOUT ROWID;
CREATE VIEW item AS SELECT 'mail' AS queue, * FROM item_mail UNION ALL SELECT 'report', * FROM item_report;
CREATE TRIGGER starts INSTEAD OF INSERT ON item BEGIN
    INSERT INTO item_mail SELECT NEW.shard, NEW.seq, NEW.kind, NEW.head, NEW.body, NEW.born_us, 0 WHERE NEW.queue = 'mail';
    INSERT INTO item_report SELECT NEW.shard, NEW.seq, NEW.kind, NEW.head, NEW.body, NEW.born_us, 0 WHERE NEW.queue = 'report';
    INSERT INTO item_state VALUES (NEW.queue, NEW.shard, NEW.seq, 1, 0, NEW.born_us / 1000, NULL);
END;
CREATE TRIGGER takes_back INSTEAD OF DELETE ON item BEGIN
    DELETE FROM item_mail WHERE OLD.queue = 'mail' AND shard = OLD.shard AND seq = OLD.seq;
    DELETE FROM item_report WHERE OLD.queue = 'report' AND shard = OLD.shard AND seq = OLD.seq;
    DELETE FROM item_state WHERE queue = OLD.queue AND shard = OLD.shard AND seq = OLD.seq;
END;
INSERT INTO kind VALUES (1, 'bill'), (2, 'sum up');
INSERT INTO item_mail VALUES
    ('eu:1',  9, 1, 'billed',       x'01',     1776211200000000, 0),
    ('eu:1', 10, 1, 'to be billed', x'00ff3a', 1776211200001000, 0),
    ('eu:1', 11, 1, 'later',        NULL,      1776211200002000, 0),
    ('eu:1', 12, 1, 'purged',       NULL,      1776211200003000, 1);
INSERT INTO item_report VALUES ('eu:1', 10, 2, NULL, NULL, 1776211200000000, 0);
INSERT INTO item_state SELECT queue, shard, seq, 1, 1, born_us / 1000, NULL FROM item;
INSERT INTO item_state SELECT queue, shard, seq, 2, CASE seq WHEN 9 THEN 2 WHEN 12 THEN 2 ELSE 9 END, born_us / 1000 + 5, 1 FROM item;
";

const PROFILE: &str = r#"
name = "nasty"
runner = "Nasty"
engine = "sqlite"

[[generation]]
requires.item = ["queue", "shard", "seq", "kind", "head", "body", "born_us", "gone"]
requires.item_state = ["queue", "shard", "seq", "n", "state", "code"]
requires.kind = ["no", "label"]
key.queue = "substr(:id, 1, instr(:id, ':') - 1)"
key.seq = "CAST(substr(:id, instr(:id, ':') + 1) AS INTEGER)"
key.shard = "substr(:id, instr(:id, ':') + 1 + instr(substr(:id, instr(:id, ':') + 1), ':'))"
runs = '''
SELECT i.queue, i.seq, i.shard,
       i.queue || ':' || i.seq || ':' || i.shard AS id,
       k.label AS task_name,
       CASE s.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' ELSE 'ended' END AS phase,
       CASE s.state WHEN 2 THEN 'succeeded' WHEN 9 THEN 'failed' END AS end_reason,
       s.code AS exit_code,
       strftime('%Y-%m-%dT%H:%M:%f', i.born_us / 1e6, 'unixepoch') AS created_at,
       json_array(i.head, hex(i.body)) AS params,
       i.gone AS deleted
FROM item i JOIN kind k ON k.no = i.kind
JOIN item_state s ON s.queue = i.queue AND s.shard = i.shard AND s.seq = i.seq
    AND s.n = (SELECT max(n) FROM item_state m WHERE m.queue = i.queue AND m.shard = i.shard AND m.seq = i.seq)
'''
spawn = '''
INSERT INTO item (queue, shard, seq, kind, head, body, born_us)
SELECT queue, shard, (SELECT max(seq) + 1 FROM item m WHERE m.queue = i.queue AND m.shard = i.shard),
       kind, head, body, CAST(unixepoch(:now, 'subsec') * 1e6 AS INTEGER)
FROM item i
WHERE queue = :queue AND seq = :seq AND shard = :shard
RETURNING queue || ':' || seq || ':' || shard
'''
undo = '''
DELETE FROM item
WHERE queue = :queue AND seq = :seq AND shard = :shard
    AND 0 = (SELECT max(state) FROM item_state s WHERE s.queue = item.queue AND s.shard = item.shard AND s.seq = item.seq)
RETURNING seq
'''
"#;

const WAITING: &str = "
SELECT label, head, hex(body) FROM item JOIN kind ON no = kind JOIN item_state USING (queue, shard, seq)
GROUP BY queue, shard, seq HAVING max(state) = 0 ORDER BY 1";

fn nasty() -> Own {
    Own::new(SCHEMA, PROFILE)
}

#[test]
fn runs_of_a_key_of_several_columns_are_found_started_and_taken_back() {
    let store = nasty();
    let waiting = || store.lines(&WAITING.replace("hex(body)", "nullif(lower(hex(body)), '')"));
    a_key_of_several_columns(&store.plugin(), &waiting);
}

/// SQLite counts no rows of a view: what was taken back would be told as kept.
#[test]
fn an_undo_that_does_not_tell_what_it_did_is_a_mistake() {
    let store = nasty();
    store.set_profile(&PROFILE.replace("RETURNING seq\n", ""));
    let plugin = store.plugin();
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    let error = plugin.undo(answer["operation_id"].as_str().unwrap()).unwrap_err();
    assert_error(&error, 500, &["undo", "RETURNING", "nothing was changed"]);
    assert_eq!(store.lines(WAITING).len(), 2);
}

#[test]
fn check_has_nothing_to_say_against_it() {
    let told = nasty().tool("check", &["--try"]);
    told.says(
        0,
        &["4 runs of 2 tasks, 0 pending or running", "3 failed, 1 succeeded", "was started again, and rolled back"],
    );
    for label in ["ids ", "times", "phases", "rows"] {
        assert!(!told.out.contains(&format!("\n{label}")), "{label}: {told:?}");
    }
}

/// Every run's key is sought in its index, in each of the tables: else this would be four million rows.
#[test]
fn each_of_many_ids_is_a_seek() {
    let store = nasty();
    store.execute(
        "WITH RECURSIVE n(i) AS (VALUES (100) UNION ALL SELECT i + 1 FROM n WHERE i < 40100)
         INSERT INTO item (queue, shard, seq, kind, head, born_us) SELECT iif(i % 2, 'mail', 'report'), 'us', i, 1, i, 1776211200000000 + i * 1000 FROM n",
    );
    let ids: Vec<String> = (100..40_100).map(|i| format!("{}:{i}:us", ["report", "mail"][i % 2])).collect();
    let plan = call(&store.plugin(), &json!({"ids": ids, "options": {"dry_run": true}})).unwrap();
    assert_eq!(planned(&plan), ["bill: mail:40099:us (40000)"]);
    let plan = store.lines("EXPLAIN QUERY PLAN SELECT * FROM item WHERE queue = 'mail' AND shard = 'us' AND seq = 7");
    assert_eq!(plan.iter().filter(|step| step.contains("PRIMARY KEY (shard=? AND seq=?)")).count(), 2, "{plan:?}");
}

#[test]
fn a_deleted_newer_run_that_succeeded_hides_no_older_one() {
    let store = nasty();
    let plan = call(&store.plugin(), &all_failed(json!({"dry_run": true, "skip_superseded": true}))).unwrap();
    assert_eq!(planned(&plan), ["bill: mail:11:eu:1 (2)", "sum up: report:10:eu:1 (1)"]);
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
    store.set_profile(&PROFILE.replace("instr(:id, ':') - 1)", "instr(:id, ':'))"));
    store.tool("check", &[]).says(0, &["\nids ", "mail:9:eu:1 does not find its own run"]);
    let answer = call(&store.plugin(), &json!({"ids": ["mail:9:eu:1"]})).unwrap();
    assert_eq!(reasons(&answer), ["-, mail:9:eu:1: not_found"]);
}

#[test]
fn what_is_wrong_with_the_key_is_said_by_its_place() {
    for (from, to, words) in [
        ("key.seq", "key.number", &["key.number", "no such column"][..]),
        ("CAST(substr(:id, instr(:id, ':') + 1) AS INTEGER)", "7", &["key.seq", "does not use :id"]),
        ("AS INTEGER)\"", "AS INTEGER\"", &["key (", "incomplete input"]),
        ("instr(:id, ':') - 1)\"", "instr(:id, :sign) - 1)\"", &["key (", ":id"]),
        ("seq = :seq AND shard = :shard\nRETURNING", "seq = :number\nRETURNING", &["spawn", ":number is unknown"]),
    ] {
        let store = nasty();
        let profile = PROFILE.replacen(from, to, 1);
        assert_ne!(profile, PROFILE, "{from}");
        store.set_profile(&profile);
        assert_error(&store.try_plugin().err().unwrap(), 500, words);
    }
}

/// Bytes as a key, spelled in hexadecimal digits.
const BYTES: &str = r#"
name = "bytes"
runner = "Bytes"
engine = "sqlite"

[[generation]]
requires.run = ["key", "task", "state", "born_ms", "params"]
key.key = "unhex(:id)"
runs = '''
SELECT key, lower(hex(key)) AS id, task AS task_name,
       CASE state WHEN 0 THEN 'pending' ELSE 'ended' END AS phase,
       CASE state WHEN 2 THEN 'succeeded' WHEN 9 THEN 'failed' END AS end_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', born_ms / 1e3, 'unixepoch') AS created_at,
       params
FROM run
'''
spawn = '''
INSERT INTO run SELECT randomblob(16), task, 0, CAST(unixepoch(:now, 'subsec') * 1e3 AS INTEGER), params
FROM run WHERE key = :key
RETURNING lower(hex(key))
'''
"#;

fn of_bytes() -> Own {
    Own::new(
        "CREATE TABLE run (key BLOB PRIMARY KEY, task TEXT, state INTEGER, born_ms INTEGER, params TEXT);
         INSERT INTO run VALUES (x'00ff', 'a', 9, 1776211200000, 'of a'), (x'ff00', 'a', 2, 1776211200001, 'p'), (x'', 'b', 9, 0, 'of b')",
        BYTES,
    )
}

#[test]
fn runs_of_a_key_of_bytes_are_found_and_started() {
    let store = of_bytes();
    let plugin = store.plugin();
    assert_eq!(plugin.describe().unwrap().read_whole_for_an_id, [""; 0]);
    let ids = json!({"ids": ["00ff", "ff00", "00FF", "0", "zz", "00 ff"], "options": {"unique_by": "run"}});
    let answer = call(&plugin, &ids).unwrap();
    assert_eq!(pairs(&answer), ["a: 00ff", "a: ff00"]);
    assert_eq!(reasons(&answer), ["-, 00FF: not_found", "-, 0: not_found", "-, zz: not_found", "-, 00 ff: not_found"]);
    assert_eq!(lines(&store.open(), "SELECT params FROM run WHERE state = 0 ORDER BY 1"), ["of a", "p"]);
    // Each run once: its bytes stand once in an index.
    store.tool("check", &[]).says(0, &["names      1 run with an id"]);
}

/// What takes an id apart may fail for what is none.
#[test]
fn an_id_that_can_not_be_taken_apart_is_no_runs() {
    let store = Own::queues("TEXT", "INTEGER", "('a', 1, 'broken', 'p'), ('b', 1, 'broken', 'q')");
    store.execute("CREATE UNIQUE INDEX key ON jobs (queue, id)");
    let profile = r#"
name = 'own'
runner = 'Own'
engine = 'sqlite'
[[generation]]
requires.jobs = ['id']
key.queue = ":id ->> 0"
key.number = ":id ->> 1"
runs = "SELECT queue, id AS number, json_array(queue, id) AS id, queue AS task_name, 'ended' AS phase, params FROM jobs"
spawn = "INSERT INTO jobs (queue, id, state) SELECT queue, 7, 'queued' FROM jobs WHERE queue = :queue AND id = :number RETURNING json_array(queue, id)"
"#;
    store.set_profile(profile);
    let plugin = store.plugin();
    assert_eq!(plugin.describe().unwrap().read_whole_for_an_id, [""; 0]);
    let plan =
        call(&plugin, &json!({"ids": [r#"["a",1]"#, "[", "1", r#"["a", 1]"#], "options": {"dry_run": true}})).unwrap();
    assert_eq!(planned(&plan), [r#"a: ["a",1] (1)"#]);
    assert_eq!(reasons(&plan), ["-, [: not_found", "-, 1: not_found", r#"-, ["a", 1]: not_found"#]);
}

/// A table for each queue, and a history, written by a statement each.
const SPAWN_BY_SEVERAL: &str = r#"
spawn = ["""
INSERT INTO item_mail SELECT shard, (SELECT max(seq) + 1 FROM item_mail m WHERE m.shard = i.shard), kind, head, body, unixepoch(:now) * 1000000, 0
FROM item_mail i WHERE :queue = 'mail' AND shard = :shard AND seq = :seq
RETURNING 'mail:' || seq || ':' || shard
""", """
INSERT INTO item_report SELECT shard, (SELECT max(seq) + 1 FROM item_report m WHERE m.shard = i.shard), kind, head, body, unixepoch(:now) * 1000000, 0
FROM item_report i WHERE :queue = 'report' AND shard = :shard AND seq = :seq
RETURNING 'report:' || seq || ':' || shard
""", """
INSERT INTO item_state SELECT queue, shard, seq, 1, 0, born_us / 1000, NULL
FROM item WHERE queue || ':' || seq || ':' || shard = :new_run
"""]
"#;

#[test]
fn each_queues_table_and_the_history_are_written_by_statements_of_their_own() {
    let store = nasty();
    store.execute("DROP TRIGGER starts; DROP TRIGGER takes_back");
    let (before, _) = PROFILE.split_once("spawn = '''").unwrap();
    store.set_profile(&[before, SPAWN_BY_SEVERAL].concat());
    let answer = call(&store.plugin(), &all_failed(json!({"unique_by": "run"}))).unwrap();
    assert_eq!(pairs(&answer), ["bill: mail:10:eu:1", "bill: mail:11:eu:1", "sum up: report:10:eu:1"]);
    assert_eq!(store.lines(WAITING), ["bill|to be billed|00FF3A", "bill|later|", "sum up|NULL|"]);
}
