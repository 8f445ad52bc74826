//! `bulk-rerun check` on PostgreSQL.

use std::process::Command;

use crate::store::Store;

/// What it prints, and its exit status.
fn check(store: &Store, url: &str) -> (String, i32) {
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
    assert!(!text.contains("missing"), "{text}");
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
