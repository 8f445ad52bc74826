//! A profile file makes a runner of any schema a host; the built-in ones fit every generation.

use crate::support::anvil::{Anvil, NOON, PROFILE, profile_with};
use crate::support::calls::{all_failed, assert_error, call, first_detail, open, skipped, triggered};
use crate::support::{NEWEST, Row, Store, insert, params_of};
use bulk_rerun::Plugin;
use bulk_rerun::host::profile::Profile;
use rusqlite::types::Value;
use serde_json::json;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_runner_of_its_own_schema_is_served_by_a_file() {
    let anvil = Anvil::with_failed(&["forge", "temper", "forge"]);
    let before = anvil.jobs();
    let plugin = anvil.plugin(PROFILE).unwrap();
    let answer = call(&plugin, &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["forge", "temper"]);
    let [forge, temper] = [0, 1].map(|index| &answer["triggered"][index]);
    // The host's own numbers, as text; the newest run of each task is the source.
    assert_eq!((&forge["rerun_of"], &forge["run_id"]), (&json!("3"), &json!("4")));
    assert_eq!((&temper["rerun_of"], &temper["run_id"]), (&json!("2"), &json!("5")));

    assert_eq!(anvil.jobs()[..3], before);
    let spawned = anvil.rows("SELECT kind, state, exit, attempt, arguments FROM jobs WHERE number > 3");
    let expected = |kind, arguments| vec![text(kind), text("queued"), Value::Null, Value::Integer(0), text(arguments)];
    assert_eq!(spawned, [expected("forge", "--heat 2"), expected("temper", "--heat 1")]);
}

#[test]
fn a_view_converts_the_hosts_times() {
    let anvil = Anvil::with_failed(&["forge", "temper", "quench"]);
    let plugin = anvil.plugin(PROFILE).unwrap();
    let window = json!({"match_all": true, "options": {"dry_run": true}, "filter": {
        "created_after": "2026-04-15T15:00:00+02:00", "created_before": "2026-04-15T13:59:59.999Z"}});
    let plan = call(&plugin, &window).unwrap();
    assert_eq!(plan["planned"], json!([{"task_name": "temper", "rerun_of": "2", "matched": 1}]));
    assert_eq!(plugin.survey().unwrap().newest.as_deref(), Some("2026-04-15T14:00:00Z"));
    assert_eq!(plugin.survey().unwrap().unreadable_times, 0);
    assert_eq!(NOON % 86_400, 43_200);
}

#[test]
fn an_id_is_a_text_even_where_the_key_is_a_number() {
    let anvil = Anvil::with_failed(&["forge"; 12]);
    let before = anvil.jobs();
    let plugin = anvil.plugin(PROFILE).unwrap();
    let others = ["012", " 12", "12 ", "12.0", "+12", "1.2e1", "0x0C", ""];
    let answer = call(&plugin, &json!({"ids": others, "options": {"unique_by": "run"}})).unwrap();
    assert_eq!(skipped(&answer), others.map(|id| format!("{id}: not_found")));
    assert_eq!(anvil.jobs(), before);

    let answer = call(&plugin, &json!({"ids": ["12", "012"]})).unwrap();
    assert_eq!(answer["triggered"][0]["rerun_of"], "12");
    assert_eq!(skipped(&answer), ["012: not_found"]);
}

#[test]
fn parameters_are_copied_whatever_their_type() {
    let anvil = Anvil::with_failed(&["text", "none", "blob", "number", "not UTF-8"]).after(
        "UPDATE jobs SET arguments = NULL WHERE kind = 'none';
         UPDATE jobs SET arguments = x'00FF7B' WHERE kind = 'blob';
         UPDATE jobs SET arguments = CAST(x'FFFE0041' AS TEXT) WHERE kind = 'not UTF-8'",
    );
    // Once copied by the host's statement, once handed over by the plugin.
    let by_plugin = profile_with("'queued', unixepoch(), arguments FROM", "'queued', unixepoch(), :params FROM");
    for profile in [PROFILE, &by_plugin] {
        let plugin = anvil.plugin(profile).unwrap();
        let answer = call(&plugin, &all_failed(json!({}))).unwrap();
        assert_eq!(triggered(&answer).len(), 5);
        let different = anvil.rows(
            "SELECT * FROM jobs AS old JOIN jobs AS new USING (kind) WHERE old.state = 'broken' AND \
             new.state = 'queued' AND (old.arguments IS NOT new.arguments OR \
             typeof(old.arguments) <> typeof(new.arguments))",
        );
        assert_eq!(different, Vec::<Vec<Value>>::new());
    }
}

