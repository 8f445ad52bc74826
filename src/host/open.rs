//! Opens the store that a config names.

use std::time::Duration;

use super::named_store::NamedStore;
use super::profile::Profile;
use super::sqlite::{self, SqliteHost};
use super::{Host, HostError};
use crate::contract::{Config, Via};

/// The engine is the one that the store's name says.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Host>, HostError> {
    let store = NamedStore::read(&config.store)?;
    if let NamedStore::File(store) = store {
        config.files().try_for_each(|file| sqlite::check_is_not_the_store(store, file))?;
    }
    let profile = load(config)?;
    let busy_timeout = Duration::from_millis(config.busy_timeout_ms);
    match store {
        NamedStore::Server(_) if config.via == Via::Daemon => Err(HostError::Unusable(
            "the store is in PostgreSQL, and only RunWisp's daemon can be asked to start runs: leave `via` out (--via)"
                .to_owned(),
        )),
        #[cfg(feature = "postgres")]
        NamedStore::Server(url) => Ok(Box::new(super::postgres::PostgresHost::open(&url, profile, busy_timeout)?)),
        #[cfg(not(feature = "postgres"))]
        NamedStore::Server(_) => Err(HostError::Unusable(
            "the store is in PostgreSQL, and this bulk_rerun was built without it (feature `postgres`)".to_owned(),
        )),
        NamedStore::File(path) => {
            let host = SqliteHost::open(path, profile, busy_timeout, config.sqlite_shared)?;
            match config.via {
                Via::Store => Ok(Box::new(host)),
                #[cfg(all(unix, feature = "daemon"))]
                Via::Daemon => Ok(Box::new(super::daemon::DaemonHost::new(host, path, busy_timeout)?)),
                #[cfg(not(all(unix, feature = "daemon")))]
                Via::Daemon => Err(HostError::Unusable(
                    "`via` is `daemon`, and this bulk_rerun was built without it (feature `daemon`)".to_owned(),
                )),
            }
        }
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
