//! The plugin: one store, one operation. Every door holds one of these.

use std::cell::RefCell;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{BulkRerunBody, Config, ErrorModel, Request, Run, Selector, Spelling};
use crate::cursor::Cursor;
use crate::host::callbacks::{CallbackHost, HostCallbacks};
use crate::host::profile::Profile;
use crate::host::sqlite::{self, SqliteHost};
use crate::host::{Host, HostError, StoreInfo};
use crate::operation::{self, Survey, Trial};

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
        let host = open_host(config)?;
        let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
        Ok(Plugin { host, catalogue, wire: config.wire })
    }

    /// A plugin over a host that hands over its runs and starts them itself. Of the config only `tasks`
    /// and `wire` matter.
    ///
    /// # Errors
    ///
    /// 500 if the task catalogue can't be read.
    pub fn attach(callbacks: Box<dyn HostCallbacks>, config: &Config) -> Result<Plugin, ErrorModel> {
        let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
        Ok(Plugin { host: Box::new(CallbackHost::new(callbacks)), catalogue, wire: config.wire })
    }

    /// The operation: JSON in, JSON out, in the client's own spelling.
    ///
    /// # Errors
    ///
    /// As the contract's table says; nothing was changed.
    pub fn call(&self, request_json: &[u8]) -> Result<String, ErrorModel> {
        let request = Request::from_json(request_json)?;
        let body = self.rerun(&request)?;
        Ok(body.to_json(self.spelling_of(&request)))
    }

    /// The operation with a predicate over each matched run, before grouping: false drops the run, an
    /// error fails the call.
    ///
    /// The store is being read meanwhile, so `keep` should be quick, and it can't call this plugin.
    ///
    /// ```no_run
    /// # use bulk_rerun::{Config, Plugin};
    /// # let plugin = Plugin::open(&Config::new(".runwisp/runwisp.db"))?;
    /// let failed = br#"{"match_all": true, "filter": {"status": "failed"}}"#;
    /// plugin.call_where(failed, &mut |run| Ok(run.exit_code != Some(137)))?;
    /// # Ok::<(), bulk_rerun::ErrorModel>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`], and `keep`'s own.
    pub fn call_where(
        &self,
        request_json: &[u8],
        keep: &mut dyn FnMut(&Run) -> Result<bool, ErrorModel>,
    ) -> Result<String, ErrorModel> {
        let request = Request::from_json(request_json)?;
        let _entered = self.enter()?;
        let body = operation::rerun(&*self.host, self.catalogue.as_ref(), &request, Some(keep), None)?;
        Ok(body.to_json(self.spelling_of(&request)))
    }

    /// The operation, for a request that has been read already.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`].
    pub fn rerun(&self, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        let _entered = self.enter()?;
        operation::rerun(&*self.host, self.catalogue.as_ref(), request, None, None)
    }

    /// The operation, unless it is cancelled before it spawns.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`]; 503 if it was cancelled.
    pub fn rerun_unless(&self, cancel: &Cancel, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        let _entered = self.enter()?;
        operation::rerun(&*self.host, self.catalogue.as_ref(), request, None, Some(cancel))
    }

    /// How a request is answered: in its own spelling where it shows one, else as the config says.
    pub fn spelling_of(&self, request: &Request) -> Spelling {
        request.spelling.unwrap_or(self.wire)
    }

    /// Looks into the store as a search would, and finds nothing: whether it can be read.
    ///
    /// # Errors
    ///
    /// 500 or 503 if it can't.
    pub fn ping(&self) -> Result<(), ErrorModel> {
        operation::ping(&*self.host)
    }

    /// Evaluates a selector only: hands over each selected run, in the store's own order. The store
    /// is being read until it returns, so `each` should be quick; an error ends it.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails, and `each`'s own.
    pub fn select(
        &self,
        selector: &Selector,
        each: &mut dyn FnMut(Run) -> Result<(), ErrorModel>,
    ) -> Result<(), ErrorModel> {
        let _entered = self.enter()?;
        operation::select(&*self.host, selector, each)
    }

    /// Evaluates a selector only, for a caller who takes its time: the runs that match now, one by one.
    /// Nothing is held on the store once this returns.
    ///
    /// # Errors
    ///
    /// As for any request; 422 if it has `options`, which mean nothing here.
    pub fn cursor(&self, selector_json: &[u8]) -> Result<Cursor, ErrorModel> {
        let selector = Selector::from_json(selector_json)?;
        Cursor::over(|each| self.select(&selector, each))
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

    /// Starts one run for trial, the newest that may be (of this task, where one is named), and takes it back: what stands in
    /// the way of a re-run shows here.
    ///
    /// # Errors
    ///
    /// 422 if there is no such run, or the host has no transactions; 500 or 503 if the store fails.
    pub fn trial(&self, task_name: Option<&str>) -> Result<Trial, ErrorModel> {
        let _entered = self.enter()?;
        operation::trial(&*self.host, self.catalogue.as_ref(), task_name)
    }

    /// Begins a call. A predicate or a callback that calls its own plugin would wait for itself.
    fn enter(&self) -> Result<Entered, ErrorModel> {
        ENTERED.with_borrow_mut(|plugins| {
            if plugins.iter().any(|&plugin| ptr::eq(plugin, self)) {
                let detail = "the plugin was called from within its own predicate or callback; note there what is to \
                              be done, and do it when the call is over";
                return Err(ErrorModel::new(409, detail));
            }
            plugins.push(self);
            Ok(Entered)
        })
    }
}

thread_local! {
    /// The plugins that this thread is in a call of.
    static ENTERED: RefCell<Vec<*const Plugin>> = const { RefCell::new(Vec::new()) };
}

/// A call of a plugin, while it lasts.
struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        // Calls end in the reverse order of their begin.
        ENTERED.with_borrow_mut(|plugins| plugins.pop());
    }
}

/// The engine is the one that the store's address names.
fn open_host(config: &Config) -> Result<Box<dyn Host>, HostError> {
    for file in config.files() {
        sqlite::check_is_not_the_store(Path::new(sqlite_path(&config.store)), file)?;
    }
    let profile = config.profile.as_deref().map(Profile::load).transpose()?;
    let busy_timeout = Duration::from_millis(config.busy_timeout_ms);
    let store = &config.store;
    if store.starts_with("postgres://") || store.starts_with("postgresql://") {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(crate::host::postgres::PostgresHost::open(store, profile, busy_timeout)?));
        #[cfg(not(feature = "postgres"))]
        return Err(HostError::Unusable(
            "this bulk_rerun was built without PostgreSQL (feature `postgres`)".to_owned(),
        ));
    }
    let path = sqlite_path(store);
    if path.is_empty() {
        return Err(HostError::Unusable("no store is named: give the path of the runner's database".to_owned()));
    }
    Ok(Box::new(SqliteHost::open(path, profile, busy_timeout, config.sqlite_shared)?))
}

fn sqlite_path(store: &str) -> &str {
    store.strip_prefix("sqlite:").unwrap_or(store)
}
