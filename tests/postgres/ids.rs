//! Explicit ids go by the key's own index, and what is none of its type is not found.

use serde_json::json;

use crate::store::{Store, call, skipped, triggered};

#[test]
fn an_id_that_is_not_of_the_keys_type_is_not_found() {
    let store = Store::with_failed(1);
    let plugin = store.open();
    let ids = ["1", "01", "+1", " 1", "one", "", "1.0", "99999999999999999999", "1\u{0}", "'; DROP TABLE job; --", "é"];
    let answer = call(&plugin, &json!({"ids": ids})).unwrap();
    assert_eq!(triggered(&answer), 1);
    assert_eq!(skipped(&answer), vec!["-: not_found"; ids.len() - 1]);

    store.client.execute(
        "ALTER TABLE job ALTER id DROP IDENTITY; ALTER TABLE job ALTER id TYPE uuid USING gen_random_uuid(), ALTER id SET DEFAULT gen_random_uuid()",
    );
    store.reword(":id::bigint", ":id::uuid");
    let id = store.client.value("SELECT id FROM job WHERE state = 'failed'").unwrap();
    let ids = [&id, &id.to_uppercase(), &id.replace('-', ""), "1", "no uuid"];
    let answer = call(&store.open(), &json!({"ids": ids})).unwrap();
    assert_eq!((triggered(&answer), skipped(&answer).len()), (1, 4));
}

/// The server's own account of every statement that a call has sent.
#[test]
fn ids_are_sought_in_the_keys_own_index_and_many_in_one_pass() {
    let store = Store::with_failed(150_000);
    store.client.execute("ANALYZE job");
    let explained = format!(
        "{}?options=-csession_preload_libraries%3Dauto_explain%20-cauto_explain.log_min_duration%3D0\
         %20-cauto_explain.log_level%3Dlog%20-capplication_name%3Dexplained%20-cseq_page_cost%3D4",
        store.database.url
    );
    let plugin = bulk_rerun::Plugin::open(&store.config(&explained)).unwrap();
    // Each is sought, or each run is looked for among them, though a page of a scan counts as much as one of a seek: the
    // planner knows how many they are. Their parameters are read by task and id.
    for (many, seeks_at_least, scans) in [(1_000, 2, 0), (9_000, 4, 0), (100_000, 0, 1)] {
        let ids: Vec<String> = (1..=many).map(|id| id.to_string()).collect();
        let mark = std::fs::metadata(store.database.server.folder.join("log")).unwrap().len() as usize;
        let answer = call(&plugin, &json!({"ids": ids, "options": {"dry_run": true}})).unwrap();
        assert_eq!(answer["planned"].as_array().unwrap().len(), many);
        let log = std::fs::read(store.database.server.folder.join("log")).unwrap();
        let log = String::from_utf8_lossy(&log[mark..]).into_owned();
        let seeks = log.matches("using job_pkey on job").count();
        assert!(seeks >= seeks_at_least, "{seeks} plans seek in the key's index for {many} ids");
        assert_eq!(log.matches("Seq Scan on job").count(), scans, "{many} ids");
    }

    // The same for one run that is started.
    let mark = std::fs::metadata(store.database.server.folder.join("log")).unwrap().len() as usize;
    assert_eq!(triggered(&call(&plugin, &json!({"ids": ["77"]})).unwrap()), 1);
    let log = std::fs::read(store.database.server.folder.join("log")).unwrap();
    let log = String::from_utf8_lossy(&log[mark..]).into_owned();
    assert!(log.contains("Insert on job"), "{log}");
    assert!(!log.contains("Seq Scan on job"), "{log}");
}
