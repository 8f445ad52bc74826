//! Hosts that keep their runs in a PostgreSQL database.

mod address;
mod batch;
mod client_certificate;
mod columns;
mod configuration;
mod connection;
mod dialect;
mod encoding;
mod error;
mod fit;
mod ids;
mod interruption;
mod ledger;
mod libpq;
mod misfit;
mod newest;
mod numeric;
mod parameters;
mod passfile;
mod plan;
mod presence;
mod proof;
mod read;
mod replica;
mod rights;
mod row;
mod search_path;
mod servers;
mod service;
mod session;
mod spawn;
mod statements;
mod target;
mod tls;
mod undo;
mod url;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::address::{APPLICATION_NAME, Address};
use self::connection::{Connection, Server};
use self::fit::Fitted;
use self::session::PostgresSession;
use super::profile::{Engine, Profile};
use super::{Host, HostError, Particulars, Session, StoreInfo};

/// An address for a person, as the fuzz targets read it.
pub(crate) fn read_address(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, HostError> {
    Address::with_variables(url, variable).map(|address| address.to_string())
}

/// A runner's PostgreSQL store, seen through a profile.
pub struct PostgresHost {
    server: Server,
    /// A standby of it, which searches read.
    replica: Option<Server>,
    /// The profile that was asked for; else any of the built-in ones.
    given: Option<Profile>,
    /// What fits the store as it was seen last.
    fitted: Mutex<Option<Arc<Fitted>>>,
}

impl PostgresHost {
    /// Opens the store at a `postgres://` URL: with the given profile, else with the built-in one that fits.
    /// What the URL leaves open is libpq's environment variables' to say.
    ///
    /// # Errors
    ///
    /// The URL can't be read, the server can't be reached, or no profile fits.
    pub fn open(url: &str, profile: Option<Profile>, busy_timeout: Duration) -> Result<Self, HostError> {
        profile.iter().try_for_each(|profile| profile.check_engine(Engine::Postgres))?;
        let server = Server::new(Address::parse(url)?, busy_timeout);
        let host = PostgresHost { server, replica: None, given: profile, fitted: Mutex::default() };
        let connection = host.server.connect()?;
        host.fit(&connection)?;
        host.server.give_back(connection);
        Ok(host)
    }

    /// The same with searches on a standby of that server, at a URL of its own. It is not looked at before it is needed.
    ///
    /// # Errors
    ///
    /// The URL can't be read.
    pub fn with_replica(self, url: &str) -> Result<Self, HostError> {
        let address = Address::parse(url).map_err(replica::of_the_replica)?;
        let replica = Some(Server::new(address, self.server.busy_timeout).into_replica());
        Ok(PostgresHost { replica, ..self })
    }

    /// The profile's generation that fits the store.
    fn fit(&self, connection: &Connection) -> Result<Arc<Fitted>, HostError> {
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*fitted {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(fit::fit(&self.server, connection, self.given.as_ref())?);
        // Somebody may give the right a moment later.
        *fitted = (!new.version_hidden).then(|| Arc::clone(&new));
        Ok(new)
    }

    /// The runner was upgraded while we ran: the next session looks again.
    fn forget_fit(&self) {
        *self.fitted.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn info(&self) -> Result<StoreInfo, HostError> {
        let connection = self.server.connect()?;
        let fitted = self.fit(&connection)?;
        let client = connection.client();
        let asked = connection.wait_for(async {
            client.batch_execute(&format!("BEGIN READ ONLY; {}", self.server.lock_timeout())).await?;
            client.batch_execute(fitted.search_path.as_deref().unwrap_or_default()).await?;
            let settings = client
                .query_one(
                    "SELECT current_setting('server_version'), NOT pg_is_in_recovery()
                        AND NOT current_setting('default_transaction_read_only')::boolean",
                    &[],
                )
                .await?;
            let others = client.query(presence::OTHERS, &[&APPLICATION_NAME]).await?;
            let missing_rights = match rights::missing(client, &fitted).await? {
                Ok(grants) => grants,
                Err(wrong) => return Ok(Err(wrong)),
            };
            let read_whole_for_an_id = match missing_rights.is_empty() {
                true => plan::read_whole_for_an_id(client, &fitted).await?,
                // The server plans nothing that the role may not do.
                false => Vec::new(),
            };
            let not_found_by_its_id = match missing_rights.is_empty() {
                true => match plan::not_found_by_its_id(client, &fitted).await? {
                    Ok(found) => found,
                    Err(wrong) => return Ok(Err(wrong)),
                },
                false => None,
            };
            // Without the rights on it, its version can't be read either.
            let ledger = match missing_rights.is_empty() {
                true => ledger::version(client).await?,
                false => None,
            };
            let missing_to_prune = rights::missing_to_prune(client).await?;
            client.batch_execute("ROLLBACK").await?;
            Ok(Ok((
                settings,
                others,
                missing_rights,
                read_whole_for_an_id,
                not_found_by_its_id,
                ledger,
                missing_to_prune,
            )))
        });
        let (settings, others, missing_rights, read_whole_for_an_id, not_found_by_its_id, ledger, missing_to_prune) =
            asked.map_err(|error| self.server.error("reading its settings", error))??;
        let replica = self.replica_info(&connection);
        self.server.give_back(connection);
        let (open_in, hidden) = presence::of(&others, &fitted.profile);
        let outlook = fitted.profile.outlook(&open_in, hidden);
        Ok(StoreInfo {
            store: self.server.address.to_string(),
            engine: format!("PostgreSQL {}", settings.get::<_, String>(0)),
            profile: fitted.profile.name.clone(),
            runner: fitted.profile.runner.clone(),
            parameters: fitted.profile.settings.clone(),
            tried_with: fitted.profile.tried_with,
            generation: fitted.generation.name.clone(),
            schema_version: fitted.version.clone(),
            particulars: Particulars::Postgres {
                schema: fitted.schema.clone(),
                schema_version_hidden: fitted.version_hidden,
                missing_rights,
                missing_to_prune,
                replica,
            },
            lacks: fitted.view.lacks.clone(),
            read_whole_for_an_id,
            not_found_by_its_id,
            ledger,
            has_due_time: fitted.has_due_time(),
            writable: settings.get(1),
            open_in,
            runner_state: outlook.runner,
            runner_unknown: outlook.unknown,
            start: outlook.start,
            daemon: None,
        })
    }
}

impl Host for PostgresHost {
    fn session(&self) -> Result<Box<dyn Session + '_>, HostError> {
        Ok(Box::new(PostgresSession::new(self)?))
    }

    fn describe(&self) -> Result<StoreInfo, HostError> {
        self.info()
    }
}
