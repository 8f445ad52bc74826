//! Opens the store that a config names.

#[cfg(feature = "postgres")]
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::named_store::NamedStore;
use super::profile::Profile;
use super::{Host, HostError};
use crate::contract::{Config, Via};

/// What is said where a store has no standbys.
pub(crate) const NO_REPLICA: &str = "a replica is named, and only a store in PostgreSQL has standbys to search: leave `replica` out (--replica, BULK_RERUN_REPLICA)";

/// The engine is the one that the store's name says.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Host>, HostError> {
    let store = NamedStore::read(&config.store)?;
    if let NamedStore::File(store) = store {
        config.files().try_for_each(|file| check_is_not_the_store(store, file))?;
    }
    let profile = load(config)?;
    match store {
        NamedStore::Server(_) if config.via == Via::Daemon => Err(HostError::Unusable(
            "the store is in PostgreSQL, and only RunWisp's daemon can be asked to start runs: leave `via` out (--via)"
                .to_owned(),
        )),
        NamedStore::File(_) if config.replica.is_some() => Err(HostError::Unusable(NO_REPLICA.to_owned())),
        NamedStore::Server(url) => open_server(&url, profile, config),
        NamedStore::File(path) => open_file(path, profile, config),
    }
}

#[cfg(feature = "postgres")]
fn open_server(url: &str, profile: Option<Profile>, config: &Config) -> Result<Box<dyn Host>, HostError> {
    let host = super::postgres::PostgresHost::open(url, profile, busy_timeout(config))?;
    let Some(replica) = &config.replica else { return Ok(Box::new(host)) };
    match NamedStore::is_on_a_server(OsStr::new(replica)) {
        true => Ok(Box::new(host.with_replica(replica)?)),
        false => Err(HostError::Unusable(
            "the replica is no address of a PostgreSQL server: name a standby as postgres://user@host/database, or leave \
             `replica` out (--replica, BULK_RERUN_REPLICA)"
                .to_owned(),
        )),
    }
}

#[cfg(not(feature = "postgres"))]
fn open_server(_: &str, _: Option<Profile>, _: &Config) -> Result<Box<dyn Host>, HostError> {
    Err(HostError::Unusable(
        "the store is in PostgreSQL, and this bulk_rerun was built without it (feature `postgres`)".to_owned(),
    ))
}

#[cfg(feature = "sqlite")]
fn open_file(path: &Path, profile: Option<Profile>, config: &Config) -> Result<Box<dyn Host>, HostError> {
    let host = super::sqlite::SqliteHost::open(path, profile, busy_timeout(config), config.sqlite_shared)?;
    match config.via {
        Via::Store => Ok(Box::new(host)),
        #[cfg(all(unix, feature = "daemon"))]
        Via::Daemon => Ok(Box::new(super::daemon::DaemonHost::new(host, path, busy_timeout(config))?)),
        #[cfg(not(all(unix, feature = "daemon")))]
        Via::Daemon => Err(HostError::Unusable(
            "`via` is `daemon`, and this bulk_rerun was built without it (feature `daemon`)".to_owned(),
        )),
    }
}

#[cfg(not(feature = "sqlite"))]
fn open_file(_: &Path, _: Option<Profile>, _: &Config) -> Result<Box<dyn Host>, HostError> {
    Err(HostError::Unusable(
        "the store is a file, so one in SQLite, and this bulk_rerun was built without it (feature `sqlite`)".to_owned(),
    ))
}

fn busy_timeout(config: &Config) -> Duration {
    Duration::from_millis(config.busy_timeout_ms)
}

/// Refuses the store itself where another file is meant. To read it as one would also close it, and that
/// drops every lock that this process has on it.
pub(crate) fn check_is_not_the_store(store: &Path, file: &Path) -> Result<(), HostError> {
    match (store.canonicalize(), file.canonicalize()) {
        (Ok(store), Ok(file)) if store == file => Err(HostError::Unusable(format!(
            "{} is the store; name the profile's own file, or that of the task catalogue",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// The profile that the config names, set as it says.
pub(crate) fn load(config: &Config) -> Result<Option<Profile>, HostError> {
    match &config.profile {
        Some(profile) => Profile::load(profile, &config.parameters).map(Some),
        None if config.parameters.is_empty() => Ok(None),
        None => {
            let set: Vec<_> = config.parameters.keys().map(String::as_str).collect();
            Err(HostError::Unusable(format!(
                "a profile's parameters are set ({}), and no profile is named: name it too (--profile, `profile` in the \
                 config, or BULK_RERUN_PROFILE)",
                set.join(", ")
            )))
        }
    }
}
