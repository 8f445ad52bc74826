//! `bulk-rerun check` on PostgreSQL.

use std::process::Command;

use bulk_rerun::Plugin;
use bulk_rerun::host::RunnerState;
use serde_json::json;

use crate::postgres::Client;
use crate::store::{Store, all_failed, assert_error, call, triggered};

/// What it prints, and its exit status.
pub fn check(store: &Store, url: &str) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
        .args(["check", "--store", url, "--profile", store.profile().to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (text, output.status.code().unwrap())
}

#[test]
fn it_says_what_was_found() {
    let store = Store::with_failed(3);
    let (text, status) = check(&store, &store.database.url);
    assert_eq!(status, 0, "{text}");
    let address = format!("postgres://postgres@127.0.0.1:{}/{}", store.database.server.port, store.database.name);
    for words in [&address, "PostgreSQL 1", "small: Small", "3 runs of 3 tasks, 0 pending or running", "writable   yes"]
    {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!text.contains("missing") && !text.contains("ids "), "{text}");
}

#[test]
fn it_lists_the_rights_that_are_missing_as_statements_that_give_them() {
    let store = Store::with_failed(3);
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN"));
    let url = store.database.url_as(&role);
    let mut rounds = 0;
    loop {
        let (text, status) = check(&store, &url);
        let grants: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("missing    ")).collect();
        if grants.is_empty() {
            assert_eq!(status, 0, "{text}");
            break;
        }
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("can't be read without the rights"), "{text}");
        assert_eq!(grants, [format!("GRANT SELECT, INSERT ON public.job TO {role};")]);
        grants.iter().for_each(|grant| store.client.execute(grant));
        rounds += 1;
        assert!(rounds < 2, "what it says does not help: {text}");
    }
    assert_eq!(rounds, 1);
}

/// What each statement writes to, whatever the profile lists.
#[test]
fn a_right_that_only_the_undo_needs_is_listed_too() {
    for (undo, right) in [
        ("UPDATE job SET state = 'failed' WHERE id = :id::bigint AND state = 'waiting'", "UPDATE"),
        ("WITH gone AS (DELETE FROM job WHERE id = :id::bigint RETURNING id) SELECT id FROM gone", "DELETE"),
    ] {
        let store = Store::with_failed(1);
        store.add_to_profile(&format!("undo = \"{undo}\"\n"));
        let role = format!("probe_{}", store.database.name);
        store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
        let url = store.database.url_as(&role);
        let plugin = Plugin::open(&store.config(&url)).unwrap();
        let grant = format!("GRANT {right} ON public.job TO {role};");
        assert_eq!(plugin.describe().unwrap().missing_rights(), [grant.as_str()]);
        store.client.execute(&grant);
        assert_eq!(plugin.describe().unwrap().missing_rights(), [""; 0]);
    }
}

#[test]
fn a_schema_that_may_not_be_used_is_named_with_its_grant() {
    let store = Store::with_failed(3);
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE SCHEMA hidden; ALTER TABLE job SET SCHEMA hidden; CREATE ROLE {role} LOGIN"));
    store.reword("engine = \"postgres\"\n", "engine = \"postgres\"\nschema = \"hidden\"\n");
    let (text, status) = check(&store, &store.database.url_as(&role));
    assert_eq!(status, 1);
    assert!(text.contains(&format!("GRANT USAGE ON SCHEMA hidden TO {role}")), "{text}");
}

