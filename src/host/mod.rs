//! Hosts: the job runners whose stores we work in.
//!
//! The core asks a host through [`Session`] and knows nothing of SQL. A host profile
//! ([`profile::Profile`]) says in two SQL statements what a runner's runs are and how one is
//! started again; `sqlite` and `postgres` carry them out, on the statements of one `view`. A
//! runner's own `daemon` may be asked to start the runs instead.

mod built_in;
pub mod callbacks;
#[cfg(all(unix, feature = "daemon"))]
mod daemon;
mod daemon_info;
mod due;
pub mod error;
mod key;
mod lack;
mod ledger;
pub(crate) mod named_store;
mod new_ids;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod profile;
mod runner;
mod settings;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod statement;
mod states;
mod store_info;
mod taken_apart;
mod time;
mod tried_with;
mod version;
mod view;

use std::ops::ControlFlow;
use std::time::Duration;

use crate::contract::{Instant, Params, Phase, Replica, Run, RunFilter, RunText, as_rfc3339};
pub use daemon_info::DaemonInfo;
pub use due::Due;
pub use error::HostError;
pub use key::{Key, RunRef};
pub use ledger::{Entry, Ledger, Page, Recorded};
pub(crate) use open::{NO_REPLICA, open};
#[cfg(feature = "capi")]
pub(crate) use open::{check_is_not_the_store, load};
pub use runner::RunnerState;
pub use states::States;
pub use store_info::{Particulars, Process, ReplicaInfo, StoreInfo};
pub(crate) use time::read_instant;

/// A job runner's store. Sessions are independent, and may be used from several threads at once.
pub trait Host: Send + Sync {
    /// Starts a session.
    fn session(&self) -> Result<Box<dyn Session + '_>, HostError>;

    /// What is known about the store without reading its runs.
    fn describe(&self) -> Result<StoreInfo, HostError>;

    /// A session whose reads are over within about this time, or fail with [`HostError::Cancelled`], and which waits for
    /// nobody's lock; `None` where nobody can promise that.
    fn brief_session(&self, _time: Duration) -> Result<Option<Box<dyn Session + '_>>, HostError> {
        Ok(None)
    }
}

/// One caller's conversation with a store. Dropped in the middle, it leaves nothing behind.
pub trait Session {
    /// Starts reading: until [`Session::end`] every read sees the store as of one moment, and
    /// nobody else is kept from writing.
    fn begin_read(&mut self) -> Result<(), HostError>;

    /// Starts reading for a search, as [`Session::begin_read`]: where a replica is named, there.
    fn begin_search(&mut self) -> Result<(), HostError> {
        self.begin_read()
    }

    /// How far the replica was behind that the search reads, or has read: what it tells may not be so at the primary.
    fn replica(&self) -> Option<Replica> {
        None
    }

    /// What stops this session's reads, which then fail with [`HostError::Cancelled`]; it is never
    /// used once [`Session::begin_write`] has returned. The reads of a host without one go on to
    /// their end before a cancelled call is given up.
    fn interrupter(&mut self) -> Option<Interrupter> {
        None
    }

    /// Starts writing: takes the store's write lock and tells whether the store has changed since
    /// [`Session::begin_read`].
    fn begin_write(&mut self) -> Result<Freshness, HostError>;

    /// Ends reading, or gives up what was written.
    fn end(&mut self) -> Result<(), HostError>;

    /// Makes what was written last.
    fn commit(&mut self) -> Result<(), HostError>;

    /// Whether what was written before an error is given up; else each new run lasts from its start on.
    fn is_atomic(&self) -> bool {
        true
    }

    /// The same for what is taken back.
    fn is_undo_atomic(&self) -> bool {
        self.is_atomic()
    }

    /// Whether nobody else writes from [`Session::begin_write`] on until the end.
    fn keeps_others_out(&self) -> bool {
        false
    }

    /// Whether a search for this may hand one run over twice, as a view with a join too many does; also where it takes longer
    /// to tell than to look at each.
    fn may_repeat(&mut self, _query: Query<'_>) -> Result<bool, HostError> {
        Ok(true)
    }

    /// The runner's own words, by which searches for a status go as well.
    fn states(&self) -> States {
        States::default()
    }

