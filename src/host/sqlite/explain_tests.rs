//! What SQLite makes of the compiled statements, as EXPLAIN QUERY PLAN tells it.

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::dialect::{End, Sqlite, times_at};
use super::fit::{self, Fitted};
use super::plan::{Seeks, of_a_task_and_an_id, read_whole_for_an_id};
use super::session::SqliteSession;
use crate::contract::RunFilter;
use crate::host::profile::Profile;
use crate::host::taken_apart::TakenApart;
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
    super::functions::register(&connection).unwrap();
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
        let columns = Columns { params: true, unfit: true, end_reason: true, rest: true, ..Columns::default() };
        let (sql, _) = view.by_id("id = ?1", columns, &Sqlite::default());
        let sought = format!("SEARCH {table} USING INDEX sqlite_autoindex_{table}_1 (id=?)");
        assert_eq!(explain(&connection, &sql), [sought]);
        assert_eq!(read_whole_for_an_id(&connection, &view).unwrap(), [""; 0]);
    }
}

#[test]
fn the_stores_of_every_runner_have_each_run_once_and_an_index_for_it() {
    for (profile, schema, table) in [
        ("runwisp", RUNWISP, "runs"),
        ("apalis", APALIS, "Jobs"),
        ("django-tasks-db", DJANGO, "django_tasks_database_dbtaskresult"),
    ] {
        let (connection, Fitted { view, seeks, .. }) = store_of(profile, schema);
        let (sql, _) =
            view.by_id(&of_a_task_and_an_id(&view), Columns { params: true, ..Columns::default() }, &Sqlite::default());
        let sought = format!("SEARCH {table} USING INDEX sqlite_autoindex_{table}_1 (id=?)");
        assert_eq!(explain(&connection, &sql), [sought]);
        let by_time = profile == "runwisp";
        assert_eq!(
            seeks,
            Seeks { by_id: true, by_task_and_id: true, unique: true, ordered: true, by_time },
            "{profile}"
        );
    }
}

#[test]
fn what_an_index_serves_and_whether_a_run_can_be_there_twice() {
    let seeks = |schema: &str, from: &str| {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema).unwrap();
        let columns = ["id", "task_name", "phase"].map(str::to_owned).into();
        let view = View::new(
            format!("SELECT id, queue AS task_name, 'ended' AS phase FROM {from}"),
            &columns,
            TakenApart::default(),
            &Sqlite::default(),
        );
        let seeks = Seeks::of(&connection, &view.unwrap()).unwrap();
        (seeks.by_id, seeks.by_task_and_id, seeks.unique, seeks.ordered)
    };
    let number = "CREATE TABLE job (id INTEGER PRIMARY KEY, queue TEXT)";
    assert_eq!(seeks(number, "job"), (true, true, true, true));
    assert_eq!(seeks("CREATE TABLE job (queue TEXT, id, PRIMARY KEY (queue, id))", "job"), (false, true, false, false));
    assert_eq!(seeks("CREATE TABLE job (queue TEXT, id)", "job"), (false, false, false, false));
    assert_eq!(
        seeks("CREATE TABLE job (queue TEXT, id); CREATE INDEX by_id ON job (id)", "job"),
        (true, true, false, true)
    );
    let partial = "CREATE TABLE job (queue TEXT, id); CREATE UNIQUE INDEX one ON job (id) WHERE id > 7";
    assert_eq!(seeks(partial, "job"), (false, false, false, false));
    let joined = "CREATE TABLE job (id TEXT PRIMARY KEY, queue TEXT); CREATE TABLE note (job TEXT)";
    assert_eq!(seeks(joined, "job LEFT JOIN note ON note.job = job.id"), (true, true, false, false));
    let two = "CREATE TABLE one (id TEXT PRIMARY KEY, queue TEXT); CREATE TABLE two (id TEXT PRIMARY KEY, queue TEXT)";
    let union = "(SELECT * FROM one UNION ALL SELECT * FROM two)";
    assert_eq!(seeks(two, union), (true, true, false, false));
}