#[test]
fn a_view_that_hides_the_keys_index_is_told_so() {
    let store = Store::with_failed(3);
    let read = "ids        to find a run by its id, all of job is read, since no index serves";
    for id in ["id + 0 AS id", "'run ' || id AS id", "id::numeric AS id"] {
        store.reword("SELECT id, task AS task_name", &format!("SELECT {id}, task AS task_name"));
        let (text, status) = check(&store, &store.database.url);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains(read), "{id}: {text}");
    }
    // A join is no obstacle; a set of rows that has to be made first is one.
    store.client.execute("CREATE TABLE kind (name text PRIMARY KEY)");
    let end = "payload AS params\nFROM job\n";
    store.reword(end, "payload AS params\nFROM job LEFT JOIN kind ON kind.name = job.task\n");
    let (text, _) = check(&store, &store.database.url);
    assert!(!text.contains("ids "), "{text}");
    store.reword(end, "payload AS params\nFROM (SELECT * FROM job OFFSET 0) AS job\n");
    let (text, _) = check(&store, &store.database.url);
    assert!(text.contains(read), "{text}");
}

/// What is said where no built-in profile fits.
fn nothing_fits(store: &Store, url: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun")).args(["check", "--store", url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("no built-in profile") && text.contains(&store.database.name), "{text}");
    text
}

#[test]
fn a_runner_in_another_schema_is_pointed_at() {
    let store = Store::new();
    let url = &store.database.url;
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN"));
    let text = nothing_fits(&store, url);
    assert!(text.contains("along the search path (\"$user\", public): job. Another runner needs a profile"), "{text}");
    store.client.execute("CREATE SCHEMA attic CREATE TABLE trunk () CREATE TABLE box ()");
    let text = nothing_fits(&store, url);
    assert!(text.contains("public): job; in the schema attic: box, trunk. A schema is named with"), "{text}");
    assert!(text.contains("?options=-csearch_path%3Dattic"), "{text}");
    let text = nothing_fits(&store, &store.database.url_as(&role));
    let closed = format!("in the schema attic (closed to this role: GRANT USAGE ON SCHEMA attic TO {role}): box");
    assert!(text.contains(&closed), "{text}");

    let tables = "CREATE TABLE job () CREATE TABLE queue () CREATE TABLE schedule () CREATE TABLE version ()";
    store.client.execute(&format!("CREATE SCHEMA \"My Jobs\" {tables}"));
    let text = nothing_fits(&store, url);
    let option = "?options=-csearch_path%3D%22My%5C%20Jobs%22";
    let hint =
        format!("the schema \"My Jobs\" has tables like pg-boss's: name it in the store's address with {option}");
    assert!(text.contains(&hint), "{text}");
    // It leads there: the tables are found, and are not what they seem.
    let text = nothing_fits(&store, &format!("{url}{option}"));
    assert!(text.contains("along the search path (\"My Jobs\"): job, queue, schedule, version"), "{text}");
    let text = nothing_fits(&store, &store.database.url_as(&role));
    let closed =
        format!("\"My Jobs\" (closed to this role: GRANT USAGE ON SCHEMA \"My Jobs\" TO {role}) has tables like");
    assert!(text.contains(&closed), "{text}");

    // A profile that was asked for is looked for everywhere as well.
    store.client.execute("CREATE SCHEMA moved; ALTER TABLE job SET SCHEMA moved");
    let (text, status) = check(&store, url);
    assert_eq!(status, 1);
    assert!(text.contains("the schema moved has them: name it in the store's address with ?options="), "{text}");
}

#[test]
fn a_version_that_may_not_be_read_is_told_so() {
    let store = Store::with_failed(3);
    store.client.execute("CREATE TABLE release (number int); INSERT INTO release VALUES (7)");
    let version = "requires.release = ['number']\nversion = { query = 'SELECT number FROM release', from = 7, to = 7 }";
    store.reword("rights.job", &format!("{version}\nrights.job"));
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN"));
    let (text, _) = check(&store, &store.database.url_as(&role));
    assert!(text.contains("schema version not readable without the rights below"), "{text}");
    assert!(text.contains(&format!("missing    GRANT SELECT ON public.release TO {role};")), "{text}");
    let (text, _) = check(&store, &store.database.url);
    assert!(text.contains("schema version 7,"), "{text}");

    // The rights on the runs alone are not enough: the store may be of a version that the profile misreads.
    store.client.execute(&format!("GRANT SELECT, INSERT ON job TO {role}; UPDATE release SET number = 99"));
    let plugin = Plugin::open(&store.config(&store.database.url_as(&role))).unwrap();
    let before = store.client.value("SELECT count(*) FROM job");
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["may not read which version", "bulk-rerun check"]);
    assert_eq!(store.client.value("SELECT count(*) FROM job"), before);
    store.client.execute(&format!("GRANT SELECT ON release TO {role}; UPDATE release SET number = 7"));
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3, "the right was given meanwhile");
}

