//! Whether a transaction whose COMMIT got no answer was committed.
//!
//! A transaction's number alone proves nothing: after a failover another server may answer, one that has missed the
//! commit and given the number to a stranger's transaction; so may the same one after a crash. What proves it are the new
//! runs themselves, and the number only where the server's history is still the one in which it was given.

use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join3;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::connection::{Connection, Server};
use super::row::key;
use super::session::PostgresSession;
use crate::host::{Columns, HostError};

/// How long to wait between two questions.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// How long the last question may take, even where the time is up.
const QUESTION: Duration = Duration::from_secs(1);

/// Where a server's history is: which database cluster, which timeline of it (a standby that is promoted begins a new
/// one), and since when its statistics are kept (they are thrown away in a crash, as is what was not yet written).
const PLACE: &str = "(SELECT system_identifier::text FROM pg_control_system()),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), pg_stat_get_bgwriter_stat_reset_time()::text";

/// What is known of a transaction that writes, to ask for it later.
pub(super) struct Proof {
    transaction_id: i64,
    /// `None` where the server does not tell: on some that only speak PostgreSQL's language.
    place: Option<Place>,
}

#[derive(Debug, PartialEq)]
struct Place {
    system: String,
    timeline: String,
    statistics_since: Option<String>,
}

/// A new run that the transaction has made, and how it is looked for.
pub(super) struct NewRun<'r> {
    /// What the reading transaction begins with, so that tables are found.
    pub(super) begin: &'r str,
    pub(super) sql: &'r str,
    pub(super) values: &'r [(&'r (dyn ToSql + Sync), Type)],
    /// Whether a row is that run: after a failover another run may bear its id.
    pub(super) is_it: &'r dyn Fn(&Row) -> bool,
}

/// How long at most the server is asked about a COMMIT whose answer was lost.
const QUESTIONS: Duration = Duration::from_secs(60);

impl PostgresSession<'_> {
    /// Whether the transaction whose COMMIT got no answer was committed: `None` if nobody can tell.
    pub(super) fn was_committed(&self) -> Option<bool> {
        let server = &self.host.server;
        let until = Instant::now() + server.busy_timeout.min(QUESTIONS);
        let proof = self.proof.as_ref()?;
        let Some((task_name, id)) = &self.first_new else { return proof.ask(server, None, until) };
        let (sql, _) = self.fitted.view.joined(&self.fitted.ids().join(), Columns::default(), &self.fitted.dialect());
        let (tasks, ids) = ([task_name.spelled()], [id.as_str()]);
        let new_run = NewRun {
            begin: self.fitted.search_path.as_deref().unwrap_or_default(),
            sql: &sql,
            values: &[(&tasks.as_slice(), Type::TEXT_ARRAY), (&ids.as_slice(), Type::TEXT_ARRAY)],
            is_it: &|row| key(row, 1) == *task_name,
        };
        proof.ask(server, Some(&new_run), until)
    }
}

impl Proof {
    /// For the transaction that has just begun to write.
    pub(super) async fn begin(client: &Client) -> Result<Proof, Error> {
        let sql = format!("SELECT txid_current(), {PLACE}");
        // In one flight.
        let (saved, asked, released) = join3(
            client.batch_execute("SAVEPOINT place"),
            client.query_typed_one(&sql, &[]),
            client.batch_execute("RELEASE place"),
        )
        .await;
        saved?;
        match asked {
            Ok(row) => {
                released?;
                Ok(Proof { transaction_id: row.try_get(0)?, place: Place::read(&row, 1) })
            }
            Err(_) => {
                client.batch_execute("ROLLBACK TO place; RELEASE place").await?;
                let row = client.query_typed_one("SELECT txid_current()", &[]).await?;
                Ok(Proof { transaction_id: row.try_get(0)?, place: None })
            }
        }
    }