#[test]
fn a_view_says_which_runs_are_never_run_again() {
    let unfit = "arguments AS params, CASE kind WHEN 'bellows' THEN 'service' WHEN 'foreign' THEN 'unknown_task' \
                 WHEN 'locked' THEN 'trigger_disabled' WHEN 'legacy' THEN 'archived in 2019' \
                 WHEN 'sly' THEN 'active' END AS unfit";
    let profile = profile_with("arguments AS params", unfit);
    let anvil = Anvil::with_failed(&["bellows", "foreign", "locked", "forge"]);
    let answer = call(&anvil.plugin(&profile).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["forge"]);
    assert_eq!(skipped(&answer), ["1: service", "2: unknown_task", "3: trigger_disabled"]);

    // Any other word is the host's own, even one that means something else to us.
    for (kind, word) in [("legacy", "archived in 2019"), ("sly", "active")] {
        let anvil = Anvil::with_failed(&[kind]);
        let answer = call(&anvil.plugin(&profile).unwrap(), &all_failed(json!({}))).unwrap();
        assert_eq!(skipped(&answer), ["1: refused"]);
        assert_eq!(first_detail(&answer), word);
        assert_eq!(anvil.jobs().len(), 1);
    }
}

#[test]
fn a_profile_that_does_not_fit_says_what_the_store_lacks() {
    let anvil =
        Anvil::with_failed(&[]).after("ALTER TABLE jobs DROP COLUMN arguments; ALTER TABLE jobs DROP COLUMN exit");
    let (profile, store) = (anvil.profile_file(), anvil.path());
    let names = [profile.to_str().unwrap(), store.to_str().unwrap()];
    let error = anvil.plugin(PROFILE).err().unwrap();
    assert_error(&error, 500, &["does not fit", "the column jobs.arguments", "the column jobs.exit"]);
    assert_error(&error, 500, &names);

    let error = Anvil::with_failed(&[]).after("DROP TABLE jobs").plugin(PROFILE).err().unwrap();
    assert_error(&error, 500, &["does not fit", "the table jobs"]);

    let error = anvil.plugin_with("runwisp".as_ref()).err().unwrap();
    assert_error(&error, 500, &["profile runwisp does not fit", "the table runs"]);
}

#[test]
fn a_profile_that_is_not_there_says_which_are_built_in() {
    let anvil = Anvil::with_failed(&[]);
    let error = anvil.plugin_with(&anvil.profile_file()).err().unwrap();
    assert_error(&error, 500, &[anvil.profile_file().to_str().unwrap(), "can't be read", "No such file"]);
    let error = anvil.plugin_with("anvil".as_ref()).err().unwrap();
    assert_error(&error, 500, &["`anvil`", "neither built in (runwisp, ", "No such file"]);
}

#[test]
fn every_built_in_profile_can_be_read() {
    for name in Profile::built_in_names() {
        let profile = Profile::parse(Profile::built_in_text(name).unwrap(), name).unwrap();
        assert_eq!(profile.name, name);
        assert!(profile.generations.iter().all(|generation| !generation.name.is_empty()));
    }
}

const DROP_IS_FAILURE: &str = "ALTER TABLE runs DROP COLUMN is_failure;";
const DROP_PARAMS: &str = "ALTER TABLE runs DROP COLUMN params_json;";
const DROP_DELETED: &str = "DROP INDEX idx_runs_deleted_at; DROP INDEX idx_runs_execution_id;
                            ALTER TABLE runs DROP COLUMN deleted_at;";