    /// Hands over the runs that a query selects, in the store's own order, until `each` breaks off.
    fn runs(
        &mut self,
        query: Query<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError>;

    /// Of a filter's runs, hands over those of each task than which no other is newer, each with how many of the filter's
    /// runs its task has. `false`: the host has no better way than to hand all of them over; what came until then is void.
    fn newest(
        &mut self,
        _filter: &RunFilter,
        _columns: Columns,
        _each: &mut dyn FnMut(RunRow<'_>, u64),
    ) -> Result<bool, HostError> {
        Ok(false)
    }

    /// Hands over the runs of some tasks (as [`Query::Tasks`]) that may be as new as what `since` says of each; others may
    /// be among them.
    fn newer(
        &mut self,
        names: Option<&[&Key<'_>]>,
        _since: &[Since<'_>],
        _newest_only: bool,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), HostError> {
        self.runs(Query::Tasks(names), columns, each)
    }

    /// Hands over the parameters of each of these runs with its index, in any order; `None` for one that is gone.
    fn params(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, Option<Params<'_>>))
    -> Result<(), HostError>;

    /// Whether [`Session::spawn`] makes use of parameters that a search has read.
    fn takes_params_as_read(&self) -> bool {
        false
    }

    /// Starts each of these runs again, and tells with its index what became of it, in any order. A new run is one that
    /// the host's own view shows as pending or running; of any other nothing is left. They are due at once, unless `due`
    /// says otherwise. `params`: theirs since [`Session::begin_read`], which are read again where they may be others by now.
    fn spawn(
        &mut self,
        sources: &[RunRef<'_>],
        params: Option<&[&Params<'_>]>,
        due: Option<Due>,
        each: &mut dyn FnMut(usize, Spawned),
    ) -> Result<(), HostError>;

    /// Whether a new run can be told when it is due.
    fn has_due_time(&self) -> bool;

    /// Whether an `idempotency_key` may stand for what was started, where there is a ledger.
    fn takes_keys(&self) -> bool {
        true
    }

    /// Who starts the new runs, where the store's own transaction does not. It is written down with them: what is in
    /// somebody's memory can't be taken back in the store.
    fn started_by(&self) -> Option<&'static str> {
        None
    }

    /// Whether the host can take back a run that no worker has begun.
    fn can_undo(&self) -> bool;

    /// Takes these runs back, after [`Session::begin_write`], as far as no worker has begun them; tells each one with its
    /// index, in any order, and whether it was taken back.
    fn undo(&mut self, runs: &[RunRef<'_>], each: &mut dyn FnMut(usize, bool)) -> Result<(), HostError>;

    /// The ledger, where the store has one. After [`Session::begin_write`] it is of our version; before that, an older one
    /// knows of nothing.
    fn ledger(&mut self) -> Result<Option<&mut dyn Ledger>, HostError> {
        Ok(None)
    }

    /// How the store gets a ledger, where it has none.
    fn way_to_a_ledger(&self) -> &'static str {
        "`bulk-rerun ledger create`, or `\"ledger\": true` in the config"
    }

    /// Makes the ledger, after [`Session::begin_write`].
    fn create_ledger(&mut self) -> Result<(), HostError> {
        Err(HostError::Unusable(NO_PLACE_FOR_A_LEDGER.to_owned()))
    }

    /// Takes the whole ledger away, after [`Session::begin_write`].
    fn drop_ledger(&mut self) -> Result<(), HostError> {
        Err(HostError::Unusable(NO_PLACE_FOR_A_LEDGER.to_owned()))
    }
}

const NO_PLACE_FOR_A_LEDGER: &str = "this host keeps its runs behind callbacks, and its ledger, if it has one, as well: there is none to be made or dropped";

/// Stops, from another thread, what a session is reading.
pub type Interrupter = Box<dyn Fn() + Send>;

/// Which runs the core asks for.
#[derive(Debug, Clone, Copy)]
pub enum Query<'a> {
    /// The runs with these ids; those that are no run are left out.
    Ids(&'a [&'a str]),
    /// The runs that match.
    Filter(&'a RunFilter),
    /// The runs of these tasks (`None`: of every task).
    Tasks(Option<&'a [&'a Key<'a>]>),
    /// Those of them that are pending or running.
    Active {
        /// The tasks' names.
        names: Option<&'a [&'a Key<'a>]>,
        /// Runs that the same query found since [`Session::begin_read`] may be left out, and those that can't have become
        /// active since.
        new_only: bool,
    },
}

/// From when on a task's runs are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// The task.
    pub task_name: &'a Key<'a>,
    /// Older ones may be left out, if there is a time; and so may a run for whose time there is none.
    pub created_at: Option<Instant>,
}

/// Which columns of a run are needed beside its id, its task and its time of creation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns {
    /// Its parameters.
    pub params: bool,
    /// Why a run of its kind is never run again.
    pub unfit: bool,
    /// How it ended.
    pub end_reason: bool,
    /// All that is left: phase, exit code, trigger, retry attempt, the host's own mark of a failure.
    pub rest: bool,
    /// The runner's own word for where it stands.
    pub state: bool,
}

impl Columns {
    /// Every column of a run.
    pub const WHOLE: Columns = Columns { params: true, unfit: true, end_reason: true, rest: true, state: false };
}

/// A run as it is read. What was not asked for is `None`.
#[derive(Debug, Clone, Default)]
pub struct RunRow<'a> {
    /// The run's id.
    pub id: Key<'a>,
    /// Its task.
    pub task_name: Key<'a>,
    /// When it was created; `None` if that can't be read.
    pub created_at: Option<Instant>,
    /// Its parameters.
    pub params: Params<'a>,
    /// Why a run of its kind is never run again.
    pub unfit: Option<&'a str>,
    /// How it ended.
    pub end_reason: Option<&'a str>,
    /// `pending`, `running` or `ended`.
    pub phase: Option<&'a str>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// What triggered it.
    pub triggered_by: Option<&'a str>,
    /// 0 for a first attempt.
    pub retry_attempt: Option<i64>,
    /// Whether it counts as a failure, where the host has a mark of its own.
    pub is_failure: Option<bool>,
    /// The runner's own word for where it stands, where its view has it.
    pub state: Option<&'a str>,
}

impl RunRow<'_> {
    /// The run with text of its own.
    pub fn to_run(&self) -> Run {
        Run {
            id: self.id.to_text(),
            task_name: self.task_name.to_text(),
            phase: self.phase.map(str::to_owned),
            end_reason: self.end_reason.map(str::to_owned),
            exit_code: self.exit_code,
            triggered_by: self.triggered_by.map(str::to_owned),
            created_at: self.created_at,
            retry_attempt: self.retry_attempt,
            params: self.params.clone().into_owned(),
            is_failure: self.is_failure,
            unfit: self.unfit.map(str::to_owned),
        }
    }

    /// The run as texts, most of them where they are.
    pub(crate) fn to_text(&self) -> RunText<'_> {
        RunText {
            id: self.id.spelled().unwrap_or_default(),
            task_name: self.task_name.spelled().unwrap_or_default(),
            phase: self.phase,
            end_reason: self.end_reason,
            exit_code: self.exit_code,
            triggered_by: self.triggered_by,
            created_at: self.created_at.map(|at| as_rfc3339(&at).into()),
            retry_attempt: self.retry_attempt,
            params: self.params.to_text(),
            is_failure: self.is_failure,
            unfit: self.unfit,
        }
    }
}

/// What became of one source run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spawned {
    /// A new run was started; this is its id.
    New(String),
    /// The source run is no longer there.
    Gone,
    /// The host declined, in these words.
    Refused(String),
}

/// Whether what was read is still what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing has changed.
    Unchanged,
    /// Somebody has written in the meantime.
    Changed,
}

/// What is said of a new run that the host's view does not show.
fn not_shown(id: &Key<'_>) -> String {
    format!(
        "the host's view does not show the new run {}: a trigger or a constraint of the host's has taken it away, or the \
         profile's statement starts nothing that its view shows, or returns another id than the new run's",
        id.to_text()
    )
}

/// Why a row that the host's view shows for a new run is none that will be run, if so.
fn not_to_be_run(run: &RunRow<'_>) -> Option<String> {
    let shown = match run.phase.map(|phase| (phase, Phase::from_word(phase))) {
        Some((_, Some(Phase::Pending | Phase::Running))) => return None,
        Some((_, Some(Phase::Ended))) => match run.end_reason {
            Some(reason) => format!("as ended ({reason})"),
            None => "as ended".to_owned(),
        },
        Some((word, None)) => format!("in the phase {word:?}"),
        None => "in no phase".to_owned(),
    };
    Some(format!("the host's view shows the new run {shown}, and not as pending"))
}
