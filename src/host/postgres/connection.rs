//! Connections to a server: each with a runtime of its own, so that none outlives its owner; a few idle
//! ones are kept. None is used across a fork: a child leaves its parent's alone and opens its own.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, process};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::address::{Address, in_words};
use crate::host::HostError;

/// How many idle connections are kept: as many as callers usually come at once.
const IDLE_MAX: usize = 8;

/// How long a goodbye to the server may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// A server, and the idle connections to it.
pub(super) struct Server {
    pub(super) address: Arc<Address>,
    /// How long to wait for a lock that somebody else holds.
    pub(super) busy_timeout: Duration,
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
        let idle = Idle { pid: process::id(), connections: Vec::new() };
        Server { address: Arc::new(address), busy_timeout, idle: Mutex::new(idle) }
    }

    /// For the beginning of a transaction: how long each of its statements waits for a lock.
    pub(super) fn lock_timeout(&self) -> String {
        format!("SET LOCAL lock_timeout = {}", self.busy_timeout.as_millis().max(1))
    }

    /// An idle connection that is still alive, else a new one.
    pub(super) fn connect(&self) -> Result<Connection, HostError> {
        loop {
            let idle = self.idle().connections.pop();
            match idle {
                // The server may have been restarted in the meantime.
                Some(connection) if connection.is_alive() => return Ok(connection),
                Some(_) => {}
                None => return self.open(),
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

    fn open(&self) -> Result<Connection, HostError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| HostError::Unusable(format!("the store {} can't be reached: {error}", self.address)))?;
        let connected = runtime.block_on(self.address.connect());
        let (client, driver) = connected.map_err(|error| self.cant_be_reached(&error))?;
        let driver = runtime.spawn(driver);
        Ok(Connection { pid: process::id(), client: Some(client), driver: Some(driver), runtime: Some(runtime) })
    }

    fn cant_be_reached(&self, error: &tokio_postgres::Error) -> HostError {
        let address = &self.address;
        match error.as_db_error() {
            // The server's own words; it never repeats a password.
            Some(refusal) => self.meaning("connecting", refusal).unwrap_or_else(|| {
                HostError::Unusable(format!("the store {address} can't be opened: {}", refusal.message()))
            }),
            None => HostError::Unusable(format!(
                "the store {address} can't be reached: {}; is the server running there?",
                in_words(error)
            )),
        }
    }
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
        !self.client().is_closed() && self.wait_for(self.client().check_connection()).is_ok()
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
