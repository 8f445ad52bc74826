//! The plugin: one store, one operation. Every door holds one of these.

use std::path::PathBuf;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{BulkRerunBody, ErrorModel, Request, Run, Selector, Spelling};
use crate::host::profile::Profile;
use crate::host::sqlite::SqliteHost;
use crate::host::{Host, HostError, StoreInfo};
use crate::operation::{self, Survey};

/// Which store, and how to work in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The store: a path, or `sqlite:PATH`.
    pub store: String,
    /// A built-in profile's name or a profile's file; found from the store's schema if absent.
    pub profile: Option<String>,
    /// A `runwisp.toml`, the task catalogue.
    pub tasks: Option<PathBuf>,
    /// How long to wait for a lock that somebody else holds, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How an answer is spelled when the request's fields show no spelling.
    pub wire: Spelling,
}

impl Config {
    /// The defaults for a store: its profile is found, and it is waited for 5 seconds.
    pub fn new(store: impl Into<String>) -> Self {
        Config { store: store.into(), profile: None, tasks: None, busy_timeout_ms: 5_000, wire: Spelling::Snake }
    }
}

/// Bulk re-run over one store. Safe to call from several threads at once.
///
/// ```no_run
/// use bulk_rerun::{Config, Plugin};
///
/// let plugin = Plugin::open(&Config::new(".runwisp/runwisp.db"))?;
/// let answer = plugin.call(br#"{"match_all": true, "filter": {"status": "failed"}}"#)?;
/// println!("{answer}");
/// # Ok::<(), bulk_rerun::ErrorModel>(())
/// ```
pub struct Plugin {
    host: Box<dyn Host>,
    catalogue: Option<Catalogue>,
    wire: Spelling,
}

impl Plugin {
    /// Opens a store.
    ///
    /// # Errors
    ///
    /// 500 with what is wrong with the store, the profile or the task catalogue; 503 if it is busy.
    pub fn open(config: &Config) -> Result<Plugin, ErrorModel> {
        let path = sqlite_path(&config.store)?;
        let profile = config.profile.as_deref().map(Profile::load).transpose()?;
        let busy_timeout = Duration::from_millis(config.busy_timeout_ms);
        let host = SqliteHost::open(path, profile, busy_timeout)?;
        let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
        Ok(Plugin { host: Box::new(host), catalogue, wire: config.wire })
    }

    /// The operation: JSON in, JSON out, in the client's own spelling.
    ///
    /// # Errors
    ///
    /// As the contract's table says; nothing was changed.
    pub fn call(&self, request_json: &[u8]) -> Result<String, ErrorModel> {
        let request = Request::from_json(request_json)?;
        let body = self.rerun(&request)?;
        Ok(body.to_json(request.spelling.unwrap_or(self.wire)))
    }

    /// The operation, for a request that has been read already.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`].
    pub fn rerun(&self, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        operation::rerun(&*self.host, self.catalogue.as_ref(), request, None)
    }

    /// The operation, unless it is cancelled before it spawns.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`]; 503 if it was cancelled.
    pub fn rerun_unless(&self, cancel: &Cancel, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        operation::rerun(&*self.host, self.catalogue.as_ref(), request, Some(cancel))
    }

    /// Evaluates a selector only: hands over each selected run, in the store's own order. The store
    /// is being read until it returns, so `each` should be quick.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn select(&self, selector: &Selector, each: &mut dyn FnMut(Run)) -> Result<(), ErrorModel> {
        operation::select(&*self.host, selector, each)
    }

    /// What is known about the store without reading its runs.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn describe(&self) -> Result<StoreInfo, ErrorModel> {
        Ok(self.host.describe()?)
    }

    /// What the store holds; reads every run once.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn survey(&self) -> Result<Survey, ErrorModel> {
        operation::survey(&*self.host)
    }
}

fn sqlite_path(store: &str) -> Result<PathBuf, HostError> {
    if store.starts_with("postgres://") || store.starts_with("postgresql://") {
        return Err(HostError::Unusable("PostgreSQL stores are not supported by this version yet".to_owned()));
    }
    let path = store.strip_prefix("sqlite:").unwrap_or(store);
    if path.is_empty() {
        return Err(HostError::Unusable("no store is named: give the path of the runner's database".to_owned()));
    }
    Ok(PathBuf::from(path))
}
