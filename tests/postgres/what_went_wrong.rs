//! What an operator is told at night: what was found, where, and what to do; a password never.

use std::fs;
use std::process::Command;

use bulk_rerun::{Config, Plugin};
use serde_json::json;

use crate::postgres::{Database, server};
use crate::store::{PROFILE, Store, all_failed, assert_error, call, triggered};

/// Lets these roles in as the lines say, before any other line is asked.
fn with_rules(database: &Database, rules: &str) {
    let file = database.server.folder.join("data/pg_hba.conf");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{rules}\n{before}")).unwrap();
    database.client().execute("SELECT pg_reload_conf()");
    // The server's other processes hear of it a moment later.
    let heard =
        || database.client().value("SELECT count(*) FROM pg_hba_file_rules WHERE 'night_password' = ANY (user_name)");
    while heard().as_deref() == Some("0") {}
}

#[test]
fn a_server_that_does_not_let_us_in() {
    let store = Store::with_failed(1);
    store.client.execute(
        "CREATE ROLE night_password LOGIN PASSWORD 'right'; CREATE ROLE night_tls LOGIN; CREATE ROLE night_shut LOGIN",
    );
    with_rules(
        &store.database,
        "host all night_password 127.0.0.1/32 scram-sha-256\nhostnossl all night_tls 127.0.0.1/32 reject\nhost all night_shut 0.0.0.0/0 reject",
    );
    let at = |user: &str, rest: &str| format!("postgres://{user}@127.0.0.1:{}/{rest}", server().port);
    let name = &store.database.name;
    for (url, words) in [
        (at("night_password:s3cret", name), ["password authentication failed", "PGPASSWORD or ~/.pgpass"]),
        (at("night_password", name), ["the server asks for a password", "PGPASSWORD or in ~/.pgpass"]),
        (at("night_tls:s3cret", name), ["no encryption", "?sslmode=require"]),
        (at("night_shut:s3cret", name), ["rejects connection", "can't be opened"]),
        (at("nobody_at_all:s3cret", name), ["role \"nobody_at_all\" does not exist", "role's name right"]),
        (at("postgres:s3cret", "no_such_database"), ["database \"no_such_database\" does not exist", "psql --list"]),
        (at("postgres:s3cret", &format!("{name}?sslmode=require")), ["does not support TLS", "sslmode=disable"]),
    ] {
        // Whoever runs the tests may have a password of his own.
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["check", "--store", &url, "--profile", store.profile().to_str().unwrap()])
            .env_remove("PGPASSWORD")
            .env("PGPASSFILE", "/no/such/file")
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        words.iter().for_each(|words| assert!(text.contains(words), "{url}: {words:?} is not in {text}"));
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_mistake_in_a_profile_is_told_with_its_line() {
    let store = Store::with_failed(1);
    for (from, to, words) in [
        ("made AS created_at", "mode AS created_at", "column \"mode\" does not exist"),
        ("FROM job\n", "FORM job\n", "syntax error at or near"),
        (
            "SELECT task, payload, once FROM job",
            "SELECT 'é', task, payload, one FROM job",
            "column \"one\" does not exist",
        ),
    ] {
        store.reword(from, to);
        let error = store.open_error(&store.database.url);
        let line = PROFILE.replace(from, to);
        let line = line.lines().find(|line| line.contains(to.trim())).unwrap();
        assert_error(
            &error,
            500,
            &["small.toml", "does not compile", words, " of it: `", line.split(" WHERE").next().unwrap().trim()],
        );
    }
}

/// What `check` lists as missing, given one after the other, makes the re-run work: whatever the profile itself lists.
#[test]
fn check_lists_what_is_missing_though_the_profile_does_not() {
    for rights in ["", "rights.job = ['SELECT']"] {
        let store = Store::with_failed(2);
        store.reword("rights.job = [\"SELECT\", \"INSERT\"]", rights);
        // A serial's sequence needs a right of its own, which an identity's does not.
        store.client.execute("ALTER TABLE job ADD tally serial");
        let role = format!("probe_{}", store.database.name);
        store.client.execute(&format!("CREATE ROLE {role} LOGIN"));
        let url = store.database.url_as(&role);
        let plugin = || Plugin::open(&store.config(&url)).unwrap();
        let mut rounds = 0;
        loop {
            let missing = plugin().describe().unwrap().missing_rights().to_vec();
            if missing.is_empty() {
                break;
            }
            missing.iter().for_each(|grant| store.client.execute(grant));
            rounds += 1;
            assert!(rounds < 4, "{missing:?} does not help");
        }
        assert_eq!(triggered(&call(&plugin(), &all_failed(json!({}))).unwrap()), 2, "{rights:?}");
    }
}

/// A right that no list knows is told in the server's words.
#[test]
fn a_right_that_no_list_knows_is_named_all_the_same() {
    let store = Store::with_failed(1);
    store.client.execute(
        "CREATE FUNCTION again(bigint) RETURNS text LANGUAGE sql AS
             'INSERT INTO job (task) SELECT task FROM job WHERE id = $1 RETURNING id::text';
         REVOKE EXECUTE ON FUNCTION again FROM PUBLIC",
    );
    let spawn = "INSERT INTO job (task, payload, once) SELECT task, payload, once FROM job WHERE id = :id::bigint\nRETURNING id::text";
    store.reword(spawn, "SELECT again(:id::bigint)");
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let plugin = Plugin::open(&store.config(&store.database.url_as(&role))).unwrap();
    let missing = plugin.describe().unwrap().missing_rights().to_vec();
    assert!(matches!(&missing[..], [words] if words.contains("permission denied for function again")), "{missing:?}");
}

/// pg-boss 9 has other columns, and no table of queues.
#[test]
fn a_runner_of_an_older_version_is_told_from_a_stranger() {
    let store = Store::new();
    store.client.execute(
        "CREATE SCHEMA pgboss
            CREATE TABLE version (version int primary key, maintained_on timestamptz, cron_on timestamptz)
            CREATE TABLE job (id uuid, name text, priority int, data jsonb, state text, retrylimit int, retrycount int,
                startafter timestamptz, singletonkey text, createdon timestamptz, keepuntil timestamptz, on_complete bool)
            CREATE TABLE archive (id uuid) CREATE TABLE schedule (name text) CREATE TABLE subscription (event text);
         INSERT INTO pgboss.version VALUES (20)",
    );
    let found = Plugin::open(&Config::new(&store.database.url)).err().unwrap();
    assert_error(&found, 500, &["Its schema pgboss looks like pg-boss's, but lacks the table queue, the column job."]);
    let named = Config { profile: Some("pg-boss".to_owned()), ..Config::new(&store.database.url) };
    let named = Plugin::open(&named).err().unwrap();
    assert_error(&named, 500, &["the profile pg-boss does not fit", "lacks the table queue, the column job."]);
    for error in [found, named] {
        let versions = "It is for pg-boss (pg-boss 12.23 to 12.38; pg-boss 10 to 12.22)";
        assert_error(&error, 500, &[versions, "move the runner to one of these", "`bulk-rerun profiles pg-boss`"]);
    }
}

/// RFC 3339 has four digits for a year.
#[test]
fn a_time_that_can_not_be_written_is_none() {
    let store = Store::with_failed(3);
    store.client.execute(
        "UPDATE job SET made = '12026-04-15 12:00:00+00' WHERE task = 'task1';
         UPDATE job SET made = '0044-03-15 12:00:00+00 BC' WHERE task = 'task2';
         UPDATE job SET made = '2026-04-15 12:00:00+00' WHERE task = 'task3'",
    );
    let plugin = store.open();
    let survey = plugin.survey().unwrap();
    assert_eq!((survey.runs, survey.unreadable_times), (3, 2));
    assert_eq!(survey.newest.as_deref(), Some("2026-04-15T12:00:00Z"));
    for bound in
        [json!({"created_after": "1900-01-01T00:00:00Z"}), json!({"created_before": "9999-12-31T23:59:59-12:00"})]
    {
        let request = json!({"match_all": true, "filter": bound, "options": {"dry_run": true}});
        assert_eq!(call(&plugin, &request).unwrap()["matched"], 1, "{request}");
    }
    let mut times = Vec::new();
    let selector = bulk_rerun::Selector::from_json(br#"{"match_all": true}"#).unwrap();
    plugin
        .select(&selector, &mut |run| {
            times.push(serde_json::to_value(&run).unwrap()["created_at"].clone());
            Ok(())
        })
        .unwrap();
    times.sort_by_key(ToString::to_string);
    assert_eq!(times, [json!("2026-04-15T12:00:00Z"), json!(null), json!(null)]);
}
