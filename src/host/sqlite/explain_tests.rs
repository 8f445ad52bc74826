//! What SQLite makes of the compiled statements, as EXPLAIN QUERY PLAN tells it.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::dialect::{Sqlite, span};
use super::fit::{self, Fitted};
use super::plan::read_whole_for_an_id;
use crate::contract::RunFilter;
use crate::host::profile::Profile;
use crate::host::view::{Statement, View};
use crate::host::{Columns, Query};

const RUNWISP: &str = include_str!("../../../tests/support/schemas/runwisp-3-is-failure.sql");
const APALIS: &str = include_str!("../../../tests/support/schemas/apalis-sqlite-1.0.sql");
const DJANGO: &str = include_str!("../../../tests/support/schemas/django-tasks-db-0.13.sql");

fn runwisp() -> (Connection, View) {
    let (connection, fitted) = store_of("runwisp", RUNWISP);
    (connection, fitted.view)
}

fn store_of(profile: &str, schema: &str) -> (Connection, Fitted) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(schema).unwrap();
    let store = super::Place { path: "in memory".into(), busy_timeout: std::time::Duration::ZERO };
    let profile = Profile::built_in(profile).unwrap();
    let fitted = fit::given(&connection, &profile, &store).unwrap();
    (connection, fitted)
}

/// The steps of a statement's plan.
fn explain(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>();
    steps.unwrap()
}

fn compile(view: &View, filter: &RunFilter, seek_created_at: bool) -> Statement {
    view.compile(Query::Filter(filter), Columns::default(), &Sqlite { seek_created_at }).0
}

#[test]
fn an_id_is_sought_in_the_keys_own_index() {
    let (connection, view) = runwisp();
    for params in [false, true] {
        let (sql, _) = view.by_id("id = ?1", Columns { params, ..Columns::default() }, &Sqlite::default());
        assert_eq!(explain(&connection, &sql), ["SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)"]);
    }
    assert_eq!(read_whole_for_an_id(&connection, &view).unwrap(), [""; 0]);
}

#[test]
fn an_id_is_sought_in_the_keys_own_index_whatever_the_runner() {
    for (profile, schema, table) in
        [("apalis", APALIS, "Jobs"), ("django-tasks-db", DJANGO, "django_tasks_database_dbtaskresult")]
    {
        let (connection, Fitted { view, .. }) = store_of(profile, schema);
        let columns = Columns { params: true, unfit: true, end_reason: true, rest: true };
        let (sql, _) = view.by_id("id = ?1", columns, &Sqlite::default());
        let sought = format!("SEARCH {table} USING INDEX sqlite_autoindex_{table}_1 (id=?)");
        assert_eq!(explain(&connection, &sql), [sought]);
        assert_eq!(read_whole_for_an_id(&connection, &view).unwrap(), [""; 0]);
    }
}

#[test]
fn a_view_that_computes_is_still_one_scan() {
    let (connection, Fitted { view, created_at_indexed, .. }) = store_of("apalis", APALIS);
    let filter = RunFilter { status: vec!["failed".to_owned()], ..RunFilter::default() };
    assert_eq!(explain(&connection, &compile(&view, &filter, false).sql), ["SCAN Jobs"]);
    assert!(!created_at_indexed);
}

#[test]
fn an_unfiltered_search_is_one_scan_of_the_table_and_knows_nothing_of_except_ids() {
    let (connection, view) = runwisp();
    let statement = compile(&view, &RunFilter::default(), false);
    assert_eq!(explain(&connection, &statement.sql), ["SCAN runs"]);
    assert_eq!(statement.values, []);
}

#[test]
fn a_filter_without_an_index_is_one_scan_with_its_own_conditions_only() {
    let (connection, view) = runwisp();
    let filter = RunFilter { status: vec!["failed".to_owned()], ..RunFilter::default() };
    let statement = compile(&view, &filter, false);
    assert_eq!(explain(&connection, &statement.sql), ["SCAN runs"]);
    assert!(statement.sql.ends_with("WHERE (end_reason IN (?1))\n  AND NOT deleted"), "{}", statement.sql);
}

#[test]
fn one_task_goes_by_its_index() {
    let (connection, view) = runwisp();
    let filter = RunFilter { task_name: Some("backup".to_owned()), ..RunFilter::default() };
    let steps = explain(&connection, &compile(&view, &filter, false).sql);
    assert_eq!(steps, ["SEARCH runs USING INDEX idx_runs_task_name (task_name=?)"]);
}

#[test]
fn a_narrow_window_goes_by_the_index_on_created_at_and_a_wide_one_does_not() {
    let (connection, Fitted { view, created_at_indexed, .. }) = store_of("runwisp", RUNWISP);
    assert!(created_at_indexed);
    let after: DateTime<Utc> = "2026-04-15T12:00:00Z".parse().unwrap();
    let filter = RunFilter { created_after: Some(after), ..RunFilter::default() };
    let narrow = explain(&connection, &compile(&view, &filter, true).sql);
    assert_eq!(narrow, ["SEARCH runs USING INDEX idx_runs_created_at_desc (created_at>?)"]);
    let wide = explain(&connection, &compile(&view, &filter, false).sql);
    assert_eq!(wide, ["SCAN runs"]);
}

#[test]
fn the_span_of_all_times_is_two_ends_of_an_index() {
    let (connection, view) = runwisp();
    let steps = explain(&connection, &span(&view));
    let scans: Vec<_> = steps.iter().filter(|step| step.contains("runs")).collect();
    assert_eq!(scans.len(), 2);
    assert!(scans.iter().all(|step| step.contains("idx_runs_created_at_desc")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
}