#[test]
fn every_layout_of_runwisps_is_found_and_works() {
    let region = r#"{"region": "eu" }"#;
    let rows = [
        Row::failed("1", "backup", "2026-04-15T12:00:00Z").with(|row| row.params_json = Some(region.to_owned())),
        Row::failed("2", "deleted", "2026-04-15T12:00:00Z").with(|row| row.deleted_at = Some("2026-04-16".to_owned())),
        // Only the store's own mark says that a stop counts as a failure here.
        Row::failed("3", "marked", "2026-04-15T12:00:00Z").with(|row| row.end_reason = Some("stopped".to_owned())),
        Row::failed("4", "web", "2026-04-15T12:00:00Z").with(|row| row.triggered_by = "service".to_owned()),
    ];
    for drop in [
        "",
        DROP_IS_FAILURE,
        &[DROP_IS_FAILURE, DROP_PARAMS].concat(),
        &[DROP_IS_FAILURE, DROP_DELETED].concat(),
        &[DROP_IS_FAILURE, DROP_PARAMS, DROP_DELETED].concat(),
    ] {
        let store = Store::of_generation(NEWEST, "wal");
        store.open().execute_batch(drop).unwrap();
        insert(&mut store.open(), &rows);
        let before = store.dump();
        let plugin: Plugin = open(&store.path);
        let info = plugin.describe().unwrap();
        assert_eq!(info.runner, "RunWisp");

        let answer = call(&plugin, &json!({"match_all": true, "filter": {"is_failure": true}})).unwrap();
        let has = |column| !drop.contains(column);
        assert_eq!(info.lacks, if has("params_json") { vec![] } else { vec!["params"] });
        let mut expected = vec!["backup"];
        expected.extend((!has("deleted_at")).then_some("deleted"));
        expected.extend(has("is_failure").then_some("marked"));
        assert_eq!(triggered(&answer), expected, "{drop}");
        assert_eq!(skipped(&answer), ["4: service"]);
        let after = store.dump();
        assert_eq!(after[..before.len()], before);
        assert_eq!(after.len(), before.len() + expected.len());
        if has("params_json") {
            let run_id = answer["triggered"][0]["run_id"].as_str().unwrap();
            assert_eq!(params_of(&store.path, run_id), text(region));
        }
    }
}

#[test]
fn a_view_that_hides_the_keys_index_is_told_so() {
    let anvil = Anvil::with_failed(&["forge"]);
    let read_whole = |profile: &str| anvil.plugin(profile).unwrap().describe().unwrap().read_whole_for_an_id;
    let none = [""; 0];
    assert_eq!(read_whole(PROFILE), none);
    assert_eq!(read_whole(&profile_with("number AS id", "number + 0 AS id")), ["jobs"]);
    assert_eq!(read_whole(&profile_with("number AS id", "'job ' || number AS id")), ["jobs"]);

    let end = "FROM jobs\n'''\nspawn";
    let from = |tables: &str| profile_with(end, &format!("FROM {tables}\n'''\nspawn"));
    // A join is no obstacle; a set of rows that has to be made first is one.
    assert_eq!(read_whole(&from("jobs LEFT JOIN (SELECT 1 AS one) AS other ON one = attempt")), none);
    assert_eq!(read_whole(&from("(SELECT *, row_number() OVER () AS place FROM jobs) AS jobs")), ["jobs"]);
    assert_eq!(
        read_whole(&profile_with("number AS id", "number + 0 AS id").replace(end, "FROM jobs AS j\n'''\nspawn")),
        ["j"]
    );
    // The loop around the runs may be one over something else, with which the runs' own key begins.
    let keyed = "CREATE UNIQUE INDEX by_kind ON jobs (kind, number); CREATE TABLE kinds (name TEXT)";
    anvil.open().execute_batch(keyed).unwrap();
    assert_eq!(read_whole(&from("kinds CROSS JOIN jobs INDEXED BY by_kind ON kinds.name = jobs.kind")), none);

    // Two tables in one view: in each the id is sought by itself.
    let old = "CREATE TABLE old AS SELECT * FROM jobs; CREATE INDEX old_number ON old (number)";
    anvil.open().execute_batch(old).unwrap();
    let (_, select) = PROFILE.split_once("runs = '''\n").unwrap();
    let (select, _) = select.split_once("'''").unwrap();
    let both = |id: &str, old_id: &str| {
        let old = select.replace("number AS id", old_id).replace("FROM jobs", "FROM old");
        profile_with("number AS id", id).replace(end, &format!("FROM jobs UNION ALL {old}'''\nspawn"))
    };
    assert_eq!(read_whole(&both("number AS id", "number AS id")), none);
    assert_eq!(read_whole(&both("number AS id", "number + 0 AS id")), ["old"]);
    assert_eq!(read_whole(&both("number + 0 AS id", "number + 0 AS id")), ["jobs", "old"]);
}
