//! An application on apalis: it pushes jobs, and works on them.
//!
//!     apalis-app STORE push QUEUE NOTE NEEDS MAX_ATTEMPTS [IDEMPOTENCY_KEY]
//!     apalis-app STORE work QUEUE POLL_INTERVAL_MS
//!
//! A job gives its note back, and fails unless the file that it needs is there. The id of each that succeeds goes to
//! the file NOTES.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteStorage};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

const USAGE: &str = "its arguments are told at the top of src/main.rs";

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    note: String,
    needs: String,
}

async fn run(job: Job, id: TaskId) -> Result<String, BoxDynError> {
    if !std::path::Path::new(&job.needs).exists() {
        return Err(format!("{} is not there", job.needs).into());
    }
    let mut notes = File::options().create(true).append(true).open(std::env::var("NOTES")?)?;
    writeln!(notes, "{id}")?;
    Ok(job.note)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [store, command, queue, rest @ ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let is_new = !std::path::Path::new(store).exists();
    let pool = SqlitePool::connect(&format!("sqlite://{store}?mode=rwc")).await?;
    if is_new {
        SqliteStorage::setup(&pool).await?;
    }
    let mut storage = SqliteStorage::new(&pool).with_config(Config::default().queue(queue));
    match (*command, rest) {
        ("push", [note, needs, max_attempts, key @ ..]) => {
            let job = Job { note: (*note).to_owned(), needs: (*needs).to_owned() };
            let task = TaskBuilder::new(job).max_attempts(max_attempts.parse()?);
            let task = key.iter().fold(task, |task, key| task.idempotency_key(key));
            storage.push_task(task.build()).await?;
        }
        ("work", [interval]) => {
            let interval = Duration::from_millis(interval.parse()?);
            // apalis refuses a name that was in use half a minute ago.
            let name = format!("worker-{}", std::process::id());
            let worker = WorkerBuilder::new(name.as_str()).backend(storage.poll_with_interval(interval)).build(run);
            let mut terminate = signal(SignalKind::terminate())?;
            // A poll that is due while the one before is not over wakes nobody, nor does a heartbeat: under load a worker of
            // apalis's may sleep for ever. Whatever wakes the program has it look again.
            let stop = async move {
                while timeout(Duration::from_millis(100), terminate.recv()).await.is_err() {}
                Ok::<(), std::io::Error>(())
            };
            worker.run_until(stop).await?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}