    /// Asks, on a new connection, whether the transaction was committed: until then, and `None` if nobody can tell.
    pub(super) fn ask(&self, server: &Server, new_run: Option<&NewRun<'_>>, until: Instant) -> Option<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(QUESTION);
            match self.ask_once(server, new_run, left) {
                Answer::Committed => return Some(true),
                Answer::Aborted => return Some(false),
                Answer::Unknown => return None,
                // The server is on its way up, or still at it.
                Answer::NotYet if Instant::now() < until => thread::sleep(BETWEEN_QUESTIONS),
                Answer::NotYet => return None,
            }
        }
    }

    fn ask_once(&self, server: &Server, new_run: Option<&NewRun<'_>>, limit: Duration) -> Answer {
        // An old one may lead to a server that is no longer the one which counts.
        let Ok(connection) = server.open(limit) else { return Answer::NotYet };
        let asked = connection.wait_for(async {
            let asked = async {
                if let Some(run) = new_run
                    && is_there(server, &connection, run).await?
                {
                    return Ok(Answer::Committed);
                }
                self.by_number(connection.client()).await
            };
            tokio::time::timeout(limit, asked).await
        });
        match asked {
            Ok(Ok(answer)) => {
                server.give_back(connection);
                answer
            }
            Ok(Err(_)) | Err(_) => Answer::NotYet,
        }
    }

    /// What the server says of the transaction's number, where it is the same transaction that bears it.
    async fn by_number(&self, client: &Client) -> Result<Answer, Error> {
        let Some(place) = &self.place else { return Ok(Answer::Unknown) };
        // A standby has no place of its own until it is promoted.
        let now = Place::read(&client.query_typed_one(&format!("SELECT {PLACE}"), &[]).await?, 0);
        let Some(now) = now else { return Ok(Answer::Unknown) };
        if (&now.system, &now.timeline) != (&place.system, &place.timeline) {
            return Ok(Answer::Unknown);
        }
        let sql = "SELECT txid_status($1)";
        let status = match client.query_typed_one(sql, &[(&self.transaction_id, Type::INT8)]).await {
            Ok(row) => row.try_get::<_, Option<String>>(0)?,
            // It has not come so far (again).
            Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => None,
            Err(error) => return Err(error),
        };
        Ok(match status.as_deref() {
            // A worker may have deleted the new run since. After a crash, a stranger's transaction may bear the number.
            Some("committed") if now == *place => Answer::Committed,
            Some("aborted") => Answer::Aborted,
            Some("in progress") => Answer::NotYet,
            _ => Answer::Unknown,
        })
    }
}

enum Answer {
    Committed,
    Aborted,
    Unknown,
    NotYet,
}

impl Place {
    fn read(row: &Row, from: usize) -> Option<Place> {
        let text = |index: usize| row.try_get::<_, Option<String>>(from + index).ok().flatten();
        Some(Place { system: text(0)?, timeline: text(1)?, statistics_since: text(2) })
    }
}

/// Whether the new run is in the store.
async fn is_there(server: &Server, connection: &Connection, run: &NewRun<'_>) -> Result<bool, Error> {
    let client = connection.client();
    client.batch_execute(&format!("BEGIN READ ONLY; {}; {}", server.lock_timeout(), run.begin)).await?;
    // An error says nothing of the run; the transaction's number may.
    let rows = client.query_typed(run.sql, run.values).await;
    client.batch_execute("ROLLBACK").await?;
    Ok(rows.is_ok_and(|rows| rows.iter().any(run.is_it)))
}

/// What is said where nobody can tell; `new_run` is what to look for.
pub(super) fn not_known(server: &Server, doing: &str, new_run: Option<&str>) -> HostError {
    let such_as = new_run.map(|run| format!(", such as {run},")).unwrap_or_default();
    HostError::Unusable(format!(
        "the connection to the store {} was lost while {doing}, and whether it did so can't be told (the server does not \
         answer, has crashed, or another one has taken its place): look for the new runs{such_as} before you try again",
        server.address
    ))
}