#[test]
fn a_view_that_computes_is_still_one_scan() {
    let (connection, Fitted { view, seeks, .. }) = store_of("apalis", APALIS);
    let filter = RunFilter { status: vec!["failed".to_owned()], ..RunFilter::default() };
    assert_eq!(explain(&connection, &compile(&view, &filter, false).sql), ["SCAN Jobs"]);
    assert!(!seeks.by_time);
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
    assert!(
        statement.sql.ends_with("WHERE (end_reason COLLATE BINARY IN (?1))\n  AND deleted IS NOT TRUE"),
        "{}",
        statement.sql
    );
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
    let (connection, Fitted { view, seeks, .. }) = store_of("runwisp", RUNWISP);
    assert!(seeks.by_time);
    let after: DateTime<Utc> = "2026-04-15T12:00:00Z".parse().unwrap();
    let filter = RunFilter { created_after: Some(after), ..RunFilter::default() };
    let narrow = explain(&connection, &compile(&view, &filter, true).sql);
    assert_eq!(narrow, ["SEARCH runs USING INDEX idx_runs_created_at_desc (created_at>?)"]);
    let wide = explain(&connection, &compile(&view, &filter, false).sql);
    assert_eq!(wide, ["SCAN runs"]);
}

#[test]
fn the_ends_of_all_times_are_the_ends_of_an_index() {
    let (connection, view) = runwisp();
    for end in [End::First, End::Last] {
        let steps = explain(&connection, &times_at(&view, end));
        assert_eq!(
            steps,
            ["SEARCH runs USING COVERING INDEX idx_runs_created_at_desc (created_at>? AND created_at<?)"]
        );
    }
}

#[test]
fn an_index_on_the_time_serves_under_whatever_name_the_runner_has_for_it() {
    let (connection, Fitted { view, .. }) = own(
        "CREATE TABLE job (id TEXT PRIMARY KEY, queue TEXT, queued_on TEXT); CREATE INDEX by_time ON job (queued_on)",
        "queued_on",
    );
    let after: DateTime<Utc> = "2026-04-15T12:00:00Z".parse().unwrap();
    let filter = RunFilter { created_after: Some(after), ..RunFilter::default() };
    assert_eq!(
        explain(&connection, &compile(&view, &filter, true).sql),
        ["SEARCH job USING INDEX by_time (queued_on>?)"]
    );
    assert_eq!(
        explain(&connection, &times_at(&view, End::Last)),
        ["SEARCH job USING COVERING INDEX by_time (queued_on>? AND queued_on<?)"]
    );
    for (column, by_time) in [("queued_on", true), ("datetime(queued_on)", false), ("NULL", false)] {
        let schema = "CREATE TABLE job (id TEXT PRIMARY KEY, queue TEXT, queued_on TEXT);
            CREATE INDEX by_time ON job (queued_on)";
        assert_eq!(own(schema, column).1.seeks.by_time, by_time, "{column}");
    }
    let without = "CREATE TABLE job (id TEXT PRIMARY KEY, queue TEXT, queued_on TEXT)";
    assert!(!own(without, "queued_on").1.seeks.by_time);
}

/// Rows with a time that is none stand at both ends of an index, and are passed over.
#[test]
fn a_time_that_can_not_be_read_leaves_the_index_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(RUNWISP).unwrap();
    let insert =
        "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES (?1, 't', 'ended', 'cron', ?2)";
    for day in 1..=28 {
        connection.execute(insert, (format!("{day}"), format!("2026-02-{day:02}T12:00:00Z"))).unwrap();
    }
    for (id, time) in [("a", ""), ("b", "yesterday"), ("c", "1776254400"), ("d", "2026-99-99T00:00:00Z"), ("e", "99")] {
        connection.execute(insert, (id, time)).unwrap();
    }
    let host = super::SqliteHost::open(path, None, std::time::Duration::ZERO, false).unwrap();
    let (own, fitted) = host.connect().unwrap();
    let session = SqliteSession::new(&host.store.place, fitted, own);
    let after = |time: &str| RunFilter { created_after: Some(time.parse().unwrap()), ..RunFilter::default() };
    assert!(session.is_narrow(&after("2026-02-27T00:00:00Z")).unwrap());
    assert!(!session.is_narrow(&after("2026-02-02T00:00:00Z")).unwrap());
}

/// A store of somebody's own, with this as its runs' time of creation.
fn own(schema: &str, created_at: &str) -> (Connection, Fitted) {
    let connection = Connection::open_in_memory().unwrap();
    super::functions::register(&connection).unwrap();
    connection.execute_batch(schema).unwrap();
    let profile = format!(
        "name = 'own'\nrunner = 'Own'\nengine = 'sqlite'\n[[generation]]\nrequires.job = ['id']\n\
         runs = \"SELECT id, queue AS task_name, 'ended' AS phase, {created_at} AS created_at FROM job\"\n\
         spawn = \"INSERT INTO job (id, queue) SELECT :new_id, queue FROM job WHERE id = :id\""
    );
    let place = super::Place { path: "in memory".into(), busy_timeout: std::time::Duration::ZERO };
    let fitted = fit::given(&connection, &Profile::parse(&profile, "own.toml").unwrap(), &place).unwrap();
    (connection, fitted)
}