#[test]
fn a_table_that_somebody_keeps_locked_is_not_waited_for_without_end() {
    let store = Store::with_failed(1);
    let plugin = store.open();
    let other = store.database.client();
    other.execute("BEGIN; LOCK TABLE job IN ACCESS EXCLUSIVE MODE");
    assert_error(&plugin.describe().unwrap_err(), 503, &["busy", "300 ms"]);
    assert_error(&store.open_error(&store.database.url), 503, &["busy", "300 ms"]);
    other.execute("ROLLBACK");
    assert_eq!(plugin.describe().unwrap().runner, "Small");
}

/// The roundabout way that was: the re-run sends to `check`, and `check` lists nothing.
#[test]
fn a_sequence_that_numbers_new_rows_needs_its_right() {
    let store = Store::with_failed(3);
    store.client.execute(
        "ALTER TABLE job ALTER id DROP IDENTITY; CREATE SEQUENCE \"Numbers\" START 100;
         ALTER TABLE job ALTER id SET DEFAULT nextval('\"Numbers\"'), ADD tally serial, ADD other int GENERATED ALWAYS AS IDENTITY;
         CREATE SEQUENCE elsewhere;",
    );
    let role = format!("probe_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let url = store.database.url_as(&role);
    let plugin = Plugin::open(&store.config(&url)).unwrap();
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["permission denied for sequence", "bulk-rerun check"]);
    let info = plugin.describe().unwrap();
    let expected =
        ["\"Numbers\"", "job_tally_seq"].map(|name| format!("GRANT USAGE ON SEQUENCE public.{name} TO {role};"));
    assert_eq!(info.missing_rights(), expected);
    info.missing_rights().iter().for_each(|grant| store.client.execute(grant));
    assert_eq!(plugin.describe().unwrap().missing_rights(), [""; 0]);
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
}

#[test]
fn a_role_that_only_reads_is_told_so() {
    let store = Store::with_failed(3);
    let role = format!("reader_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN"));
    let url = store.database.url_as(&role);
    assert!(check(&store, &url).0.contains("writable   yes"));
    store.client.execute(&format!("ALTER ROLE {role} SET default_transaction_read_only = on"));
    let (text, status) = check(&store, &url);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("writable   no: only dry runs will work"), "{text}");
    let error = call(&Plugin::open(&store.config(&url)).unwrap(), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["read-only", "default_transaction_read_only"]);
    assert_eq!(store.count(), 3);
}

/// To such a role other users' sessions have no kind; the runner is there all the same.
#[test]
fn a_session_that_the_role_may_not_see_is_somebody() {
    let store = Store::with_failed(1);
    let [role, runner] = ["probe", "runner"].map(|name| format!("{name}_{}", store.database.name));
    store.client.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}; CREATE ROLE {runner} LOGIN"
    ));
    let _worker = Client::connect(&store.database.url_as(&runner));
    let open_in = |url: &str| {
        let info = Plugin::open(&store.config(url)).unwrap().describe().unwrap();
        (info.open_in.into_iter().map(|process| process.name).collect::<Vec<_>>(), info.start)
    };
    let (names, start) = open_in(&store.database.url_as(&role));
    assert!(names.contains(&format!("{runner}, whom this role may not see")), "{names:?}");
    let both =
        ["it can't be told whether", "when the runner next looks for pending runs", "when the runner is started next"];
    both.iter().for_each(|words| assert!(start.contains(words), "{start}"));
    let (names, _) = open_in(&store.database.url);
    assert!(names.contains(&runner), "{names:?}");
    // Nor are we somebody ourselves.
    assert!(!names.iter().any(|name| name.contains("bulk_rerun")), "{names:?}");
}

