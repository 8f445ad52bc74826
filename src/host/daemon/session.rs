//! One caller's conversation with a store whose new runs the daemon starts.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::api::{Api, Started, Task};
use super::lock::Lock;
use super::parameters::{self, Parameters};
use super::socket::Socket;
use crate::contract::Params;
use crate::host::{
    Columns, Due, Freshness, HostError, Interrupter, Key, Ledger, Query, RunRef, RunRow, Session, Spawned, States,
};

/// How the daemon marks a run that it lets nobody start, since another is active, or too many wait.
const NEVER_STARTED: [&str; 2] = ["skipped", "queue_full"];

/// The daemon writes a new run down a moment after it has answered: the first look may come too early.
const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A session on the store, which stays as it is but for the start of runs.
pub(super) struct DaemonSession<'h> {
    store: Box<dyn Session + 'h>,
    folder: &'h Path,
    socket: &'h Socket,
    /// From before the last look at who is active until what was started is written down.
    alone: Option<Lock>,
    /// The store's write lock is ours.
    is_writing: bool,
}

/// Why no more runs are started.
struct Stopped {
    /// The new run that there is all the same.
    new: Option<String>,
    error: HostError,
}

impl From<HostError> for Stopped {
    fn from(error: HostError) -> Self {
        Stopped { new: None, error }
    }
}

impl<'h> DaemonSession<'h> {
    pub(super) fn new(store: Box<dyn Session + 'h>, folder: &'h Path, socket: &'h Socket) -> Self {
        DaemonSession { store, folder, socket, alone: None, is_writing: false }
    }

    /// Ends the store's own transaction: others may write there.
    fn let_go(&mut self) -> Result<(), HostError> {
        if std::mem::take(&mut self.is_writing) { self.store.commit() } else { Ok(()) }
    }

    /// Starts each of these; `each` hears of what was started before an error, too.
    fn start_all(
        &mut self,
        sources: &[RunRef<'_>],
        params: Vec<Option<Params<'static>>>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        let api = Api::reach(self.socket)?;
        let tasks = api.tasks()?;
        for (index, (source, params)) in sources.iter().zip(params).enumerate() {
            let Some(params) = params else {
                each(index, Spawned::Gone);
                continue;
            };
            let task_name = source.task_name.to_text();
            match to_be_given(tasks.get(&task_name), &params, &api.version) {
                Err(refusal) => each(index, Spawned::Refused(refusal)),
                Ok((given, body)) => match self.start(&api, &task_name, &given, body) {
                    Ok(spawned) => each(index, spawned),
                    Err(Stopped { new, error }) => {
                        if let Some(new) = new {
                            each(index, Spawned::New(new));
                        }
                        return Err(error);
                    }
                },
            }
        }
        Ok(())
    }

    /// Starts one run, and looks at it in the store.
    fn start(
        &mut self,
        api: &Api<'_>,
        task_name: &str,
        given: &Parameters,
        body: Option<String>,
    ) -> Result<Spawned, Stopped> {
        let id = match api.start(task_name, body)? {
            Started::Run(id) => id,
            Started::Declined(status, words) => return Ok(Spawned::Refused(declined(status, &words, given))),
        };
        let found = match self.look_for(task_name, &id) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let error = HostError::Unusable(format!(
                    "RunWisp's daemon has started {task_name} as {id}, and the store does not have that run: does the \
                     daemon on {} work on another store? Look there for it",
                    self.socket.path.display()
                ));
                return Err(Stopped { new: Some(id), error });
            }
            Err(error) => return Err(Stopped { new: Some(id), error }),
        };
        if let Some(reason) = found.end_reason.filter(|reason| NEVER_STARTED.contains(&&**reason)) {
            return Ok(Spawned::Refused(format!("RunWisp's daemon did not let it start: {id} is marked as {reason}")));
        }
        if found.params.as_ref() != Some(given) {
            let error = HostError::Unusable(format!(
                "RunWisp's daemon has started {task_name} as {id} with other parameters than its source run's: stop it \
                 there"
            ));
            return Err(Stopped { new: Some(id), error });
        }
        Ok(Spawned::New(id))
    }

    /// The new run, as soon as the store has it; `None` if it never does.
    fn look_for(&mut self, task_name: &str, id: &str) -> Result<Option<Found>, HostError> {
        let (task_name, key) = (Key::text(task_name), Key::text(id));
        let new = RunRef { task_name: &task_name, id: &key };
        let columns = Columns { params: true, end_reason: true, ..Columns::default() };
        let until = Instant::now() + self.socket.limit();
        let mut wait = FIRST_WAIT;
        loop {
            let mut found = None;
            self.store.begin_read()?;
            self.store.runs(Query::Ids(&[id]), columns, &mut |run: RunRow<'_>| {
                if new.is(&run.task_name, &run.id) {
                    let end_reason = run.end_reason.map(str::to_owned);
                    found = Some(Found { end_reason, params: parameters::read(&run.params) });
                }
                ControlFlow::Continue(())
            })?;
            self.store.end()?;
            if found.is_some() || Instant::now() >= until {
                return Ok(found);
            }
            thread::sleep(wait);
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }
}

