//! The plugin: one store, one operation. Every door holds one of these.

mod ledger;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ptr;
#[cfg(feature = "http")]
use std::time::Duration;

use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::contract::{BulkRerunBody, Caller, Config, ErrorModel, Request, Run, Selector, Spelling, Via};
use crate::cursor::Cursor;
use crate::elsewhere::{Ask, blocking, no_questions};
use crate::host::callbacks::{CallbackHost, HostCallbacks};
use crate::host::named_store::NamedStore;
use crate::host::{Host, NO_REPLICA, StoreInfo, open};
use crate::operation::{self, Keep, Survey, Trial};

/// Bulk re-run over one store. Safe to call from several threads at once.
///
/// Every method that reaches the store blocks its thread until it is done, so async code calls it within tokio's
/// `spawn_blocking`. Without that it works as well, and the runtime's thread waits. Predicates come on the calling thread.
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
    /// `None` from `drop` on only.
    host: Option<Box<dyn Host>>,
    /// The host speaks with a server, or with a daemon.
    has_server: bool,
    catalogue: Option<Catalogue>,
    caller: Caller,
    wire: Spelling,
}

impl Plugin {
    /// Opens a store.
    ///
    /// # Errors
    ///
    /// 500 with what is wrong with the store, the profile or the task catalogue; 503 if it is busy.
    pub fn open(config: &Config) -> Result<Plugin, ErrorModel> {
        let has_server = NamedStore::is_on_a_server(&config.store) || config.via == Via::Daemon;
        let host = blocking(has_server, |_| Ok(open(config)?), no_questions)?;
        // Not before the store has been told from the files that are read as such.
        let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
        let plugin =
            Plugin { host: Some(host), has_server, catalogue, caller: config.caller.clone(), wire: config.wire };
        if config.ledger {
            plugin.create_ledger()?;
        }
        Ok(plugin)
    }