/// A script may be a worker, and listen through psql.
#[test]
fn a_psql_that_the_role_may_not_see_may_listen() {
    let store = Store::with_failed(1);
    store.add_to_profile("\n[seen_as]\nquery = ['LISTEN small*']\n");
    let [role, runner] = ["probe", "runner"].map(|name| format!("{name}_{}", store.database.name));
    store.client.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}; CREATE ROLE {runner} LOGIN"
    ));
    // As one of ours: nobody else is there.
    store.client.execute("SET application_name = 'bulk_rerun'");
    let urls = [store.database.url_as(&role), store.database.url.clone()];
    let states =
        || urls.each_ref().map(|url| Plugin::open(&store.config(url)).unwrap().describe().unwrap().runner_state);
    assert_eq!(states(), [RunnerState::NotSeen, RunnerState::NotSeen]);
    let worker = Client::connect(&format!("{}?application_name=psql", store.database.url_as(&runner)));
    worker.execute("LISTEN small_jobs");
    assert_eq!(states(), [RunnerState::Unknown, RunnerState::Seen]);
    let (text, _) = check(&store, &urls[0]);
    let words =
        format!("runner     can't be told: this role may not see what {runner} does; with GRANT pg_read_all_stats");
    assert!(text.contains(&words), "{text}");
}

/// Whatever type the key has: a statement is sent.
#[test]
fn a_ping_notices_that_the_tables_are_gone() {
    for kind in ["bigint", "uuid", "text"] {
        let store = Store::with_failed(1);
        if kind != "bigint" {
            store.client.execute(&format!(
                "ALTER TABLE job ALTER id DROP IDENTITY; ALTER TABLE job ALTER id TYPE {kind} USING gen_random_uuid()"
            ));
        }
        store.reword(":id::bigint", &format!(":id::{kind}"));
        let plugin = store.open();
        plugin.ping().unwrap();
        store.client.execute("ALTER TABLE job RENAME TO work");
        assert!(plugin.ping().is_err(), "{kind}: the table was renamed, and it is fine with that");
        store.client.execute("ALTER TABLE work RENAME TO job");
        plugin.ping().unwrap();
    }
}

/// A `serve` runs for weeks; the runner's migrations come in between.
#[test]
fn a_schema_that_was_migrated_meanwhile_is_not_written_to() {
    let store = Store::with_failed(3);
    store.client.execute("CREATE TABLE release (number int); INSERT INTO release VALUES (7)");
    let version =
        "requires.release = ['number']\nversion = { query = 'SELECT number FROM release;', from = 7, to = 8 }";
    store.reword("rights.job", &format!("{version}\nrights.job"));
    let plugin = store.open();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    store.client.execute("UPDATE release SET number = 8");
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3, "the profile is for 8, too");
    store.client.execute("UPDATE release SET number = 9");
    // Ours had found 7.
    let error = call(&plugin, &all_failed(json!({}))).unwrap_err();
    assert_error(
        &error,
        500,
        &["schema public of Small", "version 9", "is for 7 to 8", "migrated", "nothing was changed"],
    );
    // From then on it is looked at as it is.
    for options in [json!({}), json!({"dry_run": true})] {
        assert_error(&call(&plugin, &all_failed(options)).unwrap_err(), 500, &["version 9", "is for 7 to 8"]);
    }
    store.client.execute("DELETE FROM release; INSERT INTO release VALUES (7)");
    let plugin = store.open();
    store.client.execute("DELETE FROM release");
    assert_error(
        &call(&plugin, &all_failed(json!({}))).unwrap_err(),
        500,
        &["has no version", "is for 7 to 8", "migrated"],
    );
    assert_error(&store.open_error(&store.database.url), 500, &["has no version"]);
    assert_eq!(store.count(), 9);
}