/// A new run in the store.
struct Found {
    end_reason: Option<String>,
    params: Option<Parameters>,
}

/// What a new run is to have, and the body that says so; or why the daemon would not start it like that.
fn to_be_given(
    task: Option<&Task>,
    params: &Params<'_>,
    version: &str,
) -> Result<(Parameters, Option<String>), String> {
    let Some(task) = task else {
        return Err(
            "RunWisp's daemon has no such task: is it in runwisp.toml, and was that read since (`runwisp reload`)?"
                .to_owned(),
        );
    };
    let given = parameters::read(params);
    let given = given.ok_or("its parameters are no JSON object of texts, as RunWisp's daemon takes them")?;
    let body = parameters::body(&given, task, version)?;
    Ok((given, body))
}

/// Why the daemon did not start a run.
fn declined(status: u16, words: &str, given: &Parameters) -> String {
    let meaning = match status {
        403 => "the task may not be started by hand",
        404 => "it has no such task",
        409 => "the task is a long-running service",
        400 | 422 => "it does not take what the run was given",
        500 => "as it does where the task's on_overlap or its queue lets no more in, or where it is shutting down",
        _ => "it declines",
    };
    // Its words may repeat a parameter, and that may be a secret.
    let may_quote = matches!(status, 400 | 422) && !given.is_empty();
    let words = if may_quote || words.is_empty() { String::new() } else { format!(": {words}") };
    format!("RunWisp's daemon answers {status}{words} ({meaning})")
}

impl Session for DaemonSession<'_> {
    fn begin_read(&mut self) -> Result<(), HostError> {
        self.store.begin_read()
    }

    fn interrupter(&mut self) -> Option<Interrupter> {
        self.store.interrupter()
    }

    fn begin_write(&mut self) -> Result<Freshness, HostError> {
        if self.alone.is_none() {
            self.alone = Some(Lock::take(self.folder, self.socket.limit())?);
        }
        let freshness = self.store.begin_write()?;
        self.is_writing = true;
        Ok(freshness)
    }

    fn end(&mut self) -> Result<(), HostError> {
        self.is_writing = false;
        let ended = self.store.end();
        self.alone = None;
        ended
    }

    fn commit(&mut self) -> Result<(), HostError> {
        let committed = self.let_go();
        self.alone = None;
        committed
    }

    fn is_atomic(&self) -> bool {
        false
    }

    fn is_undo_atomic(&self) -> bool {
        true
    }

    fn takes_keys(&self) -> bool {
        false
    }

    fn started_by(&self) -> Option<&'static str> {
        Some("daemon")
    }

    fn states(&self) -> States {
        self.store.states()
    }

    fn may_repeat(&mut self, query: Query<'_>) -> Result<bool, HostError> {
        self.store.may_repeat(query)
    }

    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        self.store.runs(query, columns, each)
    }

    fn params(
        &mut self,
        runs: &[RunRef<'_>],
        each: &mut dyn FnMut(usize, Option<Params<'_>>),
    ) -> Result<(), HostError> {
        self.store.params(runs, each)
    }

    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        _: Option<&[&Params<'_>]>,
        _: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError> {
        if sources.is_empty() {
            return Ok(());
        }
        let mut params = vec![None; sources.len()];
        self.store.params(sources, &mut |index, run| params[index] = run.map(Params::into_owned))?;
        // The daemon writes the new runs down by itself, so nobody may be kept from writing meanwhile.
        self.let_go()?;
        self.start_all(sources, params, each)?;
        if self.store.ledger()?.is_some() {
            self.begin_write()?;
        }
        Ok(())
    }

    fn has_due_time(&self) -> bool {
        false
    }

    fn can_undo(&self) -> bool {
        self.store.can_undo()
    }

    fn undo(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError> {
        self.store.undo(runs, each)
    }

    fn ledger(&mut self) -> Result<Option<&mut dyn Ledger>, HostError> {
        self.store.ledger()
    }

    fn way_to_a_ledger(&self) -> &'static str {
        self.store.way_to_a_ledger()
    }

    fn create_ledger(&mut self) -> Result<(), HostError> {
        self.store.create_ledger()
    }

    fn drop_ledger(&mut self) -> Result<(), HostError> {
        self.store.drop_ledger()
    }
}
