//! The store that the demo makes: ninety days of a made-up company's runs, and one bad night.
//!
//! Last night the database's host was down for three and a half hours. What needs the database
//! failed, and most of it waits to be run again; some has recovered by itself, and some can't or
//! needn't be started. [`tasks`] is the cast, [`simulation`] the plot.

mod catalogue;
mod eras;
mod simulation;
mod tasks;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
mod zone;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Transaction, params};

use crate::contract::FAILURE_END_REASONS;
use eras::Eras;
use simulation::{Phase, Run};
use tasks::{Ending, SERVICES, TASKS};
use zone::Zone;

const SCHEMA: &str = include_str!("runwisp.sql");

/// Older runs are soft-deleted, and still wait to be purged.
const KEPT: TimeDelta = TimeDelta::days(90);

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct History {
    /// From when to when the database's host was down.
    pub(super) bad_night: (DateTime<Utc>, DateTime<Utc>),
    /// How many runs are visible.
    pub(super) runs: u64,
    /// How many runs are soft-deleted.
    pub(super) deleted: u64,
    /// How many tasks and services the runs are of.
    pub(super) tasks: u64,
}

/// Makes a store in RunWisp's layout at `path`, which must not exist, with about ninety days of
/// history that ends at `now`. The same `now` makes the same history.
///
/// # Errors
///
/// What SQLite says; the file may then be there, without a run in it.
pub(super) fn create(path: &Path, now: DateTime<Utc>) -> rusqlite::Result<History> {
    let zone = Zone::by_day_at(now);
    let eras = Eras::until(now, &zone);
    let outage = zone.outage_before(now);
    let runs = simulation::simulate(now, &zone, &eras, &outage);
    let deleted = runs.iter().filter(|run| deleted_at(run, now).is_some()).count();

    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Nobody misses a demo that a power cut has taken.
    connection.pragma_update(None, "synchronous", "off")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    insert(&transaction, &runs, now, &eras)?;
    transaction.commit()?;
    Ok(History {
        bad_night: (outage.start, outage.end),
        runs: (runs.len() - deleted) as u64,
        deleted: deleted as u64,
        tasks: (TASKS.len() + SERVICES.len()) as u64,
    })
}

/// The text of the `runwisp.toml` that belongs to the history that ends at `now`.
pub(super) fn catalogue(now: DateTime<Utc>) -> String {
    catalogue::catalogue(&Zone::by_day_at(now))
}

fn insert(transaction: &Transaction<'_>, runs: &[Run], now: DateTime<Utc>, eras: &Eras) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(
        "INSERT INTO runs (id, task_name, status, end_reason, exit_code, started_at, ended_at, triggered_by,
                           created_at, retry_attempt, retry_of_run_id, params_json, deleted_at, is_failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for run in runs {
        let (status, end_reason, exit_code) = words(run, eras);
        let is_failure = end_reason.is_some_and(|reason| FAILURE_END_REASONS.contains(&reason));
        statement.execute(params![
            run.id.to_string(),
            run.task_name,
            status,
            end_reason,
            exit_code,
            run.started_at.map(|at| eras.write(at)),
            run.ended_at().map(|at| eras.write(at)),
            run.triggered_by,
            eras.write(run.created_at),
            run.retry_attempt,
            run.retry_of.map(|id| id.to_string()),
            run.parameters,
            deleted_at(run, now).map(|at| eras.write(at)),
            is_failure,
        ])?;
    }
    Ok(())
}

/// Status, end reason and exit code, as the daemon words them.
fn words(run: &Run, eras: &Eras) -> (&'static str, Option<&'static str>, i64) {
    let (ending, at) = match run.phase {
        Phase::Pending => return ("pending", None, 0),
        Phase::Running => return ("running", None, 0),
        Phase::Ended(ending, at) => (ending, at),
    };
    let (end_reason, exit_code) = match ending {
        Ending::Success => (eras.success(at), 0),
        Ending::Exit(code) => ("failed", code),
        Ending::Timeout => ("timeout", 124),
        Ending::Crashed => ("crashed", -2),
        Ending::LogOverflow => ("log_overflow", 137),
        Ending::Stopped => ("stopped", 143),
        Ending::DaemonStopped => ("daemon_stopped", 143),
        Ending::StartFailed => ("start_failed", -1),
        Ending::Skipped => ("skipped", -1),
        Ending::Missed => ("missed", -1),
    };
    ("ended", Some(end_reason), exit_code)
}

fn deleted_at(run: &Run, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    run.ended_at().map(|at| at + KEPT).filter(|at| *at < now)
}
