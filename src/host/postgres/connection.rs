//! Connections to a server: each with a runtime of its own, so that none outlives its owner; a few idle
//! ones are kept. None is used across a fork: a child leaves its parent's alone and opens its own.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, process};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::{DbError, SqlState};

use super::address::{Address, in_words};
use super::error::for_people;
use super::servers::Unreached;
use crate::host::HostError;

/// How many idle connections are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

/// How long a goodbye to the server may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// How long an idle connection may take to show that it is alive: else a new one is faster.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// The server counts time-outs in milliseconds, in an `int`.
const TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// A server, and the idle connections to it.
pub(super) struct Server {
    pub(super) address: Arc<Address>,
    /// How long to wait for a lock that somebody else holds.
    pub(super) busy_timeout: Duration,
    /// It is a standby, which may stop a search for the sake of what it has to replay.
    pub(super) is_replica: bool,
    idle: Mutex<Idle>,
}

/// Connections that nobody is using.
struct Idle {
    /// The process that they belong to.
    pid: u32,
    connections: Vec<Connection>,
}

impl Server {
    pub(super) fn new(address: Address, busy_timeout: Duration) -> Self {
        let busy_timeout = busy_timeout.min(TIMEOUT_MAX);
        let idle = Idle { pid: process::id(), connections: Vec::new() };
        Server { address: Arc::new(address), busy_timeout, is_replica: false, idle: Mutex::new(idle) }
    }

    /// The same as a standby that is read in the primary's place.
    pub(super) fn into_replica(self) -> Self {
        Server { is_replica: true, ..self }
    }

    /// For the beginning of a transaction: how long each of its statements waits for a lock.
    pub(super) fn lock_timeout(&self) -> String {
        format!("SET LOCAL lock_timeout = {}", self.busy_timeout.as_millis().max(1))
    }

    /// For the beginning of a transaction that writes: should we be stopped in the middle, or our machine vanish, the
    /// server gives it up, and its locks with it. A limit of the server's own that is lower stays.
    pub(super) fn write_settings(&self) -> &'static str {
        "SELECT set_config(name, '60s', true) FROM pg_settings
         WHERE name = 'idle_in_transaction_session_timeout' AND setting::bigint NOT BETWEEN 1 AND 60000"
    }

    /// An idle connection that is still alive, else a new one.
    pub(super) fn connect(&self) -> Result<Connection, HostError> {
        loop {
            let idle = self.idle().connections.pop();
            match idle {
                // The server may have been restarted in the meantime.
                Some(connection) if connection.is_alive() => return Ok(connection),
                Some(_) => {}
                None => return self.open(Duration::MAX),
            }
        }
    }

    /// Keeps a connection for the next session.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.connections.len() < IDLE_MAX {
            idle.connections.push(connection);
        }
    }

    /// The idle connections of this process: in a forked child, none of its parent's.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = process::id();
        if idle.pid != pid {
            *idle = Idle { pid, connections: Vec::new() };
        }
        idle
    }

    /// A new connection; one server after the other is tried for no longer than the limit.
    pub(super) fn open(&self, limit: Duration) -> Result<Connection, HostError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| HostError::Unusable(format!("the store {} can't be reached: {error}", self.address)))?;
        match runtime.block_on(self.address.connect(limit)) {
            Ok((client, driver)) => {
                let driver = runtime.spawn(driver);
                Ok(Connection {
                    pid: process::id(),
                    client: Some(client),
                    driver: Some(driver),
                    runtime: Some(runtime),
                })
            }
            Err(unreached) => {
                // A name server may keep a thread of its for long.
                runtime.shutdown_background();
                Err(self.cant_be_reached(&unreached))
            }
        }
    }

    fn cant_be_reached(&self, unreached: &Unreached) -> HostError {
        let address = &self.address;
        let error = match unreached {
            Unreached::Failed(error) => error,
            Unreached::Silent(patience) => {
                return HostError::Unusable(format!(
                    "the store {address} can't be reached: nothing was answered for {} s; is that a PostgreSQL server, \
                     and is it running there? connect_timeout=30 in the address waits longer",
                    patience.as_secs_f32().ceil()
                ));
            }
            Unreached::Other(why) => {
                return HostError::Unusable(format!(
                    "the store {address} can't be opened: {why}; name the other servers in the address too, or wait until one \
                     of them is that"
                ));
            }
        };
        match error.as_db_error() {
            // The server's own words; it never repeats a password.
            Some(refusal) => self.meaning("connecting", refusal).unwrap_or_else(|| {
                let hint = what_to_do(refusal).unwrap_or_default();
                HostError::Unusable(format!("the store {address} can't be opened: {}{hint}", for_people(refusal)))
            }),
            None => HostError::Unusable(without_a_welcome(&address.to_string(), &in_words(error))),
        }
    }
}

