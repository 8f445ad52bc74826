//! A job server on axum. It keeps its jobs in SQLite, runs them with the shell, and has the bulk re-run beside its own
//! routes: `profile.toml` says how its jobs read as runs, and `http::api` is merged into its router.
//!
//! ```sh
//! cargo run -p axum_host -- jobs.db 127.0.0.1:8080
//! curl -d 'test -e /mnt/disk && tar -C /mnt/disk -cf backup.tar .' http://127.0.0.1:8080/jobs/backup
//! curl http://127.0.0.1:8080/jobs
//! curl --json '{"match_all": true, "filter": {"status": "failed"}}' http://127.0.0.1:8080/api/runs/bulk/rerun
//! ```

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use bulk_rerun::http::{self, HttpConfig};
use bulk_rerun::{Config, ErrorModel, Plugin};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

const SCHEMA: &str = "
PRAGMA journal_mode = wal;
CREATE TABLE IF NOT EXISTS job (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued', exit_code INTEGER,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), again_of INTEGER)";

/// A program that is installed has it where it has its configuration.
const PROFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/profile.toml");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(store), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum_host STORE ADDRESS:PORT".into());
    };
    let store: Arc<Path> = Path::new(&store).into();
    Connection::open(&store)?.execute_batch(SCHEMA)?;

    let app = Router::new()
        .route("/jobs", get(list))
        .route("/jobs/{name}", post(add))
        .with_state(Arc::clone(&store))
        .merge(rerun(&store)?);
    thread::spawn(move || work(&store).expect("the worker needs its store"));
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// The bulk re-run's own routes, over the store that we have anyway.
fn rerun(store: &Path) -> Result<Router, ErrorModel> {
    let plugin = Plugin::open(&Config {
        profile: Some(PROFILE.to_owned()),
        // Each re-run is written down, in tables beside ours: it can be listed, and taken back.
        ledger: true,
        ..Config::new(store)
    })?;
    // So everybody may re-run who reaches the port: beyond loopback, `tokens` and `allow_hosts` say who may.
    Ok(http::api(Arc::new(plugin), HttpConfig::default()))
}

async fn list(State(store): State<Arc<Path>>) -> Result<String, Failed> {
    on(store, |store| {
        let sql = "SELECT concat_ws(char(9), id, name, state, ifnull(exit_code, '-'), ifnull(again_of, '-'))
            || char(10) FROM job ORDER BY id";
        let mut statement = store.prepare(sql)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        Ok("id\tname\tstate\tstatus\tagain of\n".to_owned() + &lines.collect::<Result<String, _>>()?)
    })
    .await
}

async fn add(
    State(store): State<Arc<Path>>,
    extract::Path(name): extract::Path<String>,
    command: String,
) -> Result<String, Failed> {
    on(store, move |store| {
        store.execute("INSERT INTO job (name, command) VALUES (?1, ?2)", params![name, command])?;
        Ok(format!("{}\n", store.last_insert_rowid()))
    })
    .await
}

type Failed = (StatusCode, String);

/// SQLite blocks its thread, so it gets one that may be blocked.
async fn on<T: Send + 'static>(
    store: Arc<Path>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    let failed = |error: &dyn Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let worked = spawn_blocking(move || work(&Connection::open(&store)?)).await;
    worked.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Runs what is queued, one job after the other. What is re-run is queued, and so is found here as well.
fn work(store: &Path) -> Result<(), Box<dyn Error>> {
    let store = Connection::open(store)?;
    let take = "UPDATE job SET state = 'running' WHERE id = (SELECT min(id) FROM job WHERE state = 'queued')
        RETURNING id, command";
    loop {
        let job = store.query_row(take, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).optional()?;
        let Some((id, command)) = job else {
            thread::sleep(Duration::from_millis(200));
            continue;
        };
        let status = Command::new("sh").args(["-c", &command]).status()?;
        let state = if status.success() { "succeeded" } else { "failed" };
        store.execute("UPDATE job SET state = ?2, exit_code = ?3 WHERE id = ?1", params![id, state, status.code()])?;
    }
}
