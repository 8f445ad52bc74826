//! Which schema's runs are meant: those of another tenant must never be started by a slip.

use std::process::Command;

use serde_json::json;

use crate::proxy::Proxy;
use crate::store::{Store, all_failed, assert_error, call, triggered};

/// A store whose runner is by default in the schema `theirs`, where it has three failed runs; and an empty one of the
/// same runner in `ours`.
fn two_tenants() -> Store {
    let store = Store::with_failed(3);
    store.client.execute(
        "CREATE SCHEMA theirs; CREATE SCHEMA ours; CREATE TABLE ours.job (LIKE job INCLUDING ALL);
         ALTER TABLE job SET SCHEMA theirs",
    );
    store.reword("engine = \"postgres\"\n", "engine = \"postgres\"\nschema = \"theirs\"\n");
    store
}

fn count(store: &Store, schema: &str) -> String {
    store.client.value(&format!("SELECT count(*) FROM {schema}.job")).unwrap()
}

#[test]
fn a_schema_that_is_named_is_the_only_one_that_is_looked_into() {
    let store = two_tenants();
    let named = |path: &str| format!("{}?options=-csearch_path%3D{path}", store.database.url);
    for mistyped in ["our", "", "%22OURS%22", "our,public"] {
        let error = store.open_error(&named(mistyped));
        assert_error(&error, 500, &["lacks the table job", "which the store's address names, and nowhere else"]);
        assert_error(&error, 500, &["the schema theirs has them: name it in the store's address with"]);
    }
    // So it is in libpq's variable.
    for (path, finds) in [("our", false), ("", false), ("ours", true)] {
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["rerun", "--status", "failed", "--yes", "--store", &store.database.url, "--profile"])
            .arg(store.profile())
            .env("PGOPTIONS", format!("-c search_path={path}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), finds, "{path}: {said}");
        assert!(finds || said.contains("and nowhere else"), "{path}: {said}");
    }
    let plugin = bulk_rerun::Plugin::open(&store.config(&named("ours"))).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 0);
    assert_eq!((count(&store, "theirs"), count(&store, "ours")), ("3".to_owned(), "0".to_owned()));
    // Nobody has named one.
    assert_eq!(triggered(&call(&store.open(), &all_failed(json!({}))).unwrap()), 3);
}

/// As the built-in profiles are looked for, too.
#[test]
fn no_built_in_profile_is_found_behind_a_mistyped_schema() {
    let store = Store::new();
    let tables = "CREATE TABLE job () CREATE TABLE queue () CREATE TABLE schedule () CREATE TABLE version ()";
    store.client.execute(&format!("DROP TABLE job; CREATE SCHEMA pgboss {tables}"));
    let url = format!("{}?options=-csearch_path%3Dpgbos", store.database.url);
    let config = bulk_rerun::Config::new(&url);
    let error = bulk_rerun::Plugin::open(&config).err().unwrap();
    assert_error(&error, 500, &["the schema pgboss has tables like pg-boss's", "?options=-csearch_path%3Dpgboss"]);
}

/// `search_path = ''` is how servers are hardened.
#[test]
fn an_empty_search_path_of_the_roles_or_the_databases_leads_to_the_runners_own_schema() {
    let store = two_tenants();
    let role = format!("hardened_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET search_path = ''"));
    let url = store.database.url_as(&role);
    let plugin = bulk_rerun::Plugin::open(&store.config(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(plugin.describe().unwrap().profile, "small");
    // What is said where nothing fits is said there, too.
    let error = bulk_rerun::Plugin::open(&bulk_rerun::Config::new(&url)).err().unwrap();
    assert_error(&error, 500, &["no built-in profile", "in the schema theirs: job"]);

    let name = &store.database.name;
    store.client.execute(&format!("ALTER DATABASE {name} SET search_path = ''; ALTER ROLE {role} RESET search_path"));
    assert_eq!(triggered(&call(&store.open(), &all_failed(json!({}))).unwrap()), 3);
    assert_eq!(count(&store, "theirs"), "9");
}

#[test]
fn a_roles_own_schema_goes_first_and_the_runners_comes_then() {
    let store = two_tenants();
    let role = format!("tenant_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET search_path = ours"));
    let open = || bulk_rerun::Plugin::open(&store.config(&store.database.url_as(&role)));
    assert_eq!(triggered(&call(&open().unwrap(), &all_failed(json!({}))).unwrap()), 0);
    // An application's own schema has nothing of the runner's.
    store.client.execute(&format!("CREATE SCHEMA \"My App\"; ALTER ROLE {role} SET search_path = \"My App\", public"));
    assert_eq!(triggered(&call(&open().unwrap(), &all_failed(json!({}))).unwrap()), 3);
}

/// It is the store that is meant, and the other one is somebody else's.
#[test]
fn a_store_in_a_version_that_is_too_new_is_not_passed_over_for_another_one() {
    let store = two_tenants();
    store.client.execute(
        "CREATE TABLE theirs.release (number int); INSERT INTO theirs.release VALUES (7);
         CREATE TABLE ours.release (number int); INSERT INTO ours.release VALUES (8)",
    );
    let profile = std::fs::read_to_string(store.profile()).unwrap();
    let version = "requires.release = ['number']\nversion = { query = 'SELECT number FROM release', from = 7, to = 7 }";
    std::fs::write(store.profile(), profile.replace("rights.job", &format!("{version}\nrights.job"))).unwrap();
    let role = format!("tenant_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET search_path = ours"));
    let error = store.open_error(&store.database.url_as(&role));
    assert_error(&error, 500, &["the schema ours of Small", "has the version 8"]);
}

/// PgBouncer does, with `ignore_startup_parameters = options`.
#[test]
fn a_search_path_that_a_pooler_leaves_out_is_missed() {
    let store = two_tenants();
    let proxy = Proxy::start(store.database.server.port);
    let url = proxy.through(&format!("{}?options=-csearch_path%3Dours", store.database.url));
    assert!(bulk_rerun::Plugin::open(&store.config(&url)).is_ok());
    proxy.leave_options_out();
    assert_error(&store.open_error(&url), 500, &["names a search path", "pooler", "ALTER ROLE"]);
    assert_eq!(count(&store, "theirs"), "3");
}