/// What may be done about a server that does not let us in.
fn what_to_do(refusal: &DbError) -> Option<&'static str> {
    Some(match *refusal.code() {
        SqlState::INVALID_PASSWORD => "; the password comes from the address, PGPASSWORD or ~/.pgpass, in this order",
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if refusal.message().contains("no encryption") => {
            "; where the server takes encrypted connections only, ?sslmode=require in the address makes one"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if refusal.message().contains("client certificate") => {
            "; sslcert=FILE and sslkey=FILE in the address name it and its key, else ~/.postgresql has them \
             (postgresql.crt, postgresql.key)"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "; is the role's name right? What the server lets in, and how, is in its pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "; `psql --list` tells which databases a server has",
        _ => return None,
    })
}

/// What is said where a connection failed before the server had a word.
fn without_a_welcome(address: &str, words: &str) -> String {
    if words.ends_with("password missing") {
        return format!(
            "the store {address} can't be opened: the server asks for a password, and there is none in the address, in \
             PGPASSWORD or in ~/.pgpass"
        );
    }
    let hint = if words.contains("does not support TLS") {
        "without TLS the address says sslmode=disable"
    } else if words.contains("TLS handshake") {
        "sslrootcert=FILE in the address names the authority that the server's certificate is from; sslmode=require encrypts \
         without verifying it"
    } else if words.contains("lookup address") {
        "is the host's name right?"
    } else {
        "is the server running there?"
    };
    format!("the store {address} can't be reached: {words}; {hint}")
}

/// A connection; everything on it is done by the thread that asks.
pub(super) struct Connection {
    /// The process that has opened it.
    pid: u32,
    // `None` from `drop` on only.
    client: Option<Client>,
    driver: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Connection {
    pub(super) fn client(&self) -> &Client {
        // Taken out by `drop` alone.
        self.client.as_ref().expect("a connection has its client until it is dropped")
    }

    pub(super) fn wait_for<F: Future>(&self, future: F) -> F::Output {
        // Taken out by `drop` alone.
        self.runtime.as_ref().expect("a connection has its runtime until it is dropped").block_on(future)
    }

    fn is_alive(&self) -> bool {
        // Made within the runtime, whose clock it goes by.
        let answers = async { tokio::time::timeout(SIGN_OF_LIFE, self.client().check_connection()).await };
        !self.client().is_closed() && matches!(self.wait_for(answers), Ok(Ok(())))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.pid != process::id() {
            // A goodbye from here would end it for the process that it belongs to.
            mem::forget((self.client.take(), self.driver.take(), self.runtime.take()));
            return;
        }
        // Without its client the driver says goodbye to the server and ends.
        drop(self.client.take());
        let Some(runtime) = self.runtime.take() else { return };
        if let Some(driver) = self.driver.take()
            && tokio::runtime::Handle::try_current().is_err()
        {
            runtime.block_on(async {
                let _ = tokio::time::timeout(GOODBYE, driver).await;
            });
        }
        // Never waits, so it is allowed everywhere.
        runtime.shutdown_background();
    }
}