    /// A plugin over a host that hands over its runs and starts them itself. Of the config only `tasks`
    /// and `wire` matter.
    ///
    /// # Errors
    ///
    /// 500 if the task catalogue can't be read, or a replica is named.
    pub fn attach(callbacks: Box<dyn HostCallbacks>, config: &Config) -> Result<Plugin, ErrorModel> {
        if config.replica.is_some() {
            return Err(ErrorModel::new(500, NO_REPLICA));
        }
        let catalogue = config.tasks.as_deref().map(Catalogue::read).transpose()?;
        let host: Box<dyn Host> = Box::new(CallbackHost::new(callbacks));
        let caller = config.caller.clone();
        Ok(Plugin { host: Some(host), has_server: false, catalogue, caller, wire: config.wire })
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
        let work = |host: &dyn Host, ask: &mut Ask<'_, _>| {
            let mut keep = |run: &Run| ask(Cow::Borrowed(run));
            self.rerun_on(host, &request, Some(&mut keep), None)
        };
        let body = self.reach(work, |run| keep(&run))?;
        Ok(body.to_json(self.spelling_of(&request)))
    }

    /// The operation, for a request that has been read already.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`].
    pub fn rerun(&self, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        self.reach(|host, _| self.rerun_on(host, request, None, None), no_questions)
    }

    /// The operation, unless it is cancelled before it spawns.
    ///
    /// # Errors
    ///
    /// As [`Plugin::call`]; 503 if it was cancelled.
    pub fn rerun_unless(&self, cancel: &Cancel, request: &Request) -> Result<BulkRerunBody, ErrorModel> {
        self.reach(|host, _| self.rerun_on(host, request, None, Some(cancel)), no_questions)
    }

    /// The operation where it is over in about this time and writes nothing: on the caller's thread, which waits for
    /// nobody. Else `None`, and nothing is done.
    #[cfg(feature = "http")]
    pub(crate) fn rerun_briefly(&self, time: Duration, request: &Request) -> Result<Option<BulkRerunBody>, ErrorModel> {
        if self.has_server {
            return Ok(None);
        }
        let work = |host: &dyn Host, _: &mut Ask<'_, _>| {
            operation::rerun_briefly(host, self.catalogue.as_ref(), request, time)
        };
        self.reach(work, no_questions)
    }

    fn rerun_on(
        &self,
        host: &dyn Host,
        request: &Request,
        keep: Option<&mut Keep<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<BulkRerunBody, ErrorModel> {
        operation::rerun(host, self.catalogue.as_ref(), &self.caller, request, keep, cancel)
    }

    /// How a request is answered: in its own spelling where it shows one, else as the config says.
    pub fn spelling_of(&self, request: &Request) -> Spelling {
        self.spelling_or_wire(request.spelling)
    }

    pub(crate) fn spelling_or_wire(&self, shown: Option<Spelling>) -> Spelling {
        shown.unwrap_or(self.wire)
    }

    /// Looks into the store as a search would, and finds nothing: whether it can be read.
    ///
    /// # Errors
    ///
    /// 500 or 503 if it can't.
    pub fn ping(&self) -> Result<(), ErrorModel> {
        self.reach(|host, _| operation::ping(host), no_questions)
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
        let work = |host: &dyn Host, ask: &mut Ask<'_, _>| {
            operation::select(host, selector, &mut |run| ask(Cow::Owned(run.to_run())))
        };
        self.reach(work, |run| each(run.into_owned()))
    }

    /// Evaluates a selector only, for a caller who takes its time: the runs that match now, one by one.
    /// Nothing is held on the store once this returns.
    ///
    /// # Errors
    ///
    /// As for any request; 422 if it has `options`, which mean nothing here.
    pub fn cursor(&self, selector_json: &[u8]) -> Result<Cursor, ErrorModel> {
        let selector = Selector::from_json(selector_json)?;
        self.reach(|host, _| Cursor::over(|each| operation::select(host, &selector, each)), no_questions)
    }

    /// What is known about the store without reading its runs.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn describe(&self) -> Result<StoreInfo, ErrorModel> {
        self.reach(|host, _| Ok(host.describe()?), no_questions)
    }

    /// What the store holds; reads every run once.
    ///
    /// # Errors
    ///
    /// 500 or 503 if the store fails.
    pub fn survey(&self) -> Result<Survey, ErrorModel> {
        self.reach(|host, _| operation::survey(host), no_questions)
    }

    /// The task catalogue, where there is one.
    #[cfg(feature = "cli")]
    pub(crate) fn catalogue(&self) -> Option<&Catalogue> {
        self.catalogue.as_ref()
    }

    /// Starts one run for trial, the newest that may be (of this task, where one is named), and takes it back: what stands in
    /// the way of a re-run shows here.
    ///
    /// # Errors
    ///
    /// 422 if there is no such run, or the host has no transactions; 500 or 503 if the store fails.
    pub fn trial(&self, task_name: Option<&str>) -> Result<Trial, ErrorModel> {
        self.reach(|host, _| operation::trial(host, self.catalogue.as_ref(), task_name), no_questions)
    }

    /// Every call on the host: `work`, which may ask about a run; `here` answers, on this thread.
    fn reach<Answer: Send, T: Send>(
        &self,
        work: impl FnOnce(&dyn Host, &mut Ask<'_, Answer>) -> Result<T, ErrorModel> + Send,
        here: impl FnMut(Cow<'_, Run>) -> Answer,
    ) -> Result<T, ErrorModel> {
        let _entered = self.enter()?;
        // Taken out by `drop` alone.
        let host = self.host.as_deref().expect("a plugin has its host until it is dropped");
        blocking(self.has_server, |ask| work(host, ask), here)
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

impl Drop for Plugin {
    fn drop(&mut self) {
        let host = self.host.take();
        // Without a thread for it, it is dropped here, and the server hears no goodbye.
        let goodbye = |_: &mut Ask<'_, ()>| {
            drop(host);
            Ok(())
        };
        let _ = blocking(self.has_server, goodbye, no_questions);
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
