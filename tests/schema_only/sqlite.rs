//! What tests of stores in SQLite share.

use std::collections::BTreeMap;

use rusqlite::types::Value;

use crate::support::Store;
use crate::support::calls::rows;

pub fn execute(store: &Store, sql: &str) {
    store.open().execute_batch(sql).unwrap();
}

/// So many jobs that the runner has queued and its worker has given up.
pub fn with_failed(store: Store, enqueue: &str, fail: &str, count: usize) -> Store {
    (0..count).for_each(|_| execute(&store, enqueue));
    execute(&store, fail);
    store
}

/// A query's first value.
pub fn text(store: &Store, sql: &str) -> String {
    match &rows(&store.path, sql)[0][0] {
        Value::Text(text) => text.clone(),
        other => panic!("{sql}: {other:?}"),
    }
}

/// Every row of a table, whole, by its id.
pub fn by_id(store: &Store, table: &str) -> BTreeMap<String, String> {
    let rows = rows(&store.path, &format!("SELECT CAST(id AS TEXT), * FROM {table}")).into_iter();
    rows.map(|mut row| match row.remove(0) {
        Value::Text(id) => (id, format!("{row:?}")),
        other => panic!("{other:?}"),
    })
    .collect()
}
